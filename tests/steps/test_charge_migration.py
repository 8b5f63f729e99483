"""Charge migration: from the first too full group on, a pixel and its four neighbours are left out."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.steps import ChargeMigration

DNU, SAT = GROUP.DO_NOT_USE, GROUP.SATURATED
LOST = GROUP.CHARGELOSS | DNU
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def flags_of(exposure):
    return to_host(ChargeMigration(signal_threshold=100.0).process(exposure).groupdq)


def with_full(shape, *places):
    """Zeros, but 101 DN at some places."""
    data = np.zeros(shape)
    for place in places:
        data[place] = 101
    return data


def test_pixel_and_its_four_neighbours_are_left_out_from_the_full_group_on(ramp):
    flags = flags_of(ramp(with_full((1, 4, 5, 5), (0, 2, 1, 2))))
    assert not flags[0, :2].any()
    for g in (2, 3):
        np.testing.assert_array_equal(flags[0, g, 0:3, 1:4], CROSS * LOST)
        assert (flags[0, g] != 0).sum() == 5


@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 2), (3, 0), (3, 2)])
def test_corners_have_two_neighbours(ramp, y, x):
    flags = flags_of(ramp(with_full((1, 3, 4, 3), (0, 0, y, x))))[0, -1]
    expected = {
        (v, u) for v, u in ((y, x), (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)) if 0 <= v < 4 and 0 <= u < 3
    }
    assert {tuple(place) for place in np.argwhere(flags == LOST).tolist()} == expected


def test_earliest_of_a_pixel_and_its_neighbours_counts(ramp):
    flags = flags_of(ramp(with_full((1, 5, 1, 2), (0, 3, 0, 0), (0, 1, 0, 1))))
    assert (flags[0, :, 0] != 0).astype(int).tolist() == [[0, 0]] + [[1, 1]] * 4


def test_threshold_itself_is_not_too_full(ramp):
    assert not flags_of(ramp([100, 100, 100])).any()
    assert not flags_of(ramp([100, np.nan, 100])).any()


def test_neighbours_of_neighbours_stay(ramp):
    assert flags_of(ramp(with_full((1, 3, 1, 4), (0, 0, 0, 0))))[0, 0, 0].tolist() == [LOST, LOST, 0, 0]


@pytest.mark.parametrize(("flag", "counts"), [(DNU, False), (DNU | SAT, True), (SAT, True), (GROUP.JUMP_DET, True)])
def test_full_group_that_is_out_of_use_for_no_other_reason_does_not_count(ramp, flag, counts):
    flags = flags_of(ramp([0, 0, 101], groupdq=[0, 0, flag])).ravel()
    assert flags.tolist() == [0, 0, flag | LOST if counts else flag]


def test_flags_that_were_there_stay(ramp):
    assert flags_of(ramp([101, 0, 0], groupdq=[0, 4, 0])).ravel().tolist() == [LOST, LOST | 4, LOST]


def test_integrations_are_apart(ramp):
    flags = flags_of(ramp(with_full((3, 3, 1, 1), (1, 1, 0, 0))))
    assert (flags.ravel() != 0).astype(int).tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0]


def test_default_is_25000_dn_and_left_out():
    assert (ChargeMigration().signal_threshold, ChargeMigration().skip) == (25000.0, True)


@pytest.mark.parametrize("ngroups", [1, 2])
def test_step_is_skipped_where_two_groups_or_fewer(ramp, references, ngroups):
    _, outcome = ChargeMigration(skip=False).run(ramp((1, ngroups, 1, 1)), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "two groups or fewer")


def test_backends_agree(make_ramp, same_as_twins, rng):
    data = rng.normal(80, 10, (2, 5, 7, 9))
    groupdq = rng.choice([0, 1, 2, 4], data.shape)
    same_as_twins(
        lambda device: ChargeMigration(signal_threshold=100.0).process(make_ramp(device, data, groupdq=groupdq))
    )
