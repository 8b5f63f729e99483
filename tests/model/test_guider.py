"""Guider exposures are read with their tables, written whole, and refused in one line where they cannot be."""

import shutil

import numpy as np
import pytest
from astropy.io import fits

from gpucal import model
from gpucal.errors import ConfigError, InputError
from gpucal.model import GuiderRamp, GuiderRate, Ramp, SuperstripeRamp
from gpucal.model.guider import EXP_TYPES
from gpucal.sample.guider import MODES, TABLES, make_guider_exposure
from gpucal.sample.stripes import make_stripe_exposure
from gpucal.settings import Settings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_guider_exposure("FGS_ACQ2", tmp_path_factory.mktemp("guider"))


@pytest.fixture
def acquisition(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copy(made, tmp_path)


def test_it_is_read_with_its_tables(acquisition):
    exposure = model.open(acquisition)
    assert type(exposure) is GuiderRamp
    assert exposure.data.shape == exposure.err.shape == (5, 2, 32, 32)
    assert (exposure.dq.shape, exposure.dq.dtype) == ((32, 32), np.uint32)
    assert all(len(getattr(exposure.tree, table)) == 3 for table in TABLES)


@pytest.mark.parametrize("ending", ["fits", "asdf"])
def test_what_is_written_is_read_again(ending, acquisition, tmp_path):
    exposure = model.open(acquisition)
    exposure.dq[3, 4] = 5
    exposure.save(tmp_path / f"copy.{ending}")
    again = model.open(tmp_path / f"copy.{ending}")
    assert type(again) is GuiderRamp
    for name in exposure.arrays:
        np.testing.assert_array_equal(getattr(again, name), getattr(exposure, name), strict=True)
    for table in TABLES:
        assert (np.array(getattr(again.tree, table)) == np.array(getattr(exposure.tree, table))).all()


def test_it_is_taken_from_an_official_model(acquisition):
    from stdatamodels.jwst import datamodels

    with datamodels.GuiderRawModel(str(acquisition)) as official:
        exposure = model.open(official)
    assert type(exposure) is GuiderRamp
    assert len(exposure.tree.centroid_table) == 3


def test_it_is_read_without_tables(tmp_path):
    exposure = model.open(make_guider_exposure("FGS_TRACK", tmp_path, nints=2, tables=False))
    assert not any(exposure.tree.hasattr(table) for table in TABLES)


def test_rates_have_three_dimensions(acquisition):
    replace_pixels(acquisition, np.zeros((5, 32, 32), "f4"))
    assert type(model.open(acquisition)) is GuiderRate


def replace_pixels(path, array, name="SCI"):
    with fits.open(path, mode="update") as hdus:
        if name in hdus:
            del hdus[name]
        hdus.append(fits.ImageHDU(array, name=name))


def test_images_are_refused(acquisition):
    replace_pixels(acquisition, np.zeros((32, 32), "f4"))
    with pytest.raises(InputError, match=r"SCI has 2 dimensions, expected 4 \(counts\) or 3 \(rates\) for FGS_ACQ2$"):
        model.open(acquisition)


def test_flags_of_another_shape_are_refused(acquisition):
    replace_pixels(acquisition, np.zeros((5, 32, 32), "u4"), "DQ")
    with pytest.raises(InputError, match=r"DQ has shape \(5, 32, 32\), expected \(32, 32\)$"):
        model.open(acquisition)


@pytest.mark.filterwarnings("ignore")
def test_without_its_type_it_is_an_ordinary_ramp(acquisition):
    fits.delval(acquisition, "EXP_TYPE")
    assert type(model.open(acquisition)) is Ramp


def test_every_type_goes_through_the_guiders_pipeline():
    settings = Settings()
    assert {settings.pipeline("fgs", exp_type).name for exp_type in EXP_TYPES} == {"guider"}
    assert set(MODES) == EXP_TYPES
    assert settings.pipeline("fgs", None).name == settings.pipeline("fgs", "FGS_IMAGE").name == "detector1"


def test_a_pipeline_that_is_asked_for_goes_first():
    assert Settings(["pipeline=dark"]).pipeline("fgs", "FGS_ACQ1").name == "dark"
    assert Settings(["pipeline=detector1"]).pipeline("nircam", "NRC_DARK").name == "detector1"


def test_unknown_modes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="EXP_TYPE FGS_ACQ3 is not one of FGS_ID-IMAGE, "):
        make_guider_exposure("FGS_ACQ3", tmp_path)
    with pytest.raises(ConfigError, match="readout nrc_superb is not one of nrc_supstp, "):
        make_stripe_exposure("nrc_superb", tmp_path)


def test_superstripes_are_read_and_written_with_flags_for_every_stripe(tmp_path):
    exposure = model.open(make_stripe_exposure("nrc_sub64p_supstp008", tmp_path, ngroups=2, nints=2))
    assert type(exposure) is SuperstripeRamp
    assert exposure.shape == (16, 2, 8, 64)
    exposure.pixeldq[...] = np.arange(8)[:, None, None]
    exposure.save(tmp_path / "copy.fits")
    np.testing.assert_array_equal(model.open(tmp_path / "copy.fits").pixeldq, exposure.pixeldq, strict=True)
