"""Snowballs: jumps around a core that saturates grow to an ellipse, the core to a larger one; nothing else changes."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.large_events.ellipse import Ellipse
from gpucal.large_events.regions import Regions, pixels_where
from gpucal.large_events.snowballs import flag_snowballs
from gpucal.steps import Jump

DNU, SAT, JUMP = GROUP.DO_NOT_USE, GROUP.SATURATED, GROUP.JUMP_DET
SHAPE = (1, 5, 100, 120)
CENTRE = (50, 60)
STEP = {"expand_large_events": True}


def disc(radius, centre=CENTRE, shape=SHAPE[2:]):
    """The pixels whose centres are nearer than the radius."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) < radius


def snowball(shape=SHAPE, integration=0, group=2, core=2.0, jumps=8.0, centre=CENTRE):
    """Flags of a snowball: jumps in one group, and a core that is saturated from that group on."""
    groupdq = np.zeros(shape, "u1")
    groupdq[integration, group, disc(jumps, centre, shape[2:])] = JUMP
    groupdq[integration, group:, disc(core, centre, shape[2:])] = SAT
    return groupdq


@pytest.fixture
def flag(backend):
    """Flag the snowballs in an array; return the array and how many there were."""

    def run(groupdq, group_time=10.0, **parameters):
        device = backend.upload(groupdq.copy())
        found = flag_snowballs(device, Jump(**STEP, **parameters), group_time)
        return to_host(device), found

    return run


def is_jump(groupdq):
    return groupdq & JUMP != 0


def is_saturated(groupdq):
    return groupdq & SAT != 0


# -- what is a snowball


def test_jumps_around_a_core_grow_to_twice_their_radius(flag):
    result, found = flag(snowball())
    assert found == 1
    reached = is_jump(result[0, 2]) | is_saturated(result[0, 2])
    assert reached[disc(14)].all()
    assert not reached[~disc(17)].any()
    assert not is_jump(result[0, [0, 1, 3, 4]]).any()


def test_jumps_grow_by_the_factor(flag):
    result, _ = flag(snowball(), expand_factor=3.0)
    assert is_jump(result[0, 2])[disc(21) & ~disc(4)].all()
    assert not is_jump(result[0, 2])[~disc(25)].any()


def test_jumps_do_not_grow_beyond_the_largest_radius(flag):
    result, _ = flag(snowball(), max_extended_radius=10)
    assert is_jump(result[0, 2])[disc(9) & ~disc(4)].all()
    assert not is_jump(result[0, 2])[~disc(10.5)].any()


def test_a_core_that_saturates_in_the_next_group_will_do(flag):
    groupdq = snowball()
    groupdq[0, 2, disc(2.0)] = JUMP
    assert flag(groupdq)[1] == 1


@pytest.mark.parametrize("saturated_from", [0, 1, 4])
def test_a_core_that_saturates_in_other_groups_is_none(flag, saturated_from):
    groupdq = snowball()
    groupdq[0, :, disc(2.0)] = np.where(np.arange(5) >= saturated_from, SAT, 0)
    result, found = flag(groupdq)
    assert found == 0
    np.testing.assert_array_equal(is_jump(result), is_jump(groupdq))


def test_a_core_outside_the_jumps_is_none(flag):
    groupdq = snowball(core=0) | snowball(jumps=0, centre=(50, 80))
    assert flag(groupdq)[1] == 0


def test_jumps_without_a_core_are_snowballs_if_none_is_required(flag):
    groupdq = snowball(core=0)
    assert flag(groupdq)[1] == 0
    result, found = flag(groupdq, sat_required_snowball=False)
    assert found == 1
    assert is_jump(result[0, 2])[disc(14)].all()


@pytest.mark.parametrize("centre", [(24, 60), (50, 24), (76, 60), (50, 76)])
def test_near_an_edge_no_core_is_required(flag, centre):
    """The last is not near an edge of 120 columns; the number of rows is taken for it, as officially."""
    groupdq = snowball(core=0, centre=centre)
    assert flag(groupdq)[1] == 1
    assert flag(groupdq, edge_size=20)[1] == 0


def test_small_jumps_are_no_snowballs(flag):
    groupdq = snowball()
    area = int(disc(8).sum())  # the core fills the hole
    assert flag(groupdq, min_jump_area=area)[1] == 1
    assert flag(groupdq, min_jump_area=area + 1)[1] == 0


def test_small_cores_do_not_count(flag):
    area = int(disc(2).sum())
    assert flag(snowball(), min_sat_area=area)[1] == 1
    assert flag(snowball(), min_sat_area=area + 1)[1] == 0


def test_snowballs_of_all_groups_and_integrations_are_counted(flag):
    groupdq = snowball((2, 5, 100, 120)) | snowball((2, 5, 100, 120), 1, 4, centre=(40, 40))
    assert flag(groupdq)[1] == 2


def test_first_group_is_not_looked_at(flag):
    assert flag(snowball(group=0))[1] == 0


# -- saturated cores


def test_large_core_grows_and_stays_saturated(flag):
    result, _ = flag(snowball(core=6.0))
    for group in (2, 3, 4):
        assert is_saturated(result[0, group])[disc(7)].all()
        assert not is_saturated(result[0, group])[~disc(9)].any()
    assert not is_saturated(result[0, :2]).any()


def test_core_forgets_the_other_flags(flag):
    groupdq = snowball(core=6.0)
    groupdq[0, :, 50, 66] = DNU | JUMP
    result, _ = flag(groupdq)
    assert result[0, :, 50, 66].tolist() == [DNU | JUMP, DNU | JUMP, SAT, SAT, SAT]


def test_core_grows_by_so_many_pixels(flag):
    groupdq = snowball(core=6.0)
    more, less = (is_saturated(flag(groupdq, sat_expand=n)[0][0, 2]).sum() for n in (5, 0))
    assert more > less + 2 * np.pi * 6 * 4
    assert abs(less - disc(6).sum()) < 20


def test_small_core_does_not_grow(flag):
    groupdq = snowball(core=2.0)
    np.testing.assert_array_equal(is_saturated(flag(groupdq)[0]), is_saturated(groupdq))
    grown, _ = flag(groupdq, min_sat_radius_extend=1.0)
    assert is_saturated(grown).sum() > is_saturated(groupdq).sum()


def test_core_is_not_flagged_as_a_jump(flag):
    result, _ = flag(snowball(core=6.0))
    assert not is_jump(result)[is_saturated(result)].any()


def test_core_is_flagged_in_the_next_integration_for_some_time(flag):
    groupdq = snowball((3, 5, 100, 120), core=6.0)
    result, _ = flag(groupdq, snowball_time_masked_next_int=35)
    assert is_jump(result[1]).any(axis=(1, 2)).tolist() == [False, True, True, False, False]
    assert is_jump(result[1, 1])[disc(5)].all()
    assert not is_jump(result[1, 1])[~disc(7)].any()
    assert not is_jump(result[2]).any()


@pytest.mark.parametrize("parameters", [{"mask_snowball_core_next_int": False}, {"snowball_time_masked_next_int": 9}])
def test_next_integration_can_be_left_alone(flag, parameters):
    result, _ = flag(snowball((2, 5, 100, 120), core=6.0), **parameters)
    assert not result[1].any()


def test_a_core_that_another_has_grown_over_is_none(flag):
    """The second would be new in group 3, had the first not taken its pixels in group 2."""
    groupdq = snowball(core=6.0)
    groupdq[0, 3:, 50, 66] = SAT
    groupdq[0, 3, disc(5, (50, 70))] |= JUMP
    assert flag(groupdq)[1] == 1
    assert flag(groupdq, min_sat_radius_extend=50.0)[1] == 2


# -- regions


def regions(rows):
    plane = np.array([[character != "." for character in row] for row in rows.split()])
    return Regions(pixels_where(plane), plane.shape)


def test_pixels_that_touch_at_a_corner_are_connected():
    assert regions("#...# .#.#. ..#.. ..... ###..").size.tolist() == [5, 3]


def test_rows_do_not_wrap_around():
    assert regions("...## #.... ....# #....").size.tolist() == [2, 1, 1, 1]


def test_nothing_has_no_regions():
    found = regions("... ...")
    assert found.size.tolist() == found.larger_than(1).tolist() == []
    assert found.centres.shape == (0, 2)


def test_holes_count_for_the_area():
    ring, open_at_a_corner, cup = (
        regions("#### #..# #..# ####"),
        regions(".##. #..# #..# .##."),
        regions("#..# #..# ####"),
    )
    assert [found.larger_than(16).tolist() for found in (ring, open_at_a_corner, cup)] == [[0], [], []]
    assert cup.larger_than(8).tolist() == [0]
    assert cup.larger_than(9).tolist() == []


def test_ellipse_of_a_rectangle_has_its_moments():
    """n equal pixels in a row have the variance (n^2 - 1) / 12; the axis is 4 standard deviations, less one pixel."""
    ellipse = regions("....... .#####. .#####. .#####.").ellipse(0)
    assert (ellipse.x, ellipse.y) == (3.0, 2.0)
    assert ellipse.major == pytest.approx(4 * np.sqrt(24 / 12) - 1)
    assert ellipse.minor == pytest.approx(4 * np.sqrt(8 / 12) - 1)
    assert abs(ellipse.angle) == pytest.approx(90)


@pytest.mark.parametrize(("rows", "angle"), [("#.. .#. ..#", 45), ("..# .#. #..", -45), ("# # #", 0)])
def test_ellipse_of_a_line_has_its_direction(rows, angle):
    ellipse = regions(rows).ellipse(0)
    assert ellipse.minor == pytest.approx(-1)
    assert ellipse.angle == pytest.approx(angle)


# -- ellipses


def test_pixels_of_an_ellipse():
    (rows, columns), inside = Ellipse(x=5.2, y=4.0, minor=0, major=0, angle=90.0).pixels((2, 4), (9, 20))
    assert (rows, columns) == (slice(0, 9), slice(0, 12))
    assert inside[4].nonzero()[0].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert inside[:, 5].nonzero()[0].tolist() == [3, 4, 5]


def test_box_of_an_ellipse_ends_with_the_plane():
    box, inside = Ellipse(0.0, 8.0, 0, 0, 0.0).pixels((3, 3), (10, 10))
    assert box == (slice(3, 10), slice(0, 6))
    assert inside.shape == (7, 6)
    assert inside.sum() == 4 * 3  # of five rows the last is cut off, and of five columns the first two


def test_ellipse_without_an_axis_has_no_pixels():
    assert not Ellipse(5.0, 5.0, 0, 0, 0.0).pixels((0, 4), (10, 10))[1].any()


def test_ellipse_contains_its_centre_and_the_ends_of_its_axes():
    """As if its angle were that from the x axis: so the official pipeline looks for cores."""
    ellipse = Ellipse(x=10.0, y=20.0, minor=4.0, major=10.0, angle=0.0)
    points = np.array([(10, 20), (14.9, 20), (15.1, 20), (10, 21.9), (10, 22.1)])
    assert ellipse.contains(points).tolist() == [True, True, False, True, False]
    assert ellipse._replace(angle=90.0).contains(points).tolist() == [True, False, False, True, True]


# -- the step


def test_number_of_snowballs_is_noted(ramp, reference):
    """Snowballs per second and million pixels; a core that forgets DO_NOT_USE brings a group back to use."""
    groupdq = snowball(core=6.0)
    groupdq[0, 4] |= DNU
    exposure = ramp(np.zeros(SHAPE), groupdq=groupdq, group_time=10.0)
    plane = SHAPE[2:]
    references = reference("gain", data=np.ones(plane)), reference("readnoise", data=np.ones(plane))
    Jump(**STEP).process(exposure, *references)
    assert exposure.meta.exposure.extended_emission_events == 1e6 / (10.0 * 4 * 100 * 120)


def test_backends_agree_bit_for_bit(same_as_twins, make_ramp, make_reference, rng):
    shape = (2, 6, 60, 70)
    data = np.cumsum(rng.normal(16, 5, shape) + (rng.random(shape) < 0.02) * 300, axis=1)
    groupdq = snowball(shape, core=5.0, centre=(30, 40)) | snowball(shape, 1, 3, centre=(10, 12), core=0)
    data[..., disc(8.0, (30, 40), shape[2:])] += 300 * (np.arange(6) >= 2)[:, None]

    def run(device):
        plane = shape[2:]
        references = [make_reference(device, t, data=np.ones(plane)) for t in ("gain", "readnoise")]
        return Jump(**STEP).process(make_ramp(device, data, groupdq=groupdq), *references)

    same_as_twins(run)
