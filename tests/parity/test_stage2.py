"""flat_field and photom give what the official pipeline's second stage gives, bit by bit and word by word."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import sample
from gpucal.dq import PIXEL
from gpucal.sample import metadata
from gpucal.sample.configurations import configured
from gpucal.sample.pointing import Pointing
from gpucal.sample.readout import Readout
from tests.parity.test_both_ways import same

TYPES = ("flat", "photom", "area", "distortion", "filteroffset")
FGS = replace(configured("fgs_full"), subarray="SUB128DIAG", corner=(301, 201), shape=(48, 64))
WINDOWS = {"fgs_full": FGS}  # where there is no configuration of a window
BOTH = {"rate": "cal", "rateints": "calints"}


class Rates:
    """Rates of an image and of its integrations, with all trouble that they can have, and their references."""

    def __init__(self, name, folder, **options):
        self.folder, self.refs = folder, folder / "refs"
        sample.make_references(name, self.refs, types=TYPES, **options)
        configuration = WINDOWS.get(name, configured(name))
        self.stem = metadata.product_name(configuration, 0)
        random = np.random.default_rng(71)
        write_rates(self.path("rate"), configuration, configuration.shape, random)
        write_rates(self.path("rateints"), configuration, (3, *configuration.shape), random)

    def path(self, suffix):
        return self.folder / f"{self.stem}_{suffix}.fits"

    def ours(self, suffix, output, **settings):
        """Run image2; return the calibrated product."""
        (fate,) = gpucal.run(self.path(suffix), output, references=self.refs, pipeline="image2", **settings)
        assert not fate.error
        return fate.products[0]

    def theirs(self, suffix, output, official, settings=None, **replaced):
        """Run the official pipeline; return the calibrated product."""
        output.mkdir(exist_ok=True)
        official.silence()
        pipe = official.pipeline("Image2Pipeline", official.references(self.refs) | replaced, settings)
        pipe.output_dir, pipe.save_results = str(output), True
        pipe.run(str(self.path(suffix)))
        return output / f"{self.stem}_{BOTH[suffix]}.fits"


def write_rates(path, configuration, shape, random):
    """Write rates around 3 DN/s, some NaN, some flagged, some with variances that are 0, negative or NaN."""
    from stdatamodels.jwst import datamodels

    raw = datamodels.Level1bModel()
    readout = Readout.of(configuration, 5, shape[0] if len(shape) == 3 else 1)
    metadata.fill(raw, configuration, readout, Pointing.of(configuration), 0, 1, False)
    model = (datamodels.CubeModel if len(shape) == 3 else datamodels.ImageModel)()
    model.update(raw)
    model.meta.bunit_data = model.meta.bunit_err = "DN/s"
    model.data = random.normal(3, 2, shape).astype("f4")
    model.err = random.uniform(0.1, 1, shape).astype("f4")
    model.var_poisson, model.var_rnoise = (random.uniform(0.01, 1, shape).astype("f4") for _ in "pr")
    model.dq = random.choice(
        np.array([0, 4, PIXEL.DO_NOT_USE, PIXEL.SATURATED], "u4"), shape, p=[0.9, 0.05, 0.03, 0.02]
    )
    for array, bad in (
        (model.data, np.nan),
        (model.var_poisson, -2),
        (model.var_rnoise, np.nan),
        (model.var_poisson, 0),
    ):
        array[random.random(shape) < 0.01] = bad
    model.int_times = raw.int_times
    model.save(str(path))


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    """Make Rates of a configuration, once."""
    return functools.cache(lambda name, **options: Rates(name, tmp_path_factory.mktemp(name), **options))


@pytest.mark.parametrize("suffix", BOTH)
@pytest.mark.parametrize("name", ["nrc_sub160", "nis_sub64", "mir_sub64", "fgs_full"])
def test_images_are_the_official_ones(name, suffix, rates, official, tmp_path):
    given = rates(name)
    ours, theirs = given.ours(suffix, tmp_path), given.theirs(suffix, tmp_path / "theirs", official)
    assert ours.name == theirs.name
    same(ours, theirs)
    assert fits.getval(ours, "S_PHOTOM") == ("SKIPPED" if (name, suffix) == ("nis_sub64", "rateints") else "COMPLETE")
    assert fits.getval(ours, "S_FLAT") == "COMPLETE"
    with fits.open(ours) as product:
        assert {"VAR_FLAT", "AREA"} <= {hdu.name for hdu in product}
        assert np.isfinite(product["SCI"].data).mean() > 0.7


def test_time_series_are_the_official_ones(rates, official, tmp_path):
    given = rates("nrc_sub64p")
    same(given.ours("rateints", tmp_path), given.theirs("rateints", tmp_path / "theirs", official))


@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("name", ["nrc_sub160", "mir_sub64"])
def test_sensitivity_declines_as_officially(name, corrected, rates, official, tmp_path):
    given = rates(name, photom_time=True)
    ours = given.ours("rate", tmp_path, steps={"photom": {"apply_time_correction": corrected}})
    same(ours, given.theirs("rate", tmp_path / "theirs", official, {"photom.apply_time_correction": corrected}))
    stated = 2.1 if name.startswith("nrc") else 0.28
    assert (fits.getval(ours, "PHOTMJSR", "SCI") == pytest.approx(stated, rel=1e-6)) is not corrected


LAWS = {
    "linear": {"t0": 59800.3, "lossperyear": 0.017},
    "exponential": {"t0": 59720.0, "amplitude": 0.12, "tau": 311.0, "const": 0.93},
    "powerlaw": {"t0": 59601.7, "year1value": 0.97, "tsoft": 1.3, "alpha": -0.013},
}


@pytest.mark.parametrize("laws", [["linear"], ["powerlaw"], ["linear", "exponential", "powerlaw"]], ids="+".join)
def test_every_law_of_decline_is_the_official_one(laws, rates, official, tmp_path):
    from stdatamodels.jwst import datamodels

    given = rates("nrc_sub160")
    with datamodels.open(str(given.refs / "photom.fits")) as model:
        for law in laws:
            table = np.zeros(len(model.phot_table), model.get_dtype(f"timecoeff_{law}"))
            for column in ("filter", "pupil"):
                table[column] = model.phot_table[column]
            for column, value in LAWS[law].items():
                table[column] = value
            setattr(model, f"timecoeff_{law}", table)
        model.to_fits(str(tmp_path / "photom.fits"))
    ours = given.ours("rate", tmp_path, override={"photom": str(tmp_path / "photom.fits")})
    theirs = given.theirs("rate", tmp_path / "theirs", official, photom=tmp_path / "photom.fits")
    same(ours, theirs)
    assert fits.getval(ours, "PHOTMJSR", "SCI") != pytest.approx(2.1, rel=1e-3)


def test_an_exposure_without_a_row_is_left_as_officially(rates, official, tmp_path):
    given = rates("nrc_sub160")
    with fits.open(given.refs / "photom.fits") as file:
        file["PHOTOM"].data["pupil"] = "F162M"
        file.writeto(tmp_path / "photom.fits")
    ours = given.ours("rate", tmp_path, override={"photom": str(tmp_path / "photom.fits")})
    same(ours, given.theirs("rate", tmp_path / "theirs", official, photom=tmp_path / "photom.fits"))
    assert fits.getval(ours, "BUNIT", "SCI") == "DN/s"
    assert fits.getval(ours, "S_PHOTOM") == "COMPLETE"


@pytest.mark.parametrize("missing", ["flat", "photom", "area"])
def test_what_is_missing_is_noted_as_officially(missing, rates, official, tmp_path):
    given = rates("mir_sub64")
    ours = given.ours("rate", tmp_path, override={missing: "N/A"})
    same(ours, given.theirs("rate", tmp_path / "theirs", official, **{missing: "N/A"}))


def test_corrections_are_undone_as_officially(rates, official, tmp_path):
    given = rates("nrc_sub160")
    undo = {name: {"inverse": True} for name in ("flat_field", "photom")}
    settings = {f"{name}.inverse": True for name in undo}
    same(given.ours("rate", tmp_path, steps=undo), given.theirs("rate", tmp_path / "theirs", official, settings))


@pytest.mark.parametrize("match", [(), ("flat",)], ids=["full", "window"])
def test_a_flat_of_ones_own_is_used_and_saved_as_officially(match, rates, official, tmp_path):
    given = rates("nis_sub64")
    own = sample.make_references("nis_sub64", tmp_path / "own", types=["flat"], detector_seed=8, match=match)["flat"]
    chosen = {"user_supplied_flat": str(own), "save_interpolated_flat": True}
    settings = {f"flat_field.{name}": value for name, value in chosen.items()}
    ours = given.ours("rate", tmp_path, steps={"flat_field": chosen})
    theirs = given.theirs("rate", tmp_path / "theirs", official, settings)
    same(ours, theirs)
    assert fits.getval(ours, "R_FLAT") == "flat.fits"
    saved = [path.with_name(path.name.replace("_cal", "_interpolatedflat")) for path in (ours, theirs)]
    same(*saved, headers=False)
