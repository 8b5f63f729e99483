"""What scripts/gpu_check.py compares on a GPU runs: here on the stand-in, where every bit must be the same."""

import pytest

from tests import fake_cupy


@pytest.fixture
def gpu_check(monkeypatch):
    fake_cupy.install(monkeypatch)
    import gpu_check

    return gpu_check


def test_every_case_can_be_read(gpu_check):
    names = {case.configuration for case in gpu_check.parsed(f"{gpu_check.SMALL} {gpu_check.HEAVY}")}
    assert {name.partition("_")[0] for name in names} >= {"nrc", "nis", "nrs", "mir"}


def test_the_gpu_is_compared_with_the_cpu(gpu_check, monkeypatch):
    small = [text for text in gpu_check.SMALL.split() if text.startswith(("mir_sub64:6x4", "nrc_sub160:6x"))]
    monkeypatch.setattr(gpu_check, "SMALL", " ".join(small))
    found = gpu_check.compare()
    assert found["ok"]
    assert len(found["cases"]) == len(small)
    assert not any(row["differing"] for row in found["cases"])


def test_a_difference_is_told(gpu_check):
    row = {"case": "nrc_sub160 6x2", "differing": {"rate.data": [1, 1e-3]}}
    assert gpu_check.beyond(row)
    assert not gpu_check.beyond({**row, "case": "nrs_irs2 2x1"})
    assert gpu_check.beyond({"case": "nrs_irs2 2x1", "differing": {"rate.dq": [1, 4.0]}})
