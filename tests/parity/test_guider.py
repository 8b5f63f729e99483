"""Guide star exposures give the official pipeline's numbers, from simulated files and from flight."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import sample
from gpucal.device import to_host
from gpucal.sample.guider import MODES, TABLES, make_guider_exposure
from tests.parity.conftest import SHARED
from tests.parity.test_products import OWN

FLIGHT = SHARED / "real" / "jw01019001001_gs-acq1_2022117003102_uncal.fits"
TYPES = ("mask", "gain", "readnoise", "flat")
SMALL = {
    "FGS_ID-IMAGE": {"shape": (200, 2048)},
    "FGS_ID-STACK": {"shape": (40, 2304)},
    "FGS_FINEGUIDE": {"ngroups": 9},
}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return sample.make_references("fgs_full", tmp_path_factory.mktemp("refs"), types=TYPES)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """References without NaN, so that the mean over the detector is a number."""
    return sample.make_references("fgs_full", tmp_path_factory.mktemp("clean"), types=TYPES, clean=True)


def compare(official, exposure, available):
    """Run both pipelines and compare every array and table; return gpucal's product."""
    official.silence()
    theirs = official.pipeline("GuiderPipeline", available).run(str(exposure))
    ours = gpucal.pipeline(override={t: str(path) for t, path in available.items()})(exposure)
    for name in ("data", "err", "dq"):
        np.testing.assert_array_equal(to_host(getattr(ours, name)), getattr(theirs, name), err_msg=name, strict=True)
    for table in TABLES:
        assert ours.tree.hasattr(table) == theirs.hasattr(table)
        if theirs.hasattr(table):
            assert (np.array(getattr(ours.tree, table)) == np.array(getattr(theirs, table))).all()
    for step in ("dq_init", "guider_cds", "flat_field"):
        assert getattr(ours.meta.cal_step, step) == getattr(theirs.meta.cal_step, step)
    return ours


@pytest.mark.parametrize("exp_type", MODES)
def test_every_mode_gives_the_official_numbers(exp_type, official, references, tmp_path):
    exposure = make_guider_exposure(exp_type, tmp_path, seed=51, **SMALL.get(exp_type, {}))
    available = {t: path for t, path in references.items() if not (t == "mask" and exp_type == "FGS_ID-STACK")}
    assert compare(official, exposure, available).meta.cal_step.guider_cds == "COMPLETE"


def test_stacks_beyond_the_detector_get_the_official_mean_noise(official, clean, tmp_path):
    exposure = make_guider_exposure("FGS_ID-STACK", tmp_path, seed=52, tables=False, **SMALL["FGS_ID-STACK"])
    product = compare(official, exposure, {t: clean[t] for t in ("gain", "readnoise", "flat")})
    assert np.isfinite(to_host(product.err)).all()


def test_stacks_within_the_detector_get_their_own_pixels(official, references, tmp_path):
    exposure = make_guider_exposure("FGS_ID-STACK", tmp_path, seed=53, shape=(128, 2048))
    assert compare(official, exposure, references).meta.cal_step.dq_init == "COMPLETE"


def test_products_look_like_the_official_ones(official, references, tmp_path):
    exposure = make_guider_exposure("FGS_TRACK", tmp_path, seed=54)
    (fate,) = gpucal.run(exposure, tmp_path / "ours", override={t: str(path) for t, path in references.items()})
    assert not fate.error
    pipe = official.pipeline("GuiderPipeline", references)
    pipe.output_dir, pipe.save_results = str(tmp_path), True
    pipe.run(str(exposure))
    (theirs,) = tmp_path.glob("*_cal.fits")
    assert [path.name for path in fate.products] == [theirs.name]
    with fits.open(fate.products[0]) as mine, fits.open(theirs) as other:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in other]
        for a, b in zip(mine[:-1], other[:-1], strict=True):
            keywords = (set(a.header) | set(b.header)) - OWN
            assert {k: a.header.get(k) for k in keywords} == {k: b.header.get(k) for k in keywords}


@pytest.mark.skipif(not FLIGHT.is_file(), reason="no real data beside the checkout")
class TestFlight:
    """An acquisition of April 2022, whose file says Level1bModel."""

    def test_its_rate_is_the_difference_of_its_groups_over_the_group_time(self, official, tmp_path):
        available = {t: constant(tmp_path / f"{t}.fits", t, v) for t, v in (("gain", 1.8), ("readnoise", 9.0))}
        product = compare(official, FLIGHT, available)
        counts = fits.getdata(FLIGHT).astype("f4")
        rate = (counts[:, 1] - counts[:, 0]) / np.float32(0.364)
        np.testing.assert_array_equal(to_host(product.data), rate, strict=True)
        assert rate.max() == pytest.approx(113368.133, rel=1e-7)

    def test_without_references_it_keeps_its_counts(self, official):
        assert compare(official, FLIGHT, {}).meta.cal_step.guider_cds == "SKIPPED"


def constant(path, reftype, value):
    """Write a full-frame reference of one value."""
    primary = fits.PrimaryHDU()
    primary.header.update({"REFTYPE": reftype.upper(), "TELESCOP": "JWST", "INSTRUME": "FGS", "DETECTOR": "GUIDER2"})
    primary.header.update({"SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048, "SUBARRAY": "GENERIC"})
    fits.HDUList([primary, fits.ImageHDU(np.full((2048, 2048), value, "f4"), name="SCI")]).writeto(path)
    return path
