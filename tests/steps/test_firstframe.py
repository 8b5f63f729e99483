"""First frame: the first group of an integration is left out, but for the brightest pixels."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.steps import Firstframe

SAT, DNU = GROUP.SATURATED, GROUP.DO_NOT_USE


def first_groups(exposure):
    return to_host(exposure.groupdq)[:, 0].ravel().tolist()


def test_first_group_of_every_integration_is_flagged(ramp):
    exposure = Firstframe().process(ramp((2, 4, 1, 2), groupdq=GROUP.JUMP_DET, detector="MIRIMAGE"))
    flags = np.full((2, 4, 1, 2), GROUP.JUMP_DET)
    flags[:, 0] |= DNU
    np.testing.assert_array_equal(to_host(exposure.groupdq), flags)
    assert not to_host(exposure.pixeldq).any()


@pytest.mark.parametrize(("keep", "first", "mark"), [(True, [0, DNU], BITS["FLUX_ESTIMATED"]), (False, [DNU, DNU], 0)])
def test_pixel_that_saturates_by_the_third_group_keeps_its_first(ramp, keep, first, mark):
    saturated = np.zeros((2, 5, 1, 1))
    saturated[0, 2:] = SAT
    exposure = Firstframe(bright_use_group1=keep).process(
        ramp((2, 5, 1, 1), groupdq=saturated, pixeldq=BITS["HOT"], detector="MIRIMAGE")
    )
    assert first_groups(exposure) == first
    assert to_host(exposure.pixeldq).item() == mark | BITS["HOT"]


def test_pixel_that_saturates_later_loses_its_first(ramp):
    exposure = Firstframe().process(ramp((1, 5, 1, 1), groupdq=[0, 0, 0, SAT, SAT], detector="MIRIMAGE"))
    assert first_groups(exposure) == [DNU]


def test_step_is_skipped_by_default_and_where_too_few_groups_would_remain(ramp, references):
    assert Firstframe().skip
    _, outcome = Firstframe(skip=False).run(ramp((1, 3, 1, 1), detector="MIRIMAGE"), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "three groups or fewer")


def test_other_detectors_are_skipped(ramp, references):
    _, outcome = Firstframe(skip=False).run(ramp((1, 5, 1, 1), detector="NIS"), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "only for MIRI")
