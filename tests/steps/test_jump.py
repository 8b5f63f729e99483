"""Jump: a hit is flagged in the group it arrives in, with the neighbours it reaches, and nothing else is.

Unless a test says otherwise, ramps rise by 16 electrons per group, and the read noise of a difference is 3: the
expected scatter of a difference is sqrt(16 + 3^2) = 5.
"""

import numpy as np
import pytest

from gpucal import differences
from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.errors import ReferenceFileError
from gpucal.steps import Jump

DNU, SAT, JUMP = GROUP.DO_NOT_USE, GROUP.SATURATED, GROUP.JUMP_DET
RISE, READNOISE, SIGMA = 16.0, 3.0, 5.0


def ramps(shape=(1, 6, 1, 1), **hits):
    """Straight ramps, with hits of a size that begin at (integration, group, y, x)."""
    data = np.broadcast_to(RISE * np.arange(shape[1]).reshape(1, -1, 1, 1), shape).copy()
    for place, size in hits.items():
        integration, group, y, x = (int(digit) for digit in place[1:])
        data[integration, group:, y, x] += size
    return data


@pytest.fixture
def exposure_after(ramp, reference):
    """Run the step and return the exposure; the gain is 1 and the read noise 3 unless given."""

    def run(data, step=None, gain=1.0, readnoise=READNOISE, **options):
        exposure = ramp(data, **options)
        plane = exposure.shape[2:]
        gain, readnoise = (np.broadcast_to(value, plane) for value in (gain, readnoise))
        (step or Jump()).process(exposure, reference("gain", data=gain), reference("readnoise", data=readnoise))
        return exposure

    return run


@pytest.fixture
def flags(exposure_after):
    """Run the step and return the group flags, as a list where there is one pixel and one integration."""

    def run(*arguments, **options):
        result = to_host(exposure_after(*arguments, **options).groupdq)
        return result.ravel().tolist() if result.shape[2:] == (1, 1) and len(result) == 1 else result

    return run


# -- one hit


def test_hit_is_flagged_in_the_group_it_arrives_in(flags):
    assert flags(ramps(_0300=100)) == [0, 0, 0, JUMP, 0, 0]


def test_straight_ramp_has_no_jump(flags):
    assert flags(ramps()) == [0] * 6


def test_hit_must_exceed_the_threshold(flags):
    assert flags(ramps(_0300=4 * SIGMA)) == [0] * 6
    assert flags(ramps(_0300=4 * SIGMA + 0.01)) == [0, 0, 0, JUMP, 0, 0]


def test_threshold_can_be_set(flags):
    assert flags(ramps(_0300=6 * SIGMA), step=Jump(rejection_threshold=6.0)) == [0] * 6
    assert flags(ramps(_0300=6 * SIGMA + 0.01), step=Jump(rejection_threshold=6.0)) == [0, 0, 0, JUMP, 0, 0]


@pytest.mark.parametrize(("ngroups", "threshold"), [(3, 6.0), (4, 5.0), (5, 4.0)])
def test_fewer_differences_have_a_higher_threshold(flags, ngroups, threshold):
    ends_in = [0] * (ngroups - 1)
    assert flags(ramps((1, ngroups, 1, 1), **{f"_0{ngroups - 1}00": threshold * SIGMA})) == [*ends_in, 0]
    assert flags(ramps((1, ngroups, 1, 1), **{f"_0{ngroups - 1}00": threshold * SIGMA + 0.01})) == [*ends_in, JUMP]


def test_differences_of_all_integrations_count(flags):
    """Two integrations of three groups have four differences."""
    result = flags(ramps((2, 3, 1, 1), _1100=4 * SIGMA + 0.01))
    np.testing.assert_array_equal(result.reshape(2, 3), [[0, 0, 0], [0, JUMP, 0]])


def test_drop_is_a_jump_too(flags):
    """Sizes are compared, not signs: -52 is as far from 16 as 52."""
    assert flags(ramps(_0300=-16 - 52)) == [0, 0, 0, JUMP, 0, 0]


def test_counts_are_judged_in_electrons(flags):
    """With a gain of 4, a rise of 4 DN is 16 electrons and a read noise of 0.75 DN is 3."""
    data = ramps(_0300=4 * SIGMA + 0.1) / 4
    assert flags(data, gain=4.0, readnoise=0.75) == [0, 0, 0, JUMP, 0, 0]
    assert flags(data, gain=4.0, readnoise=3.0) == [0] * 6


def test_averaging_frames_lowers_the_read_noise(flags):
    """The read noise of 6 is that of single frames: 6^2 / 4 = 3^2."""
    assert flags(ramps(_0300=4 * SIGMA + 0.01), readnoise=6.0, nframes=4) == [0, 0, 0, JUMP, 0, 0]
    assert flags(ramps(_0300=4 * SIGMA), readnoise=6.0, nframes=4) == [0] * 6


# -- several hits


def test_large_hit_does_not_hide_a_small_one(flags):
    assert flags(ramps((1, 7, 1, 1), _0200=5000, _0500=50)) == [0, 0, JUMP, 0, 0, JUMP, 0]


def test_equal_hits_are_both_flagged(flags):
    assert flags(ramps((1, 7, 1, 1), _0200=100, _0500=100)) == [0, 0, JUMP, 0, 0, JUMP, 0]


def test_hits_in_adjacent_groups_are_both_flagged(flags):
    assert flags(ramps((1, 7, 1, 1), _0200=100, _0300=200)) == [0, 0, JUMP, JUMP, 0, 0, 0]


@pytest.mark.parametrize("ngroups", [8, 12], ids=["one at a time", "all at once"])
def test_injected_hits_are_found_in_noise(flags, rng, ngroups):
    shape = (1, ngroups, 40, 50)
    data = np.cumsum(rng.normal(RISE, SIGMA, shape), axis=1)
    hits = np.zeros(shape, bool)
    hits[:, 1:] = rng.random((1, ngroups - 1, 40, 50)) < 0.01
    data += np.cumsum(hits * 20 * SIGMA, axis=1)
    found = flags(data, step=Jump(flag_4_neighbors=False)) == JUMP
    assert found[hits].all()
    assert found[~hits].mean() < 1e-3


# -- many differences: all at once


def test_from_ten_differences_on_all_hits_are_found_at_once(flags):
    expected = [0] * 11
    expected[3] = expected[8] = JUMP
    assert flags(ramps((1, 11, 1, 1), _0300=100, _0800=4 * SIGMA + 0.01)) == expected


def test_at_once_there_is_one_threshold_however_few_differences(flags):
    data = ramps((1, 4, 1, 1), _0300=4.5 * SIGMA)
    assert flags(data) == [0, 0, 0, 0]  # one at a time, three differences need 5 sigma
    assert flags(data, step=Jump(min_diffs_single_pass=3)) == [0, 0, 0, JUMP]


def test_at_once_hits_in_most_differences_hide_each_other(flags):
    data = ramps((1, 5, 1, 1), _0100=1000, _0200=1000, _0300=1000)
    assert flags(data, step=Jump(min_diffs_single_pass=4)) == [0, 0, 0, 0, JUMP]


# -- long time series: clipping


def series(nints=100, **hits):
    """Two pixels, so that a flag is never that of a whole group; the second has no hits."""
    return ramps((nints, 3, 1, 2), **hits)


@pytest.fixture
def clipped(flags):
    """Run the step, without neighbours, and return the places that were flagged."""

    def run(data, step=None, **options):
        return np.argwhere(flags(data, step=step or Jump(flag_4_neighbors=False), **options)).tolist()

    return run


def test_from_a_hundred_integrations_on_outliers_of_the_same_difference_are_flagged(clipped):
    assert clipped(series(_7200=1000)) == [[7, 2, 0, 0]]


def test_clipping_knows_no_photon_noise(clipped):
    """A difference that varies from integration to integration is fine, however small the read noise."""
    data = series()
    data[::2, 1:, 0, 0] += 500
    assert clipped(data, readnoise=1e-3) == []


def test_clipping_is_repeated(clipped):
    """The large hit hides the small one in the first round."""
    assert clipped(series(_2100=1e5, _5100=1000)) == [[2, 1, 0, 0], [5, 1, 0, 0]]


def test_clipping_ends_after_five_rounds(clipped):
    """Each hit hides the next smaller one."""
    sizes = {f"_{i}200": 1000.0 * 20**i for i in range(7)}
    assert [integration for integration, *_ in clipped(series(**sizes))] == [2, 3, 4, 5, 6]


def test_differences_can_be_clipped_all_together(clipped):
    data = ramps((2, 60, 1, 2), _0900=1000)
    assert clipped(data, step=Jump(only_use_ints=False, flag_4_neighbors=False)) == [[0, 9, 0, 0]]


def test_number_of_integrations_for_clipping_can_be_set(clipped):
    step = Jump(minimum_sigclip_groups=30, flag_4_neighbors=False)
    assert clipped(series(nints=30, _7200=1000), step=step, readnoise=1e6) == [[7, 2, 0, 0]]


def test_jumps_that_fill_a_whole_group_are_taken_back(flags):
    """As the official pipeline does."""
    assert not flags(ramps((100, 3, 1, 1), _7200=1000)).any()


def test_jumps_that_fill_a_group_together_with_unused_pixels_are_taken_back(flags):
    groupdq = np.zeros((100, 3, 1, 2))
    groupdq[7, 2, 0, 1] = DNU
    result = flags(series(_7200=1000), groupdq=groupdq)
    assert np.argwhere(result & JUMP).tolist() == []
    assert result[7, 2, 0, 1] == DNU


# -- groups that are not used


@pytest.mark.parametrize("flag", [DNU, SAT])
def test_differences_with_an_unused_group_are_not_judged(flags, flag):
    data = ramps()
    data[0, 3] += 1000
    assert flags(data, groupdq=[0, 0, 0, flag, 0, 0]) == [0, 0, 0, flag, 0, 0]


@pytest.mark.parametrize("flag", [DNU, SAT])
def test_jump_flag_of_an_unused_group_is_dropped(flags, flag):
    assert flags(ramps(), groupdq=[0, 0, 0, JUMP | flag, 0, 0]) == [0, 0, 0, flag, 0, 0]


def test_hit_across_an_unused_group_is_not_seen(flags):
    assert flags(ramps(_0300=1000), groupdq=[0, 0, 0, DNU, 0, 0]) == [0, 0, 0, DNU, 0, 0]


def test_other_flags_do_not_matter(flags):
    assert flags(ramps(_0300=100), groupdq=[32, 64, 128, 16, 8, 0]) == [32, 64, 128, 16 | JUMP, 8, 0]


@pytest.mark.parametrize(("unused", "found"), [(0, [0, 0, 0, JUMP]), (1, [DNU, 0, 0, JUMP]), (2, [DNU, DNU, 0, 0])])
def test_three_groups_must_be_usable_somewhere(flags, unused, found):
    groupdq = [DNU] * unused + [0] * (4 - unused)
    assert flags(ramps((1, 4, 1, 1), _0300=1000), groupdq=groupdq) == found


# -- neighbours


def around(result, integration=0, group=3):
    """Which pixels of a group are flagged as jumps."""
    return (result[integration, group] & JUMP != 0).astype(int).tolist()


CROSS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
ALONE = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_large_hit_flags_the_four_neighbours_in_the_same_group(flags):
    result = flags(ramps((1, 6, 3, 3), _0311=200))
    assert around(result) == CROSS
    assert not result[0, [0, 1, 2, 4, 5]].any()


@pytest.mark.parametrize(
    ("size", "reached"), [(10 * SIGMA, ALONE), (10 * SIGMA + 0.1, CROSS), (999 * SIGMA, CROSS), (1000 * SIGMA, ALONE)]
)
def test_only_hits_of_a_certain_size_reach_the_neighbours(flags, size, reached):
    assert around(flags(ramps((1, 6, 3, 3), _0311=size))) == reached


def test_limits_of_that_size_can_be_set(flags):
    step = Jump(min_jump_to_flag_neighbors=50.0, max_jump_to_flag_neighbors=60.0)
    sizes = {49: ALONE, 55: CROSS, 61: ALONE}
    assert {s: around(flags(ramps((1, 6, 3, 3), _0311=s * SIGMA), step=step)) for s in sizes} == sizes


def test_neighbours_can_be_left_alone(flags):
    assert around(flags(ramps((1, 6, 3, 3), _0311=200), step=Jump(flag_4_neighbors=False))) == ALONE


def test_neighbours_do_not_wrap_around_the_edges(flags):
    assert around(flags(ramps((1, 6, 3, 3), _0302=200))) == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert around(flags(ramps((1, 6, 3, 3), _0320=200))) == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


@pytest.mark.parametrize("flag", [DNU, SAT])
def test_unused_neighbours_are_not_flagged(flags, flag):
    groupdq = np.zeros((1, 6, 3, 3))
    groupdq[0, 3, 1, 0] = flag
    result = flags(ramps((1, 6, 3, 3), _0311=200), groupdq=groupdq)
    assert around(result) == [[0, 1, 0], [0, 1, 1], [0, 1, 0]]
    assert result[0, 3, 1, 0] == flag


def test_neighbours_of_other_integrations_stay(flags):
    result = flags(ramps((2, 6, 3, 3), _1311=200))
    assert not result[0].any()
    assert around(result, integration=1) == CROSS


def test_neighbours_are_flagged_in_late_groups(flags):
    """Groups are noted 32 to a word."""
    data = ramps((1, 70, 3, 3))
    for group in (31, 32, 33, 63, 64, 69):
        data[0, group:, 1, 1] += 200
    result = flags(data)
    assert [g for g in range(70) if around(result, group=g) == CROSS] == [31, 32, 33, 63, 64, 69]


# -- groups after a jump


def test_groups_within_a_time_after_a_large_jump_are_flagged(flags):
    step = Jump(after_jump_flag_dn1=90.0, after_jump_flag_time1=25.0)
    assert flags(ramps((1, 8, 1, 1), _0300=100), step=step, group_time=10.0) == [0, 0, 0, JUMP, JUMP, JUMP, 0, 0]


def test_small_jumps_have_no_afterglow(flags):
    step = Jump(after_jump_flag_dn1=110.0, after_jump_flag_time1=25.0)
    assert flags(ramps((1, 8, 1, 1), _0300=100), step=step) == [0, 0, 0, JUMP, 0, 0, 0, 0]


def test_two_settings_work_side_by_side(flags):
    step = Jump(
        after_jump_flag_dn1=90.0, after_jump_flag_time1=10.0, after_jump_flag_dn2=900.0, after_jump_flag_time2=30.0
    )
    small, large = ramps((1, 8, 1, 1), _0200=100), ramps((1, 8, 1, 1), _0200=1000)
    assert flags(small, step=step) == [0, 0, JUMP, JUMP, 0, 0, 0, 0]
    assert flags(large, step=step) == [0, 0, JUMP, JUMP, JUMP, JUMP, 0, 0]


def test_unused_groups_are_not_flagged_after_a_jump(flags):
    step = Jump(after_jump_flag_dn1=90.0, after_jump_flag_time1=30.0)
    groupdq = [0, 0, 0, 0, SAT, 0, DNU, 0, 0]
    expected = [0, 0, 0, JUMP, SAT, JUMP, DNU, 0, 0]
    assert flags(ramps((1, 9, 1, 1), _0300=100), step=step, groupdq=groupdq) == expected


def test_time_after_a_jump_ends_with_the_integration(flags):
    step = Jump(after_jump_flag_dn1=90.0, after_jump_flag_time1=1000.0)
    result = flags(ramps((2, 6, 1, 1), _0300=100), step=step).reshape(2, 6)
    np.testing.assert_array_equal(result, [[0, 0, 0, JUMP, JUMP, JUMP], [0] * 6])


def test_size_of_an_afterglow_is_in_counts_of_the_median_gain(flags):
    """The gains are 1, 2 and NaN; 60 DN are 90 electrons at the median gain of 1.5."""
    step = Jump(after_jump_flag_dn1=60.0, after_jump_flag_time1=10.0, flag_4_neighbors=False)
    data = ramps((1, 6, 1, 3), _0200=89, _0201=46)  # electrons of the first, DN of the second
    result = flags(data, gain=[[1.0, 2.0, np.nan]], step=step)
    assert result[0, :, 0].T.tolist() == [[0, 0, JUMP, 0, 0, 0], [0, 0, JUMP, JUMP, 0, 0], [0] * 6]


# -- pixels that cannot be judged


@pytest.mark.parametrize("gain", [0.0, -1.0, np.nan])
def test_pixel_without_a_usable_gain_is_flagged(exposure_after, gain):
    exposure = exposure_after(ramps((1, 6, 1, 2)), gain=[[gain, 1.0]], pixeldq=BITS["HOT"])
    expected = [[BITS["NO_GAIN_VALUE"] | BITS["DO_NOT_USE"] | BITS["HOT"], BITS["HOT"]]]
    np.testing.assert_array_equal(to_host(exposure.pixeldq), expected)


def test_pixel_without_a_read_noise_is_never_judged(flags):
    data, step = ramps((1, 6, 1, 2), _0300=100, _0301=100), Jump(flag_4_neighbors=False)
    result = flags(data, readnoise=[[np.nan, 3.0]], step=step)
    assert result[0, 3, 0].tolist() == [0, JUMP]


@pytest.mark.parametrize("ngroups", [6, 12])
def test_pixel_without_any_expected_scatter_is_never_judged(flags, ngroups):
    data = np.zeros((1, ngroups, 1, 1))
    data[0, 3:] = 100
    assert flags(data, readnoise=0.0) == [0] * ngroups


# -- the step


def test_counts_and_pixel_flags_stay(exposure_after):
    data = ramps((1, 6, 3, 3), _0311=200)
    exposure = exposure_after(data, pixeldq=BITS["WARM"])
    np.testing.assert_array_equal(to_host(exposure.data), data)
    assert (to_host(exposure.pixeldq) == BITS["WARM"]).all()


@pytest.mark.parametrize("ngroups", [1, 2])
def test_two_groups_are_too_few(ramp, references, reference, ngroups):
    exposure = ramp((1, ngroups, 1, 1))
    given = references(gain=reference("gain", data=[[-1.0]]), readnoise=reference("readnoise", data=[[1.0]]))
    _, outcome = Jump().run(exposure, given)
    assert (outcome.status, outcome.reason) == ("SKIPPED", "two groups or fewer")
    assert not to_host(exposure.pixeldq).any()


@pytest.mark.parametrize("missing", ["gain", "readnoise"])
def test_exposure_fails_without_its_references(ramp, references, reference, missing):
    given = {reftype: reference(reftype, data=[[1.0]]) for reftype in ("gain", "readnoise") if reftype != missing}
    with pytest.raises(ReferenceFileError, match=f"jump: no {missing} reference for exposure.fits"):
        Jump().run(ramp([1, 2, 3]), references(**given))


def test_rate_of_hits_is_noted(exposure_after):
    """Hits per second and 1000 pixels, before their neighbours are flagged; groups unused throughout are no time."""
    groupdq = np.zeros((2, 6, 5, 4))
    groupdq[:, 0] = DNU
    data = ramps((2, 6, 5, 4), _0322=200, _1422=200, _1511=200)
    meta = exposure_after(data, groupdq=groupdq, group_time=10.0).meta
    seconds = 10.0 * (2 * 6 - 2 - 2)
    assert meta.exposure.primary_cosmic_rays == 1000 * 3 / (seconds * 20)
    assert meta.exposure.extended_emission_events == 0


# -- backends, and the memory for long ramps

CASES = {
    "one at a time": ((3, 7, 11, 13), {}),
    "one at a time, long": ((10, 8, 11, 13), {}),
    "all at once": ((1, 12, 11, 13), {}),
    "all at once, long": ((2, 40, 11, 13), {}),
    "as many differences as a lane keeps": ((1, 65, 11, 13), {}),
    "one difference more": ((1, 66, 11, 13), {}),
    "three groups": ((1, 3, 11, 13), {}),
    "four groups": ((1, 4, 11, 13), {}),
    "time series": ((101, 3, 5, 7), {}),
    "all differences": ((2, 60, 5, 7), {"only_use_ints": False}),
    "afterglow": ((1, 12, 11, 13), {"after_jump_flag_dn1": 5.0, "after_jump_flag_time1": 30.0}),
    "afterglow, long": ((2, 40, 11, 13), {"after_jump_flag_dn2": 5.0, "after_jump_flag_time2": 30.0}),
}


@pytest.fixture
def random_run(make_ramp, make_reference, rng):
    """Prepare a run(device) on a random exposure with hits, bad groups and bad references."""

    def prepare(shape, **parameters):
        data = np.cumsum(rng.normal(RISE, 6, shape), axis=1)
        data += np.cumsum((rng.random(shape) < 0.05) * rng.uniform(-100, 400, shape), axis=1)
        groupdq = rng.choice(np.array([0, DNU, SAT, JUMP, JUMP | DNU], "u1"), shape, p=[0.9, 0.03, 0.03, 0.03, 0.01])
        plane = shape[2:]
        gain = np.where(rng.random(plane) < 0.05, rng.choice([0, -1, np.nan], plane), rng.uniform(1, 3, plane))
        readnoise = np.where(rng.random(plane) < 0.05, rng.choice([0, np.nan], plane), rng.uniform(2, 4, plane))

        def run(device):
            references = make_reference(device, "gain", data=gain), make_reference(device, "readnoise", data=readnoise)
            return Jump(**parameters).process(make_ramp(device, data, groupdq=groupdq, nframes=2), *references)

        return run

    return prepare


@pytest.mark.parametrize(("shape", "parameters"), CASES.values(), ids=CASES)
def test_backends_agree_bit_for_bit(same_as_twins, random_run, shape, parameters):
    same_as_twins(random_run(shape, **parameters))


@pytest.mark.parametrize("name", ["one at a time, long", "all at once, long", "time series", "afterglow, long"])
def test_scratch_memory_makes_no_difference(backend, random_run, monkeypatch, name):
    shape, parameters = CASES[name]
    run = random_run(shape, **parameters)
    expected = to_host(run(backend).groupdq)
    for pixels in (1, 10):
        monkeypatch.setattr(differences, "SCRATCH", 4 * shape[0] * (shape[1] - 1) * pixels)
        np.testing.assert_array_equal(to_host(run(backend).groupdq), expected)
