"""Showers: faint light over many pixels is found by averaging, flagged with the groups after it, and nothing else is.

Ramps rise by 16 electrons per group, with the noise of one frame sqrt(2), so that a difference scatters by about 5.
"""

import numpy as np
import pytest

from gpucal import differences
from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.large_events import showers
from gpucal.steps import Jump

DNU, SAT, JUMP = GROUP.DO_NOT_USE, GROUP.SATURATED, GROUP.JUMP_DET
SHAPE = (1, 14, 60, 80)
GROUP_TIME = 3.0
SIZE = 12.0  # electron, above a scatter of 5


def ellipse(shape=SHAPE, y0=30, x0=40, radii=(10, 14)):
    y, x = np.ogrid[: shape[2], : shape[3]]
    return np.hypot((y - y0) / radii[0], (x - x0) / radii[1])


@pytest.fixture
def rising(rng):
    """Make quiet ramps, with showers of a size at (integration, group)."""

    def make(shape=SHAPE, at=(), size=SIZE, **where):
        steps = rng.normal(16, 4, shape)
        for integration, group in at:
            steps[integration, group, ellipse(shape, **where) < 1] += size
        return np.cumsum(steps, axis=1)

    return make


@pytest.fixture
def exposure_after(make_ramp, make_reference, backend):
    """Run the step, which finds showers, and return the exposure."""

    def run(data, device=backend, step=None, **options):
        plane = data.shape[2:]
        references = [make_reference(device, t, data=np.full(plane, v)) for t, v in (("gain", 1), ("readnoise", 3))]
        exposure = make_ramp(device, data, group_time=GROUP_TIME, **options)
        return Jump(find_showers=True, **(step or {})).process(exposure, *references)

    return run


@pytest.fixture
def flags(exposure_after):
    """Run the step and return the group flags."""
    return lambda *arguments, **options: to_host(exposure_after(*arguments, **options).groupdq)


def share(groupdq, integration, group):
    """The share of pixels well inside and well outside the shower that are flagged as jumps."""
    jumps = groupdq[integration, group] & JUMP != 0
    distance = ellipse((*groupdq.shape[:2], *jumps.shape))
    return jumps[distance < 0.8].mean(), jumps[distance > 1.6].mean()


def test_shower_is_flagged_in_its_group_and_some_time_after_it(flags, rising):
    result = flags(rising(at=[(0, 5)]), step={"time_masked_after_shower": 7.0})
    for group in range(14):
        inside, outside = share(result, 0, group)
        assert inside > 0.95 if group in (5, 6, 7) else inside < 0.02
        assert outside < 0.02


def test_without_a_shower_none_is_found(exposure_after, rising):
    assert exposure_after(rising()).meta.exposure.extended_emission_events == 0


def test_faint_shower_is_not_found(flags, rising):
    data = rising(at=[(0, 5)], size=5.0)
    assert share(flags(data), 0, 5)[0] < 0.02
    assert share(flags(data, step={"extend_snr_threshold": 0.95}), 0, 5)[0] > 0.9


def test_small_shower_is_not_found(flags, rising):
    data = rising(at=[(0, 5)], radii=(3, 5))  # 47 pixels
    steps = [{"extend_min_area": area, "rejection_threshold": 50.0} for area in (90, 30)]
    assert not flags(data, step=steps[0]).any()
    assert (flags(data, step=steps[1])[0, 5] & JUMP != 0).sum() > 30


def test_wider_ellipse_flags_more(flags, rising):
    data = rising(at=[(0, 5)])
    counts = [
        (flags(data, step={"extend_ellipse_expand_ratio": ratio})[0, 5] & JUMP != 0).sum() for ratio in (1.0, 1.5)
    ]
    assert counts[1] == pytest.approx(counts[0] * 1.5 * (14 + 5) / 14, rel=0.15)


def test_shower_of_another_integration_leaves_this_one(flags, rising):
    result = flags(rising((2, 8, 60, 80), at=[(1, 3)]))
    assert not result[0].any() or share(result, 0, 3)[0] < 0.02
    assert share(result, 1, 3)[0] > 0.95


def test_number_of_showers_is_noted(exposure_after, rising):
    """Showers per second and million pixels."""
    meta = exposure_after(rising((2, 8, 60, 80), at=[(0, 3), (1, 5)])).meta
    assert meta.exposure.extended_emission_events == 1e6 * 2 / (GROUP_TIME * 14 * 60 * 80)


def test_rate_must_not_change_more_than_by_showers(flags, rising):
    """3 s x 6 electrons per second: the mean of 13 differences changes by size / 13 as one of them is left out."""
    step = {"time_masked_after_shower": 0.0, "rejection_threshold": 1000.0}
    for size, expected in ((13 * 12, 1), (13 * 24, 0)):
        assert share(flags(rising(at=[(0, 5)], size=size), step=step), 0, 5)[0] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("flag", [DNU, SAT])
def test_unused_groups(flags, rising, flag):
    """A saturated pixel is not flagged; officially, one that is not to be used is."""
    groupdq = np.zeros(SHAPE, "u1")
    groupdq[0, 6, 30, 40] = flag
    result = flags(rising(at=[(0, 5)]), groupdq=groupdq)
    assert result[0, 5, 30, 40] == JUMP
    assert result[0, 6, 30, 40] == (SAT if flag == SAT else DNU | JUMP)


def test_nothing_is_flagged_after_saturation(flags, rising):
    groupdq = np.zeros(SHAPE, "u1")
    groupdq[0, 6, 30, 40] = SAT
    result = flags(rising(at=[(0, 5)]), groupdq=groupdq)
    assert result[0, 7, 30, 41] & JUMP
    assert not result[0, 7, 30, 40]


def test_reference_pixels_are_not_flagged(flags, rising):
    pixeldq = np.zeros(SHAPE[2:], "u4")
    pixeldq[:, 36:44] = BITS["REFERENCE_PIXEL"]
    quiet = rising(at=[(0, 5)])
    quiet[..., 36:44] = 0
    assert not flags(quiet, pixeldq=pixeldq)[..., 36:44].any()


@pytest.mark.parametrize(("ngroups", "found"), [(10, False), (11, True)])
def test_ten_differences_are_needed(flags, rising, ngroups, found):
    result = flags(rising((1, ngroups, 60, 80), at=[(0, 5)]), step={"rejection_threshold": 50.0})
    assert bool(result.any()) == found


def test_margin_of_the_plane_counts_as_empty(flags, rising):
    """A shower in a corner is still found, though its mean is diluted there."""
    result = flags(rising(at=[(0, 5)], y0=0, x0=0, radii=(20, 20)))
    assert (result[0, 5, 4:12, 4:12] & JUMP).all()


def test_ring_has_the_pixels_between_its_radii():
    offsets, margin = showers._ring(1.0, 2.0, nx=10)
    assert margin == 2
    width = 10 + 2 * margin
    pairs = [(0, -2), (0, -1), (0, 1), (0, 2), (-2, 0), (-1, 0), (1, 0), (2, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    assert sorted(offsets) == sorted(y * width + x for y, x in pairs)


# -- backends

CASES = {
    "few differences": ((1, 14, 40, 37), {}),
    "many differences": ((2, 40, 40, 37), {}),
    "time series": ((12, 4, 40, 37), {"minimum_sigclip_groups": 12}),
    "clipping all differences": ((2, 14, 40, 37), {"minimum_sigclip_groups": 20, "only_use_ints": False}),
    "with snowballs": ((2, 14, 40, 37), {"expand_large_events": True, "min_sat_radius_extend": 0.0, "edge_size": 3}),
    "too few usable groups": ((12, 4, 40, 37), {}),
}


@pytest.fixture
def random_run(exposure_after, rising, rng):
    """Prepare a run(device) on a random exposure with showers, hits and flags of all kinds."""

    def prepare(name):
        shape, parameters = CASES[name]
        data = rising(shape, at=[(0, 2)], y0=20, x0=18)
        data += np.cumsum((rng.random(shape) < 0.01) * 300, axis=1)
        some = np.array([0, DNU, SAT, JUMP, JUMP | DNU, 32, JUMP | 32, DNU | 64], "u1")
        groupdq = rng.choice(some, shape, p=[0.86] + [0.02] * 7)
        if name == "too few usable groups":
            groupdq[:, 0] |= DNU
            groupdq[:, 3] |= DNU
        pixeldq = rng.choice(np.array([0, 1, 2, 4, 1 << 31, (1 << 31) | 1], "u4"), shape[2:], p=[0.9] + [0.02] * 5)
        step = {"extend_snr_threshold": 1.1, "extend_min_area": 40} | parameters
        return lambda device: exposure_after(data, device, step=step, groupdq=groupdq, pixeldq=pixeldq, nframes=2)

    return prepare


@pytest.mark.parametrize("name", CASES)
def test_backends_agree_bit_for_bit(same_as_twins, random_run, name):
    same_as_twins(random_run(name))


@pytest.mark.parametrize("name", ["many differences", "time series"])
def test_memory_makes_no_difference(backend, random_run, monkeypatch, name):
    run = random_run(name)
    expected = run(backend)
    assert expected.meta.exposure.extended_emission_events > 0
    monkeypatch.setattr(showers, "BATCH", 1)
    monkeypatch.setattr(differences, "SCRATCH", 4 * 100 * 300)
    np.testing.assert_array_equal(to_host(run(backend).groupdq), to_host(expected.groupdq))
