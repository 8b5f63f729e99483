"""NIRSpec's readouts, and SIRS, give the official pipeline's numbers.

All flags are the same. With interleaved reference pixels (IRS2) the values may differ in the last bits of a bright
count, because both pipelines transform in single precision, and differently: at most 5e-3 DN.
"""

import numpy as np
import pytest

from gpucal import device, model, sample
from gpucal.reference import References
from gpucal.steps import DqInit, Refpix, Saturation, Superbias

pytestmark = pytest.mark.slow

IRS2 = 5e-3  # DN


@pytest.mark.parametrize(
    "case",
    [
        "nrs_allslits:3x1:61",
        "nrs_sub512:4x2:62",
        "nis_full:1x1:64+refpix.refpix_algorithm=sirs",
    ],
)
def test_every_step_gives_the_official_numbers(case, parity, tmp_path):
    differences = parity.compare(parity.Case.parse(case), folder=tmp_path)
    assert sum(d.count - d.equal for d in differences) == 0


def test_every_step_of_an_irs2_exposure_gives_the_official_numbers(parity, tmp_path):
    differences = parity.compare(parity.Case.parse("nrs2_irs2:2x1:65"), folder=tmp_path)
    assert all(d.count == d.equal for d in differences if d.is_dq)
    before = differences[: next(i for i, d in enumerate(differences) if d.step == "refpix")]
    assert all(d.count == d.equal for d in before)
    assert max(d.largest_dn for d in differences) <= IRS2
    assert not any(d.nan for d in differences)


def test_other_settings_of_irs2_give_the_official_numbers(official, prepared):
    settings = {
        "preserve_irs2_refpix": True,
        "irs2_mean_subtraction": True,
        "odd_even_columns": False,
        "ovr_corr_mitigation_ftr": 2.0,
    }
    ramp, files = prepared
    step = official.pipeline("Detector1Pipeline", files).refpix
    for name, value in settings.items():
        setattr(step, name, value)
    theirs = step.run(as_official(ramp))
    ours, _ = Refpix(**settings).run(ramp.copy(), References(device.choose("auto"), files))
    np.testing.assert_array_equal(ours.pixeldq, theirs.pixeldq)
    np.testing.assert_array_equal(ours.groupdq, theirs.groupdq)
    np.testing.assert_allclose(ours.data, theirs.data, rtol=0, atol=IRS2)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """An exposure of NRS1 up to the reference pixel correction, and its references."""
    folder = tmp_path_factory.mktemp("irs2")
    (path,) = sample.make_exposures("nrs_irs2", folder / "data", ngroups=2, seed=66)
    types = ["mask", "saturation", "superbias", "refpix"]
    files = sample.make_references("nrs_irs2", folder / "refs", ngroups=2, types=types)
    hardware = device.choose("auto")
    ramp, shelf = model.open(path, hardware), References(hardware, files)
    for step in (DqInit(), Saturation(), Superbias()):
        ramp, _ = step.run(ramp, shelf)
    return ramp, files


def as_official(ramp):
    """The same exposure as a model of the official pipeline."""
    theirs = ramp.tree.copy()
    for name in ("data", "pixeldq", "groupdq"):
        setattr(theirs, name, getattr(ramp, name).copy())
    return theirs
