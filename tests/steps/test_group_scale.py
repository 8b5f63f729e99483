"""Group scale: averages that were divided by a power of two instead of the number of frames."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.steps import GroupScale


def test_average_of_five_frames_divided_by_four_is_scaled_back(ramp):
    truth = [100, 200, 300]
    exposure = ramp([t * 5 / 4 for t in truth], nframes=5, frame_divisor=4)
    GroupScale().process(exposure)
    np.testing.assert_array_equal(to_host(exposure.data).ravel(), np.float32(truth))


def test_zero_frame_is_a_single_frame_and_stays(ramp):
    exposure = ramp([100, 200], zeroframe=50, nframes=5, frame_divisor=4)
    GroupScale().process(exposure)
    assert to_host(exposure.zeroframe).item() == 50


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"nframes": 4, "frame_divisor": 4}, "NFRAMES and FRMDIVSR are equal"),
        ({"nframes": None, "frame_divisor": 4}, "NFRAMES or FRMDIVSR is missing"),
        ({"nframes": 4, "frame_divisor": None}, "NFRAMES or FRMDIVSR is missing"),
        ({"nframes": 5, "frame_divisor": None}, "NFRAMES or FRMDIVSR is missing"),
    ],
)
def test_step_is_skipped(ramp, references, keywords, reason):
    exposure = ramp([100, 200], **keywords)
    _, outcome = GroupScale().run(exposure, references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", reason)
    assert exposure.meta.cal_step.group_scale == "SKIPPED"
    np.testing.assert_array_equal(to_host(exposure.data).ravel(), np.float32([100, 200]))
