"""Saturation: it is flagged from the group that reaches the threshold on, spreads by a pixel, never reaches back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.steps import Saturation

DNU, SAT, FLOOR = GROUP.DO_NOT_USE, GROUP.SATURATED, GROUP.AD_FLOOR | GROUP.DO_NOT_USE
THRESHOLD = 1000.0


@pytest.fixture
def flags(ramp, reference):
    """Run the step on a ramp and return its group flags; the threshold is 1000 everywhere unless one is given."""

    def run(data, threshold=None, bias=None, step=None, dq=None, **options):
        exposure = ramp(data, **options)
        plane = exposure.shape[2:]
        threshold = np.full(plane, THRESHOLD) if threshold is None else threshold
        saturation = reference("saturation", data=threshold, dq=np.zeros(plane) if dq is None else dq)
        superbias = None if bias is None else reference("superbias", data=np.full(plane, bias))
        (step or Saturation()).process(exposure, saturation, superbias)
        result = to_host(exposure.groupdq)
        return result.ravel().tolist() if result.shape[2:] == (1, 1) and len(result) == 1 else result

    return run


def cube(shape, value=100.0, **counts):
    """A cube of one value, with other counts at some (integration, group, y, x)."""
    data = np.full(shape, value)
    for place, count in counts.items():
        data[tuple(int(digit) for digit in place[1:])] = count
    return data


# -- one pixel


def test_reaching_the_threshold_saturates_that_group_and_all_later(flags):
    assert flags([100, 999.9, 1000, 500, 500]) == [0, 0, SAT, SAT, SAT]


def test_counts_below_the_threshold_are_fine(flags):
    assert flags([100, 500, 999.9]) == [0, 0, 0]


def test_saturation_flagged_already_lasts(flags):
    assert flags([100, 100, 100], groupdq=[0, SAT, 0]) == [0, SAT, SAT]


@pytest.mark.parametrize("count", [0, -5])
def test_count_at_the_converters_floor_is_bad_in_that_group_alone(flags, count):
    assert flags([100, count, 100]) == [0, FLOOR, 0]


def test_integrations_do_not_know_of_each_other(flags):
    data = np.array([[100, 2000, 2000], [100, 100, 100]]).reshape(2, 3, 1, 1)
    np.testing.assert_array_equal(flags(data).reshape(2, 3), [[0, SAT, SAT], [0, 0, 0]])


def test_pixel_that_cannot_be_checked_is_never_saturated(flags):
    assert flags([100, 65535, 65535], dq=[[BITS["NO_SAT_CHECK"]]]) == [0, 0, 0]


def test_threshold_that_is_nan_is_not_checked(ramp, reference):
    exposure = ramp(np.full((1, 2, 1, 2), 5000.0))
    Saturation(n_pix_grow_sat=0).process(exposure, reference("saturation", data=[[np.nan, THRESHOLD]]))
    np.testing.assert_array_equal(to_host(exposure.groupdq)[0, :, 0], [[0, SAT], [0, SAT]])
    np.testing.assert_array_equal(to_host(exposure.pixeldq), [[BITS["NO_SAT_CHECK"], 0]])


def test_flags_of_the_reference_reach_the_pixels(ramp, reference):
    exposure = ramp((1, 1, 1, 2), pixeldq=BITS["HOT"])
    Saturation().process(exposure, reference("saturation", data=[[THRESHOLD] * 2], dq=[[BITS["DEAD"], 1]]))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), [[BITS["HOT"] | BITS["DEAD"], BITS["HOT"] | 1]])


# -- neighbours


def test_saturation_spreads_to_the_eight_neighbours_and_not_backwards(flags):
    result = flags(cube((1, 4, 5, 5), _0222=2000.0))
    ring = np.zeros((5, 5), "u1")
    ring[1:4, 1:4] = SAT
    np.testing.assert_array_equal(result[0], [0 * ring, 0 * ring, ring, ring])


def test_saturation_at_an_edge_does_not_wrap_around(flags):
    result = flags(cube((1, 1, 4, 4), _0003=2000.0))
    corner = np.zeros((4, 4), "u1")
    corner[:2, 2:] = SAT
    np.testing.assert_array_equal(result[0, 0], corner)


def test_neighbours_do_not_pass_it_on(flags):
    result = flags(cube((1, 6, 1, 9), _0004=2000.0))
    np.testing.assert_array_equal(result[0, -1, 0] != 0, [0, 0, 0, 1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize(("grow", "flagged"), [(0, 1), (1, 9), (2, 25), (10, 49)])
def test_reach_of_the_spreading_can_be_set(flags, grow, flagged):
    result = flags(cube((1, 1, 7, 7), _0033=2000.0), step=Saturation(n_pix_grow_sat=grow))
    assert (result == SAT).sum() == flagged


def test_counts_at_the_floor_do_not_spread(flags):
    result = flags(cube((1, 1, 3, 3), _0011=0.0))
    assert (result != 0).sum() == 1


# -- groups that average frames


def test_group_saturated_in_its_last_frames_is_not_used(flags):
    """With 4 frames, group 3 averages frames 9-12, at 10.5 on average: 10.5 / 12 of the threshold is suspect."""
    suspect = THRESHOLD * 10.5 / 12
    assert flags([100, 200, suspect, 2000], nframes=4) == [0, 0, DNU, SAT]
    assert flags([100, 200, suspect - 0.1, 2000], nframes=4) == [0, 0, 0, SAT]


def test_frames_dropped_between_groups_do_not_count(flags):
    assert flags([100, 200, 875, 2000], nframes=4, groupgap=1) == [0, 0, DNU, SAT]
    assert flags([100, 200, 874, 2000], nframes=4, groupgap=1) == [0, 0, 0, SAT]


def test_suspect_group_takes_its_neighbours_along(flags):
    result = flags(cube((1, 3, 1, 4), _0102=900.0, _0202=2000.0), nframes=4)
    np.testing.assert_array_equal(result[0, :, 0], [[0, 0, 0, 0], [0, DNU, DNU, DNU], [0, SAT, SAT, SAT]])


def test_groups_before_the_suspect_one_stay(flags):
    assert flags([900, 900, 900, 2000], nframes=4)[:2] == [0, 0]


def test_suspect_group_next_to_a_saturated_pixel_is_found(flags):
    """The pixel itself never saturates; its neighbour's charge arrives in group 3."""
    result = flags(cube((1, 3, 1, 2), _0100=900.0, _0201=2000.0), nframes=4)
    np.testing.assert_array_equal(result[0, :, 0], [[0, 0], [DNU, DNU], [SAT, SAT]])


def test_suspect_group_that_is_unused_already_does_not_spread(flags):
    groupdq = np.zeros((1, 3, 1, 2))
    groupdq[0, 1, 0, 0] = DNU
    result = flags(cube((1, 3, 1, 2), _0100=900.0, _0200=2000.0), nframes=4, groupdq=groupdq)
    np.testing.assert_array_equal(result[0, 1, 0], [DNU, 0])


def test_without_averaging_no_group_is_suspect(flags):
    assert flags([100, 999.9, 2000], nframes=1) == [0, 0, SAT]


def test_search_for_suspect_groups_can_be_switched_off(flags):
    assert flags([100, 900, 2000], nframes=4, step=Saturation(use_readpatt=False)) == [0, 0, SAT]


def test_pixel_that_cannot_be_checked_has_no_suspect_group_below_its_threshold(flags):
    dq = [[BITS["NO_SAT_CHECK"], 0]]
    result = flags(cube((1, 4, 1, 2), _0200=65000.0, _0301=2000.0), nframes=4, dq=dq)
    assert result[0, 2, 0, 0] == 0


# A jump into saturation within group 2: with 4 frames, group 1 is at 2.5 frames, and group 3 ends with frame 12.


def test_jump_into_saturation_takes_the_second_group_out_of_use(flags):
    """Group 1 alone predicts 50 / 2.5 * 12 = 240 < 1000; the step of 700 exceeds (1000 - 50) / 4."""
    assert flags([50, 750, 2000], nframes=4) == [0, DNU, SAT]


def test_second_group_on_the_way_to_saturation_is_used(flags):
    """Group 1 predicts 250 / 2.5 * 12 = 1200: saturation in group 3 is no surprise."""
    assert flags([250, 750, 2000], nframes=4) == [0, 0, SAT]


def test_small_step_to_the_second_group_is_used(flags):
    """The step of 200 could be one saturated frame at most."""
    assert flags([50, 250, 2000], nframes=4) == [0, 0, SAT]


def test_second_group_is_judged_by_the_light_above_the_bias(flags):
    """The bias is 600: 100 DN of light predict 600 + 100 / 2.5 * 12 = 1080 for the third group, 50 DN only 840."""
    assert flags([700, 800, 2000], bias=600.0, nframes=4) == [0, 0, SAT]
    assert flags([650, 800, 2000], bias=600.0, nframes=4) == [0, DNU, SAT]


def test_bias_that_is_nan_gives_no_reason_to_flag(ramp, reference):
    exposure = ramp(np.reshape([50, 50, 750, 750, 2000, 2000], (1, 3, 1, 2)), nframes=4)
    saturation = reference("saturation", data=[[THRESHOLD, THRESHOLD]])
    Saturation().process(exposure, saturation, reference("superbias", data=[[0.0, np.nan]]))
    np.testing.assert_array_equal(to_host(exposure.groupdq)[0, 1, 0], [DNU, 0])


def test_two_groups_have_no_third_to_compare_with(flags):
    assert flags([50, 750], nframes=4) == [0, 0]


# -- zero frames


def test_saturated_zero_frame_is_blanked_with_its_neighbours(ramp, reference):
    exposure = ramp((1, 2, 3, 4), zeroframe=[[10, 10, 10, 10], [2000, 10, 10, 10], [10, 10, 10, 10]])
    Saturation().process(exposure, reference("saturation", data=np.full((3, 4), THRESHOLD)))
    np.testing.assert_array_equal(to_host(exposure.zeroframe)[0], [[0, 0, 10, 10]] * 3)


def test_zero_frame_at_the_floor_is_blanked_alone(ramp, reference):
    exposure = ramp((1, 2, 1, 4), zeroframe=[[10, -3, 10, 10]])
    Saturation().process(exposure, reference("saturation", data=np.full((1, 4), THRESHOLD)))
    np.testing.assert_array_equal(to_host(exposure.zeroframe)[0], [[10, 0, 10, 10]])


def test_zero_frame_does_not_flag_the_groups(ramp, reference):
    exposure = ramp(np.full((1, 2, 1, 1), 10.0), zeroframe=2000.0)
    Saturation().process(exposure, reference("saturation", data=[[THRESHOLD]]))
    assert not to_host(exposure.groupdq).any()


# -- laws


@given(
    seed=st.integers(0, 2**32 - 1), shape=st.tuples(*[st.integers(1, n) for n in (2, 5, 6, 7)]), grow=st.integers(0, 2)
)
def test_flags_are_the_dilated_running_tally(flags, seed, shape, grow):
    data = np.random.default_rng(seed).choice([100.0, 2000.0], shape, p=[0.9, 0.1])
    tally = np.logical_or.accumulate(data >= THRESHOLD, axis=1)
    box = np.ones((1, 1, 2 * grow + 1, 2 * grow + 1))
    expected = binary_dilation(tally, box) * SAT
    result = np.reshape(flags(data, step=Saturation(n_pix_grow_sat=grow)), shape)
    np.testing.assert_array_equal(result, expected)


def test_backends_agree_bit_for_bit(same_as_twins, make_ramp, make_reference, rng):
    shape = (3, 9, 23, 31)
    data = rng.uniform(-20, 1200, shape).astype("f4").round()
    data[:, 1:] += np.float32(300) * np.arange(1, 9, dtype="f4").reshape(8, 1, 1) * (rng.random(shape[2:]) < 0.3)
    groupdq = rng.choice(np.array([0, 1, 2, 4], "u1"), shape, p=[0.94, 0.02, 0.02, 0.02])
    threshold = np.where(rng.random(shape[2:]) < 0.05, np.nan, rng.uniform(900, 1500, shape[2:]))
    dq = rng.choice(np.array([0, BITS["NO_SAT_CHECK"], 1], "u4"), shape[2:])
    bias = np.where(rng.random(shape[2:]) < 0.1, np.nan, rng.uniform(0, 100, shape[2:]))
    zeroframe = rng.uniform(-20, 1500, (3, *shape[2:]))

    def run(device):
        saturation = make_reference(device, "saturation", data=threshold, dq=dq)
        superbias = make_reference(device, "superbias", data=bias)
        exposure = make_ramp(device, data, groupdq=groupdq, zeroframe=zeroframe, nframes=4)
        return Saturation().process(exposure, saturation, superbias)

    same_as_twins(run)


def test_step_without_a_reference_is_skipped(ramp, references):
    _, outcome = Saturation().run(ramp([1, 2]), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no saturation reference")
