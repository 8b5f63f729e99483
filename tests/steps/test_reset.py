"""Reset: the anomaly of the first groups is subtracted, integration by integration."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import BITS
from gpucal.errors import ReferenceFileError
from gpucal.steps import Reset

MIRI = {"detector": "MIRIMAGE"}
ANOMALY = np.array([[5.0, 3, 1], [4, 2, 0.5]]).reshape(2, 3, 1, 1)  # two integrations of three groups


@pytest.fixture
def removed(ramp, reference):
    """Subtract the anomaly from integrations of five groups; return what each group lost."""

    def run(nints, anomaly=ANOMALY, words=None, **options):
        reset = reference("reset", data=anomaly, **{"NINTS": 2, "NGROUPS": 3} | (words or {}))
        exposure = Reset().process(ramp(np.full((nints, 5, 1, 1), 100.0), **MIRI, **options), reset)
        return (100 - to_host(exposure.data)[:, :, 0, 0]).tolist()

    return run


def test_each_integration_loses_its_own_anomaly(removed):
    assert removed(nints=2) == [[5, 3, 1, 0, 0], [4, 2, 0.5, 0, 0]]


def test_integrations_beyond_the_references_lose_its_last(removed):
    assert removed(nints=4)[2:] == [[4, 2, 0.5, 0, 0]] * 2


def test_integrations_are_counted_through_the_segments_of_an_exposure(removed):
    assert removed(nints=1, intstart=2) == [[4, 2, 0.5, 0, 0]]
    assert removed(nints=1, intstart=7) == [[4, 2, 0.5, 0, 0]]
    assert removed(nints=1, intstart=None) == [[5, 3, 1, 0, 0]]


def test_keywords_tell_how_much_of_the_reference_counts(removed):
    assert removed(nints=2, words={"NINTS": 1, "NGROUPS": 2}) == [[5, 3, 0, 0, 0]] * 2


def test_nan_counts_as_zero(removed):
    anomaly = ANOMALY.copy()
    anomaly[0, 1] = np.nan
    assert removed(nints=1, anomaly=anomaly) == [[5, 0, 1, 0, 0]]


def test_exposure_shorter_than_the_reference_loses_what_it_has(ramp, reference):
    reset = reference("reset", data=ANOMALY, NINTS=2, NGROUPS=3)
    exposure = Reset().process(ramp([100.0, 100.0], **MIRI), reset)
    assert to_host(exposure.data).ravel().tolist() == [95, 97]


def test_flags_of_the_reference_reach_the_pixels_and_not_the_groups(ramp, reference):
    reset = reference("reset", data=ANOMALY, dq=[[BITS["DEAD"]]], NINTS=2, NGROUPS=3)
    exposure = Reset().process(ramp([1, 2, 3], pixeldq=BITS["HOT"], **MIRI), reset)
    assert to_host(exposure.pixeldq).item() == BITS["DEAD"] | BITS["HOT"]
    assert not to_host(exposure.groupdq).any()


@pytest.mark.parametrize("word", ["NINTS", "NGROUPS"])
def test_reference_that_does_not_tell_its_size_is_refused(ramp, reference, word):
    reset = reference("reset", data=ANOMALY, **{"NINTS": 2, "NGROUPS": 3, word: None})
    with pytest.raises(ReferenceFileError, match=f"keyword {word} is missing"):
        Reset().process(ramp([1, 2, 3], **MIRI), reset)


def test_step_without_a_reference_is_skipped(ramp, references):
    _, outcome = Reset().run(ramp([1, 2]), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no reset reference")


def test_other_detectors_are_skipped(ramp, references, reference):
    reset = reference("reset", data=ANOMALY, NINTS=2, NGROUPS=3)
    _, outcome = Reset().run(ramp([1, 2], detector="NIS"), references(reset=reset))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "only for MIRI")
