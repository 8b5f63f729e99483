"""Last frame: the last group of an integration is left out."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.steps import Lastframe


def test_last_group_of_every_integration_is_flagged(ramp):
    exposure = Lastframe().process(ramp((2, 3, 1, 2), groupdq=GROUP.JUMP_DET, detector="MIRIMAGE"))
    flags = np.full((2, 3, 1, 2), GROUP.JUMP_DET)
    flags[:, -1] |= GROUP.DO_NOT_USE
    np.testing.assert_array_equal(to_host(exposure.groupdq), flags)


@pytest.mark.parametrize("ngroups", [1, 2])
def test_step_is_skipped_where_too_few_groups_would_remain(ramp, references, ngroups):
    exposure = ramp((1, ngroups, 1, 1), detector="MIRIFULONG")
    _, outcome = Lastframe().run(exposure, references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "two groups or fewer")
    assert not to_host(exposure.groupdq).any()


def test_other_detectors_are_skipped(ramp, references):
    _, outcome = Lastframe().run(ramp((1, 5, 1, 1), detector="NIS"), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "only for MIRI")
