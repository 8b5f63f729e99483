"""Flicker noise and the picture frame: the official numbers, to the last bit but for fits in Fourier space."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal.steps  # noqa: F401  (so that STEPS knows them)
from gpucal import device, model, sample
from gpucal.params import build
from gpucal.reference import References
from gpucal.settings import Settings
from gpucal.step import STEPS
from tests.conftest import header
from tests.pastasoss import pastasoss

pytestmark = pytest.mark.slow

FOURIER = 1e-3  # DN; the official fit inverts in single precision
KINDS = {
    "nrc_sub160": {"ngroups": 5, "nints": 2, "seed": 51, "cr_rate": 1e-4},
    "nis_sub64": {"ngroups": 4, "nints": 3, "seed": 52},
    "mir_sub64": {"ngroups": 6, "nints": 2, "seed": 53},
}


@pytest.fixture(scope="module")
def exposure_of(tmp_path_factory, official):
    """Return (file, references) of a kind of exposure, calibrated up to the jumps."""
    official.silence()
    made = {}

    def make(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            options = dict(KINDS[kind])
            (path,) = sample.make_exposures(kind, folder, **options)
            references = sample.make_references(kind, folder / "r", ngroups=options["ngroups"], nints=options["nints"])
            shelf = References(device.choose(), references)
            ramp = model.open(path, shelf.device)
            for step in Settings().pipeline(ramp.need("instrument.name").lower()).steps:
                if step.alias == "picture_frame":
                    break
                ramp, _ = step.run(ramp, shelf)
            ramp.save(folder / "jw_jump.fits")
            made[kind] = folder / "jw_jump.fits", references
        return made[kind]

    return make


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory, official):
    """Write a ramp of noise, and references of its detector; return both."""
    official.silence()

    def make(kind, shape, references=None, **keywords):
        folder = tmp_path_factory.mktemp("ramp")
        nints, ngroups, ny, nx = shape
        rng = np.random.default_rng(ny + nx)
        steps = 20 + 5 * rng.standard_normal(shape, "f4") + 3 * rng.standard_normal((nints, ngroups, ny, 1), "f4")
        steps += 3 * rng.standard_normal((nints, ngroups, 1, nx), "f4")
        steps[:, :, ny // 3 : ny // 3 + 5, nx // 4 : nx // 2] += 500
        flags = (rng.random(shape) < 0.01).astype("u1") * 4
        pixels = (rng.random((ny, nx)) < 0.001).astype("u4")
        data = steps.cumsum(axis=1, dtype="f4")
        ramp = model.Ramp(
            header(shape, **keywords), "x", data=data, groupdq=flags | pixels.astype("u1"), pixeldq=pixels
        )
        ramp.save(folder / "jw_jump.fits")
        types = ("gain", "readnoise")
        return folder / "jw_jump.fits", sample.make_references(kind, folder / "r", types=types) | (references or {})

    return make


@pytest.fixture
def apart(official):
    """Run both steps on an exposure; return the differences, DN, the two models, and how much the step changed."""

    def run(exposure, step, **settings):
        from stdatamodels.jwst import datamodels

        path, references = exposure
        shelf = References(device.choose(), references)
        ours = model.open(path, shelf.device)
        before = ours.data.copy()
        ours, outcome = build(STEPS[step], settings | {"skip": False}).run(ours, shelf)
        values = {f"{step}.{name}": value for name, value in (settings | {"skip": False}).items()}
        pipe = official.pipeline("Detector1Pipeline", references, values)
        theirs = getattr(pipe, step).run(datamodels.RampModel(str(path)))
        assert outcome.status == getattr(theirs.meta.cal_step, step)
        assert np.array_equal(ours.groupdq, theirs.groupdq)
        assert np.array_equal(ours.pixeldq, theirs.pixeldq)
        assert np.array_equal(np.isnan(ours.data), np.isnan(theirs.data))
        difference = np.abs(np.nan_to_num(ours.data) - np.nan_to_num(theirs.data))
        return difference, ours, theirs, np.nanmax(np.abs(theirs.data - before))

    return run


CASES = [
    ("nrc_sub160", {}),
    ("nrc_sub160", {"background_method": "model"}),
    ("nrc_sub160", {"background_method": "model", "background_box_size": [30, 17]}),
    ("nrc_sub160", {"background_method": None, "n_sigma": 1.5}),
    ("nrc_sub160", {"apply_flat_field": True, "fit_histogram": True}),
    ("nrc_sub160", {"single_mask": False, "n_sigma": 0}),
    ("nrc_sub160", {"background_method": "median_image"}),
    ("nrc_sub160", {"fit_by_channel": True}),
    ("nrc_sub160", {"autoparam": True}),
    ("nis_sub64", {}),
    ("nis_sub64", {"autoparam": True, "single_mask": False}),
    ("nis_sub64", {"background_method": "median_image", "apply_flat_field": True}),
    ("mir_sub64", {}),
    ("mir_sub64", {"mask_science_regions": True, "background_method": "model"}),
]


@pytest.mark.parametrize(("kind", "settings"), CASES, ids=lambda value: str(value))
def test_medians_of_lines_are_the_official_ones(kind, settings, apart, exposure_of):
    difference, _, _, change = apart(exposure_of(kind), "clean_flicker_noise", **settings)
    assert change > 1
    assert np.count_nonzero(difference) == 0


def test_a_users_mask_is_used_as_the_official_step_uses_it(apart, exposure_of, tmp_path):
    from stdatamodels.jwst.datamodels import ImageModel

    ImageModel(data=(np.indices((64, 64)).sum(axis=0) % 3 > 0).astype("f4")).save(tmp_path / "mask.fits")
    exposure = exposure_of("nis_sub64")
    difference, _, _, change = apart(exposure, "clean_flicker_noise", user_mask=str(tmp_path / "mask.fits"))
    assert change > 1
    assert np.count_nonzero(difference) == 0


def test_full_frames_are_cleaned_by_channel_as_the_official_step_does(apart, synthetic):
    exposure = synthetic("nrc_full", (1, 2, 2048, 2048), subarray="FULL", xstart=1, ystart=1, slowaxis=1, fastaxis=2)
    difference, _, _, change = apart(exposure, "clean_flicker_noise", fit_by_channel=True)
    assert change > 1
    assert np.count_nonzero(difference) == 0


@pytest.mark.parametrize("settings", [{}, {"background_method": "model"}, {"background_method": None}])
@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
def test_fits_in_fourier_space_are_the_official_ones(settings, detector, apart, synthetic):
    place = {"xstart": 1, "ystart": 1000, "slowaxis": 1 if detector == "NRS1" else -1, "fastaxis": 2}
    exposure = synthetic(
        "nrs_full", (2, 3, 32, 256), instrument="NIRSPEC", detector=detector, exp_type="NRS_BRIGHTOBJ",
        subarray="SUB512", filter="F290LP", pupil=None, **place,
    )  # fmt: skip
    for kind in ("gain", "readnoise"):
        fits.setval(exposure[1][kind], "DETECTOR", value=detector)
    difference, _, _, change = apart(exposure, "clean_flicker_noise", fit_method="fft", **settings)
    assert change > 1
    assert difference.max() < FOURIER


@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
def test_fits_of_full_frames_are_the_official_ones(detector, official, rng):
    """On a smaller frame: the official class takes any."""
    from jwst.clean_flicker_noise.nsclean import NSClean

    from gpucal.flicker.fourier import full_frame_noise

    image = rng.standard_normal((300, 300)).astype("f4") + 2 * rng.standard_normal((1, 300)).astype("f4")
    mask = rng.random(image.shape) < 0.7
    mask[100:120] = False
    image[50, 60:63] = 40
    noise = full_frame_noise(np.where(mask, image, np.float32(np.nan)), detector)
    theirs = NSClean(detector, mask).clean(image.copy())
    assert np.abs(noise).max() > 0.5
    assert np.abs((image - noise) - theirs).max() < FOURIER


def test_traces_of_soss_are_masked_as_the_official_step_masks_them(apart, synthetic, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the official step writes its mask
    exposure = synthetic(
        "nis_full", (1, 2, 96, 2048), {"pastasoss": pastasoss(tmp_path)}, instrument="NIRISS", detector="NIS",
        exp_type="NIS_SOSS", subarray="SUBSTRIP96", xstart=1, ystart=1803, slowaxis=-1, fastaxis=-2, filter="CLEAR",
        pupil="GR700XD",
    )  # fmt: skip
    fits.setval(exposure[0], "PWCPOS", value=245.80)
    difference, ours, _, change = apart(exposure, "clean_flicker_noise", mask_science_regions=True, save_mask=True)
    assert change > 1
    assert np.count_nonzero(difference) == 0
    assert 0.1 < (ours.byproducts["mask"].data == 0).mean() < 0.6


def test_picture_frames_are_subtracted_as_the_official_step_does(apart, synthetic, tmp_path, rng):
    from stdatamodels.jwst.datamodels import PictureFrameModel

    y, x = np.mgrid[:2048, :2048]
    frame = (0.2 * (np.hypot(x - 1023, y - 1023) / 1448) ** 4 + 0.01 * rng.standard_normal((2048, 2048))).astype("f4")
    frame[100, 200] = np.nan
    reference = PictureFrameModel(data=frame)
    reference.meta.reftype, reference.meta.instrument.name = "pictureframe", "NIRSPEC"
    reference.save(str(tmp_path / "pictureframe.fits"))
    exposure = synthetic(
        "nrs_full", (1, 2, 2048, 2048), {"pictureframe": tmp_path / "pictureframe.fits"}, instrument="NIRSPEC",
        detector="NRS1", exp_type="NRS_IMAGE", subarray="FULL", xstart=1, ystart=1, slowaxis=1, fastaxis=2,
    )  # fmt: skip
    difference, _, _, change = apart(exposure, "picture_frame", mask_science_regions=False)
    assert change > 1
    assert np.count_nonzero(difference) == 0


def test_what_the_official_step_fails_fails(apart, synthetic):
    difference, _, _, change = apart(synthetic("nrc_full", (2, 3, 64, 64)), "clean_flicker_noise", fit_method="fft")
    assert change == 0
    assert np.count_nonzero(difference) == 0
