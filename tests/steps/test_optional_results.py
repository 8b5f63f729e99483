"""Optional results of a ramp fit: what is known of every segment and every jump."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.steps import RampFit

JUMP, SAT, DNU = GROUP.JUMP_DET, GROUP.SATURATED, GROUP.DO_NOT_USE
SAVED = RampFit(save_opt=True)
TIMES = {"group_time": 10.0, "frame_time": 1.0, "nframes": 8, "groupgap": 2}
NOISE = 2.0  # electron, of a group: 4 DN * gain 2 / sqrt(2 * 8)


@pytest.fixture
def results(ramp, reference):
    """Fit one pixel; return the arrays of the optional results, without the axes of the pixel."""

    def run(data, step=SAVED, dropped=None, **options):
        exposure = ramp(data, **TIMES | options)
        exposure.meta.exposure.drop_frames1 = dropped
        files = (reference("readnoise", data=[[4.0]]), reference("gain", data=[[2.0]]))
        optional = step.process(exposure, *files).optional
        return {name: to_host(getattr(optional, name))[..., 0, 0].tolist() for name in optional.arrays}

    return run


def straight(n, slope=5.0, offset=100.0):
    return offset + 10 * slope * np.arange(n)


def test_every_segment_has_its_own_fit(results):
    data = np.concatenate([straight(3), [700, 790, 880, 970]])
    found = results(data, groupdq=[0, 0, 0, JUMP, 0, 0, 0])
    assert found["slope"] == [[5, 9]]
    np.testing.assert_allclose(found["var_rnoise"], [[12 * 0.04 / (24 * 4), 12 * 0.04 / (60 * 4)]], rtol=1e-6)
    np.testing.assert_allclose(found["weights"], 1 / np.array(found["var_rnoise"]), rtol=1e-6)
    np.testing.assert_allclose(found["yint"], [[100, 700 - 3 * 90]], rtol=1e-6)
    assert found["crmag"] == [[700 - 200]]


def test_standard_deviations_are_those_of_the_weights(results):
    """Of equal weights: least squares over 5 faint groups, each of the read noise alone."""
    found = results(straight(5, slope=0.01))
    spread = np.sum((np.arange(5) - 2.0) ** 2)
    np.testing.assert_allclose(found["sigslope"], [[NOISE / np.sqrt(spread)]], rtol=1e-6)
    np.testing.assert_allclose(found["sigyint"], [[NOISE * np.sqrt(30 / (5 * spread))]], rtol=1e-6)


def test_two_groups_have_the_deviation_of_their_difference(results):
    found = results([100, 160])
    assert found["slope"] == [[6]]
    np.testing.assert_allclose([found["sigslope"], found["sigyint"]], np.sqrt(2) * NOISE, rtol=1e-6)
    assert found["yint"] == [[100]]


def test_pedestal_is_the_signal_before_the_integration(results):
    """The first group is the mean of 8 frames, 4.5 of 10 frame times after the reset, and after dropped frames.

    As in the official product, whose rates are DN/s but are taken as DN per group here.
    """
    assert results(straight(4))["pedestal"] == [pytest.approx(100 - 5 * 4.5 / 10)]
    assert results(straight(4), dropped=2)["pedestal"] == [pytest.approx(100 - 5 * 6.5 / 10)]


@pytest.mark.parametrize("groupdq", [[SAT, SAT, SAT], [DNU, DNU, DNU]])
def test_ramp_that_cannot_be_used_leaves_zeros(results, groupdq):
    data = np.repeat(straight(3).reshape(1, 3, 1, 1), 2, axis=0)
    groupdq = np.stack([groupdq, [0, 0, 0]]).reshape(2, 3, 1, 1)
    found = results(data, groupdq=groupdq)
    assert found["slope"] == [[0], [5]]
    assert found["weights"][0] == [0]
    assert found["pedestal"][0] == 0


def test_there_is_room_for_the_most_segments_and_jumps_of_any_integration(results):
    data = np.repeat(straight(6).reshape(1, 6, 1, 1), 2, axis=0)
    groupdq = np.array([[0, 0, 0, 0, 0, 0], [0, 0, JUMP, 0, JUMP, 0]]).reshape(2, 6, 1, 1)
    found = results(data, groupdq=groupdq)
    assert found["slope"] == [[5, 0, 0], [5, 5, 5]]
    assert found["crmag"] == [[0, 0], [50, 50]]


def test_lone_groups_have_room_though_one_is_kept(results):
    """As in the official product."""
    found = results([30, 1, 99, 1, 70], groupdq=[0, DNU, 0, DNU, 0])
    assert found["slope"] == [[3, 0, 0]]


def test_nothing_more_is_made_unless_asked_for(ramp, reference):
    files = (reference("readnoise", data=[[4.0]]), reference("gain", data=[[2.0]]))
    assert RampFit().process(ramp(straight(3)), *files).optional is None


def test_optional_product_is_saved_and_copied_with_the_rates(ramp, reference, tmp_path):
    files = (reference("readnoise", data=[[4.0]]), reference("gain", data=[[2.0]]))
    slopes = SAVED.process(ramp(straight(4), groupdq=[0, 0, JUMP, 0], **TIMES), *files)
    slopes.copy().save(tmp_path / "x_rate.fits")
    assert {path.name for path in tmp_path.glob("x_*")} == {"x_rate.fits", "x_rateints.fits", "x_fitopt.fits"}


@pytest.mark.parametrize("suppress", [True, False])
@pytest.mark.parametrize("shape", [(2, 7, 5, 9), (1, 1, 5, 9), (1, 70, 5, 9)])
def test_backends_agree_bit_for_bit(same_as_twins, make_ramp, make_reference, rng, shape, suppress):
    data = np.cumsum(rng.normal(50, 20, shape), axis=1)
    groupdq = rng.choice([0, DNU, JUMP, SAT, JUMP | SAT], shape, p=[0.8, 0.05, 0.05, 0.05, 0.05])
    groupdq[0, 0, 0, 0] = 0
    noise, gain = rng.uniform(2, 9, shape[2:]), rng.uniform(1, 3, shape[2:])

    def run(device):
        files = (make_reference(device, "readnoise", data=noise), make_reference(device, "gain", data=gain))
        exposure = make_ramp(device, data, groupdq=groupdq, zeroframe=30.0, dark=0.5, **TIMES)
        slopes = RampFit(save_opt=True, suppress_one_group=suppress).process(exposure, *files)
        return [*slopes, slopes.optional]

    same_as_twins(run)
