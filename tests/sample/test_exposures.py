"""Simulated exposures: their headers, their noise, and the truth in them."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal import model
from gpucal.errors import ConfigError
from gpucal.sample import CONFIGURATIONS, READPATT, exposures, make_exposures, ramps
from gpucal.sample.detector import Detector


def counts(path):
    return fits.getdata(path, "SCI")


def truth(path):
    with np.load(exposures.truth_path(path)) as file:
        return dict(file)


@pytest.fixture(params=CONFIGURATIONS)
def name(request):
    return request.param


def test_every_configuration_makes_an_exposure_that_opens(name, tmp_path):
    configuration = CONFIGURATIONS[name]
    [path] = make_exposures(name, tmp_path, ngroups=2, snowballs=1)
    header = fits.getheader(path)
    assert path.name == f"jw01234001001_02101_00001_{configuration.detector.lower()}_uncal.fits" == header["FILENAME"]
    assert (header["INSTRUME"], header["DETECTOR"]) == (configuration.instrument, configuration.detector)
    assert (header["SUBSTRT2"], header["SUBSTRT1"]) == configuration.corner
    assert (header["SUBSIZE2"], header["SUBSIZE1"]) == configuration.shape
    assert (header["FASTAXIS"], header["SLOWAXIS"]) == configuration.axes
    assert (header["NFRAMES"], header["GROUPGAP"]) == READPATT[configuration.readpatt]
    assert header["TGROUP"] == pytest.approx(sum(READPATT[configuration.readpatt]) * configuration.frame_time)
    ramp = model.open(path)
    ny, nx = configuration.shape
    assert ramp.shape == (1, 2, 3200 if configuration.irs2 else ny, nx)
    assert (ramp.zeroframe is not None) == configuration.zeroframe
    assert {"rate", "hits", "snow", "showers", "pointing_error"} == truth(path).keys()
    assert truth(path)["rate"].shape == (ny, nx)


def test_the_same_seed_gives_the_same_pixels(tmp_path):
    a, b = (make_exposures("nrc_sub160", tmp_path / run, ngroups=2, exposures=2, dithers=True) for run in "ab")
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(counts(one), counts(other))
    assert (counts(a[0]) != counts(a[1])).mean() > 0.5


def test_the_pixels_do_not_depend_on_the_number_of_threads(tmp_path, monkeypatch):
    [a] = make_exposures("mir_brightsky", tmp_path / "a", ngroups=2)
    monkeypatch.setattr(ramps.os, "cpu_count", lambda: 1)
    [b] = make_exposures("mir_brightsky", tmp_path / "b", ngroups=2)
    np.testing.assert_array_equal(counts(a), counts(b))


def test_interference_is_the_same_in_all_four_amplifiers_and_goes_on_from_frame_to_frame(tmp_path):
    clean, spoilt = (
        counts(make_exposures("mir_sub64", tmp_path / str(dn), ngroups=3, nints=2, interference=dn)[0]).astype(int)
        for dn in (0, 20)
    )
    added = np.median((spoilt - clean).reshape(6, 64, 18, 4), axis=3)
    assert 20 < np.abs(added).max() < 40
    assert abs(added.mean()) < 2
    assert np.std(added - added[0]) > 5


def test_another_seed_gives_another_sky_and_other_noise_on_the_same_detector(tmp_path):
    [a] = make_exposures("nrc_sub64p", tmp_path / "a", ngroups=2, seed=1)
    [b] = make_exposures("nrc_sub64p", tmp_path / "b", ngroups=2, seed=2)
    [c] = make_exposures("nrc_sub64p", tmp_path / "c", ngroups=2, detector_seed=2)
    assert (truth(a)["rate"] != truth(b)["rate"]).mean() > 0.5
    first, second, third = (counts(path)[0, 0].astype(float) for path in (a, b, c))
    assert np.median(abs(first - second)) < 60
    assert np.median(abs(first - third)) > 60


@pytest.mark.parametrize("name", ["nrc_subgrism256", "nis_sub64", "mir_sub64"])
def test_the_slopes_of_quiet_pixels_are_the_truth(name, tmp_path):
    configuration = CONFIGURATIONS[name]
    [path] = make_exposures(name, tmp_path, ngroups=8, nints=2, cr_rate=0)
    detector, window, true = Detector.of(configuration), configuration.window, truth(path)
    signal = counts(path).astype("f8") - detector.bias[window]
    c2, c3, c4 = detector.coefficients
    curve = detector.curve[window]
    linear = signal + c2 * curve * signal**2 + c3 * curve * signal**3 + c4 * signal**4
    rate = true["rate"] / detector.gain[window]  # DN/s
    well = (signal < 0.9 * detector.well[window]).all(axis=(0, 1))
    quiet = well & (counts(path) > 0).all(axis=(0, 1)) & ~detector.pixels("telegraph")[window]
    quiet &= rate > np.quantile(rate, 0.9)  # far above the drifts of the electronics
    quiet[true["hits"][:, 2].astype(int), true["hits"][:, 3].astype(int)] = False
    assert quiet.sum() > 100
    first = 4 if configuration.miri else 0  # MIRI collects faster at first
    seconds = (7 - first) * fits.getval(path, "TGROUP")
    slope = ((linear[:, -1] - linear[:, first]) / seconds).mean(axis=0)
    assert slope[quiet].sum() / rate[quiet].sum() == pytest.approx(1, abs=0.02)


def test_the_mean_of_the_whole_ramp_grows_with_the_light(tmp_path):
    [path] = make_exposures("mir_brightsky", tmp_path, ngroups=6)
    means = np.median(counts(path)[0], axis=(1, 2))
    assert (np.diff(means) > 0).all()


def test_cosmic_rays_are_where_the_truth_says(tmp_path):
    [path] = make_exposures("nrc_sub160", tmp_path, ngroups=5, cr_rate=1e-4)
    ramp, true = counts(path)[0].astype(int), truth(path)
    strong = true["hits"][(true["hits"][:, 4] > 2000) & (true["hits"][:, 4] < 20000) & (true["hits"][:, 1] > 0)]
    frame, y, x = strong[:, 1:4].astype(int).T
    faint = true["rate"][y, x] < 500
    jumps = (ramp[frame, y, x] - ramp[frame - 1, y, x])[faint]
    assert jumps.size > 5
    assert (jumps > 600).mean() > 0.9


def test_a_few_pixels_sink_to_the_floor_of_the_converter(tmp_path):
    [path] = make_exposures("nrc_sub160", tmp_path, ngroups=10)
    assert 1 <= (counts(path) == 0).any(axis=(0, 1)).sum() <= 3


def test_the_zero_frame_is_the_first_frame(tmp_path):
    [path] = make_exposures("nrc_sub160", tmp_path, ngroups=2, nints=2, zeroframe=True)
    first = counts(path)[:, 0]
    same = fits.getdata(path, "ZEROFRAME") == first
    assert same[first > 0].all()


def test_groups_average_their_frames(tmp_path):
    """Averaging eight frames must reduce the read noise, and leaves it at that: counts are whole numbers."""
    [single] = make_exposures("nis_sub64", tmp_path / "a", ngroups=2, readpatt="NISRAPID")
    [averaged] = make_exposures("nis_sub64", tmp_path / "b", ngroups=2, readpatt="MEDIUM8", frame_divisor=4)
    header = fits.getheader(averaged)
    assert (header["NFRAMES"], header["GROUPGAP"], header["FRMDIVSR"]) == (8, 2, 4)
    at_edge = slice(-4, None), slice(None)  # reference pixels: nothing but noise
    bias = Detector.of(CONFIGURATIONS["nis_sub64"]).bias[CONFIGURATIONS["nis_sub64"].window][at_edge]
    noisy, calm = ((counts(path)[0, 0][at_edge] - bias).std() for path in (single, averaged))
    assert calm < 0.7 * noisy


def test_dithers_move_the_sky_and_the_header_errs_as_the_truth_says(tmp_path):
    one, two = make_exposures(
        "nrc_sub160", tmp_path, ngroups=2, exposures=2, dithers=True, pointing_error=0.03, tag="test"
    )
    assert two.name == "jw01234001001_02102_00002_nrcb1_test_uncal.fits"
    offset = np.subtract(exposures.DITHERS[1], exposures.DITHERS[0])
    errors = truth(two)["pointing_error"] - truth(one)["pointing_error"]
    headers = [fits.getheader(path, "SCI") for path in (one, two)]
    east = (headers[1]["RA_REF"] - headers[0]["RA_REF"]) * np.cos(np.deg2rad(headers[0]["DEC_REF"])) * 3600
    north = (headers[1]["DEC_REF"] - headers[0]["DEC_REF"]) * 3600
    np.testing.assert_allclose((east, north), offset + errors, atol=1e-3)
    assert 0 < abs(truth(one)["pointing_error"]).max() < 0.15


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"configuration": "nrc_ful"}, "nrc_ful is not one of"),
        ({"readpatt": "SLOWEST"}, "SLOWEST is not one of"),
        ({"ngroups": 0}, "0 groups"),
    ],
)
def test_what_does_not_exist_is_named(wrong, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        make_exposures(**{"configuration": "nrc_sub160", "folder": tmp_path, **wrong})
