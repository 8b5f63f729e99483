"""The simulated detector: its response, its bad pixels, its noise, and the order in which it is read."""

import numpy as np
import pytest

from gpucal.sample.configurations import CONFIGURATIONS
from gpucal.sample.cosmic_rays import CosmicRays
from gpucal.sample.detector import DEFECTS, Detector, measured
from gpucal.sample.drifts import one_over_f
from gpucal.sample.orientation import irs2_normal, to_detector, to_irs2, to_science
from gpucal.sample.readout import Readout
from gpucal.sample.streams import stream

MIRI = CONFIGURATIONS["mir_full"]  # the smallest


@pytest.fixture(scope="module")
def detector():
    return Detector.of(MIRI, seed=3)


def test_the_same_seed_gives_the_same_detector(detector):
    again, other = Detector.of(MIRI, seed=3), Detector.of(MIRI, seed=4)
    for name in ("bias", "gain", "read_noise", "flat", "dark", "curve", "well"):
        np.testing.assert_array_equal(getattr(detector, name), getattr(again, name))
        assert getattr(detector, name).dtype == np.float32
        assert (getattr(detector, name) != getattr(other, name)).any()


def test_no_pixel_has_two_defects_and_no_reference_pixel_has_one(detector):
    struck = detector.reference.astype(int)
    for name in DEFECTS:
        np.add.at(struck, detector.defects[name], 1)
    assert struck.max() == 1


def test_linearity_undoes_what_the_detector_does(detector):
    true = np.random.default_rng(1).uniform(-200, 40000, detector.shape).astype("f4")
    signal = measured(true.copy(), detector.curve, detector.coefficients, detector.well).astype("f8")
    c2, c3, c4 = detector.coefficients
    undone = signal + c2 * detector.curve * signal**2 + c3 * detector.curve * signal**3 + c4 * signal**4
    np.testing.assert_allclose(undone, true, rtol=0, atol=0.05)


def test_a_full_pixel_measures_its_well(detector):
    signal = measured(np.full(detector.shape, 1e6, "f4"), detector.curve, detector.coefficients, detector.well)
    np.testing.assert_array_equal(signal, detector.well)


@pytest.mark.parametrize("axes", sorted({c.axes for c in CONFIGURATIONS.values()}))
def test_the_two_orientations_lead_back_to_each_other(axes):
    frame = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(to_science(to_detector(frame, axes), axes), frame)
    np.testing.assert_array_equal(to_detector(to_science(frame, axes), axes), frame)


def test_an_irs2_file_has_2048_rows_of_normal_pixels():
    normal = irs2_normal("NRS1")
    assert normal.sum() == 2048
    np.testing.assert_array_equal(irs2_normal("NRS2"), normal[::-1])
    spread = to_irs2(np.arange(2048, dtype="f4")[:, None], "NRS2", -1)
    np.testing.assert_array_equal(spread[irs2_normal("NRS2"), 0], np.arange(2048))
    assert (spread[~irs2_normal("NRS2")] == -1).all()


def test_one_over_f_noise_has_more_power_at_low_frequencies():
    noise = one_over_f(stream(1), 1 << 16, rms=4.0)
    assert noise.std() == pytest.approx(4.0, rel=1e-5)
    power = abs(np.fft.rfft(noise)) ** 2
    assert power[10:100].mean() / power[100:1000].mean() == pytest.approx(10, rel=0.4)


def test_an_exposure_reads_every_frame_but_those_dropped_between_groups():
    readout = Readout.of(CONFIGURATIONS["nrc_full"], ngroups=2, nints=1, readpatt="SHALLOW2")
    assert list(readout.reads()) == [
        (0, 0, range(0, 1)),
        (0, 1, range(1, 2)),
        (1, 0, range(2, 6)),
        (1, 1, range(6, 7)),
    ]
    assert readout.frames == 7
    assert readout.integration_time == pytest.approx(7 * readout.frame_time)


def test_cosmic_rays_strike_when_and_where_they_say():
    readout = Readout.of(CONFIGURATIONS["nrc_full"], ngroups=3, nints=2)
    blind = np.zeros((200, 100), bool)
    blind[:, :4] = True
    rays = CosmicRays.draw(stream(1), readout, blind, rate=1e-5, nsnowballs=1)
    assert len(rays.snowballs) == 2
    total = np.zeros(blind.shape, "f4")
    for integration in range(2):
        for _, _, frames in readout.reads():
            rays.strike(total, blind, integration, frames)
    y, x = rays.hits[:, 2].astype(int), rays.hits[:, 3].astype(int)
    assert (total[y, x] > 0).all()
    assert not total[blind].any()
    assert total.sum() > rays.hits[:, 4].sum()
    assert total.max() > 4e5
