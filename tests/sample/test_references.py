"""Simulated reference files: their headers, their trouble, and that they fit the exposures."""

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from gpucal import dq, model
from gpucal.errors import ConfigError
from gpucal.reference.folder import Folder
from gpucal.sample import CONFIGURATIONS, make_exposures, make_references
from gpucal.sample.detector import Detector
from gpucal.sample.flags import UNKNOWN
from gpucal.sample.references import MAKERS

SMALL = "nrc_sub160"
DETECTOR = {"mask", "saturation", "superbias", "linearity", "dark", "gain", "readnoise", "ipc", "flat"}
IMAGING = {"photom", "area", "distortion", "filteroffset", "apcorr", "abvegaoffset"}
MIRI = {"reset", "rscd", "emicorr"}
EXPECTED = {
    "NIRCAM": DETECTOR | IMAGING | {"sirskernel"},
    "NIRISS": DETECTOR | IMAGING | {"sirskernel"},
    "FGS": DETECTOR | IMAGING - {"filteroffset"},
    "NIRSPEC": DETECTOR | {"sirskernel", "pictureframe"},
    "MIRI": (DETECTOR | IMAGING | MIRI) - {"superbias"},
}
ALL_TYPES = "nrc_sub160", "nis_sub64", "mir_sub64"
FEW = [
    "mask",
    "superbias",
    "rscd",
    "refpix",
    "pictureframe",
    "photom",
    "distortion",
    "filteroffset",
]  # of the others, to save time


@pytest.fixture(scope="module")
def detector():
    return Detector.of(CONFIGURATIONS[SMALL])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All references of a subarray, at its size."""
    folder = tmp_path_factory.mktemp("references")
    make_references(SMALL, folder, ngroups=4, match=MAKERS)
    return folder


def standard_flags(path):
    with fits.open(path) as file:
        meaning = dq.meaning(file["DQ_DEF"].data)
        stored = file["DQ"].data.astype("u4")
    standard = np.empty_like(stored)
    dq.remap_flags.twin(stored, meaning, standard)
    return standard


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_has_references_that_are_found_for_its_exposures(name, tmp_path):
    configuration = CONFIGURATIONS[name]
    expected = EXPECTED[configuration.instrument] | ({"refpix"} if configuration.irs2 else set())
    types = MAKERS if name in ALL_TYPES else FEW if configuration.is_full else [*FEW, "dark", "gain"]
    expected &= set(types)
    made = make_references(name, tmp_path, ngroups=2, match=MAKERS, types=types)
    assert made.keys() == expected
    [path] = make_exposures(name, tmp_path / "data", ngroups=1) if not configuration.is_full else [None]
    exposure = model.open(path) if path else None
    library = Folder(tmp_path)
    for reftype, file in made.items():
        header = library.headers[file.resolve()]
        assert header["REFTYPE"] == reftype
        assert (header["INSTRUME"], header["DETECTOR"]) == (configuration.instrument, configuration.detector)
        assert header["USEAFTER"] == "2020-01-01T00:00:00"
        if exposure:
            assert library.find(reftype, exposure)[0] == file.resolve()


def test_headers_place_the_pixels_on_the_detector(folder):
    for reftype in ("mask", "dark", "linearity", "flat"):
        header = fits.getheader(folder / f"{reftype}.fits")
        assert (header["SUBARRAY"], header["SUBSTRT1"], header["SUBSTRT2"]) == ("SUB160", 1889, 1)
        assert (header["SUBSIZE1"], header["SUBSIZE2"], header["FASTAXIS"], header["SLOWAXIS"]) == (160, 160, 1, -2)
    assert fits.getheader(folder / "flat.fits")["FILTER"] == "F150W"


def test_references_are_full_frames_but_darks_are_not(tmp_path):
    made = make_references(SMALL, tmp_path, ngroups=2, types=["mask", "dark"])
    assert fits.getdata(made["mask"], "DQ").shape == (2048, 2048)
    assert fits.getheader(made["mask"])["SUBARRAY"] == "FULL"
    assert fits.getdata(made["dark"], "SCI").shape == (4, 160, 160)


def test_a_type_is_the_same_whichever_others_are_made(folder, tmp_path):
    alone = make_references(SMALL, tmp_path, ngroups=4, match=MAKERS, types=["superbias"])
    assert list(alone) == ["superbias"]
    np.testing.assert_array_equal(fits.getdata(alone["superbias"]), fits.getdata(folder / "superbias.fits"))


def test_flags_have_bits_of_their_own_and_map_to_the_standard_ones(folder, detector):
    window = CONFIGURATIONS[SMALL].window
    standard = standard_flags(folder / "mask.fits")
    for defect, names in {"hot": ["HOT", "DO_NOT_USE"], "rc": ["RC"], "warm": ["WARM"]}.items():
        for name in names:
            assert (standard[detector.pixels(defect)[window]] & np.uint32(dq.BITS[name]) != 0).all()
    assert (standard[detector.reference[window]] & dq.PIXEL.REFERENCE_PIXEL != 0).all()
    assert (fits.getdata(folder / "mask.fits", "DQ") != standard).any()


def test_an_unknown_flag_is_set_and_means_nothing(folder, detector):
    with fits.open(folder / "mask.fits") as file:
        [value] = [row["VALUE"] for row in file["DQ_DEF"].data if row["NAME"] == UNKNOWN]
        stored = file["DQ"].data
    warm = detector.pixels("warm")[CONFIGURATIONS[SMALL].window]
    assert (stored[warm] & value != 0).all()
    plain = warm & (standard_flags(folder / "mask.fits") == dq.BITS["WARM"])
    assert plain.any()


def test_the_official_models_read_the_same_flags(folder):
    for reftype, official in {"mask": datamodels.MaskModel, "saturation": datamodels.SaturationModel}.items():
        with official(str(folder / f"{reftype}.fits")) as opened:
            np.testing.assert_array_equal(opened.dq, standard_flags(folder / f"{reftype}.fits"))


def test_plain_flags_are_in_the_standard_order(tmp_path):
    made = make_references(SMALL, tmp_path, ngroups=2, match=MAKERS, types=["mask"], plain_dq=True)
    np.testing.assert_array_equal(fits.getdata(made["mask"], "DQ"), standard_flags(made["mask"]))
    assert UNKNOWN not in fits.getdata(made["mask"], "DQ_DEF")["NAME"]


def test_there_is_trouble_unless_the_references_are_clean(tmp_path):
    types = ["saturation", "superbias", "linearity", "gain", "readnoise", "flat"]
    name = "mir_sub64"  # a smaller detector
    bad = make_references(name, tmp_path / "bad", ngroups=2, types=types)
    good = make_references(name, tmp_path / "good", ngroups=2, types=types, clean=True)
    for reftype in bad:
        assert np.isnan(fits.getdata(bad[reftype], 1)).any()
        assert not np.isnan(fits.getdata(good[reftype], 1)).any()
    assert (fits.getdata(bad["gain"]) < 0).any()
    assert (fits.getdata(bad["linearity"], "COEFFS") == 0).all(axis=0).any()


@pytest.mark.parametrize(
    ("dark", "ngroups", "nframes", "groupgap"), [("rapid", 31, 1, 0), ("match", 3, 8, 2), ("short", 14, 1, 0)]
)
def test_darks_have_the_read_pattern_asked_for(dark, ngroups, nframes, groupgap, tmp_path):
    """Three groups of eight frames and two dropped ones in between span 28 frames."""
    made = make_references(SMALL, tmp_path, ngroups=3, readpatt="MEDIUM8", dark=dark, types=["dark"])
    header = fits.getheader(made["dark"])
    stored = fits.getdata(made["dark"], "SCI")
    assert (header["NGROUPS"], header["NFRAMES"], header["GROUPGAP"]) == (len(stored), nframes, groupgap)
    assert len(stored) == (30 if dark == "rapid" else ngroups)
    assert np.isnan(stored[-1]).any()


def test_the_options_add_what_they_say(tmp_path):
    made = make_references(
        "mir_sub64", tmp_path, ngroups=2, match=MAKERS, types=["linearity", "ipc", "photom"], inverse_linearity=True,
        ipc_per_pixel=True, photom_time=True,
    )  # fmt: skip
    assert fits.getdata(made["linearity"], "INV_COEFFS").shape == (5, 64, 72)
    kernels = fits.getdata(made["ipc"], "SCI")
    assert kernels.shape == (3, 3, 1024, 1032)
    assert kernels.sum(axis=(0, 1)).std() > 0
    with datamodels.MirImgPhotomModel(str(made["photom"])) as photom:
        assert set(photom.timecoeff_exponential["filter"]) == {"F770W", "F1000W"}


@pytest.mark.parametrize("name", [SMALL, "mir_sub64"])
def test_the_linearity_reference_undoes_the_detector(name, tmp_path):
    configuration = CONFIGURATIONS[name]
    made = make_references(name, tmp_path, ngroups=2, match=MAKERS, clean=True, types=["linearity", "saturation"])
    truth, window = Detector.of(configuration), configuration.window
    signal = np.random.default_rng(1).uniform(0, 40000, configuration.shape)
    c2, c3, c4 = truth.coefficients
    curve = truth.curve[window]
    true = signal + c2 * curve * signal**2 + c3 * curve * signal**3 + c4 * signal**4
    counts = signal + (truth.bias[window] if configuration.miri else 0)
    coeffs = fits.getdata(made["linearity"], "COEFFS").astype("f8")
    undone = sum(c * counts**k for k, c in enumerate(coeffs))
    light = ~truth.reference[window]
    np.testing.assert_allclose(undone[light], true[light], rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"configuration": "hubble"}, "hubble is not one of"),
        ({"dark": "bright"}, "dark=bright is not one of"),
        ({"types": ["bias"]}, "type bias is not one of"),
        ({"match": ["bias"]}, "type bias is not one of"),
    ],
)
def test_a_wrong_option_is_named(wrong, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        make_references(**{"configuration": SMALL, "folder": tmp_path, **wrong})
