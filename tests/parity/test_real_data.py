"""Real detector data: a MIRI ramp taken on the ground, and the CRDS context of flight data."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import model
from gpucal.errors import ReferenceFileError
from gpucal.reference import References, library
from tests.parity.conftest import SHARED

REAL = SHARED / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout")


@pytest.fixture(scope="module")
def slopes():
    overrides = {t: str(REAL / f"miri_sub64_{t}.fits") for t in ("mask", "saturation", "gain", "readnoise")}
    return gpucal.pipeline("detector1", override=overrides)(REAL / "miri_sub64_ground_uncal.fits")


@pytest.mark.parametrize("product", ["rate", "rateints"])
def test_a_real_miri_ramp_gives_the_official_slopes(product, slopes):
    with np.load(REAL / "miri_sub64_ground_jwst300.npz") as official:
        ours = getattr(slopes, product)
        names = {"data": "sci", "err": "err", "dq": "dq", "var_poisson": "var_poisson", "var_rnoise": "var_rnoise"}
        for name, theirs in names.items():
            assert np.array_equal(getattr(ours, name), official[f"{product}_{theirs}"], equal_nan=name != "dq")


def test_its_slopes_follow_the_product_of_2021(slopes, record_property):
    """Made with other references and another version, so only alike: what differs most is the treatment of groups."""
    theirs = fits.getdata(REAL / "miri_sub64_ground_official_0.17_rateints.fits")
    good = (slopes.rateints.dq == 0) & np.isfinite(theirs)
    correlation = np.corrcoef(slopes.rateints.data[good], theirs[good])[0, 1]
    record_property("correlation", float(correlation))
    assert correlation > 0.9


def test_a_crds_context_names_the_references_of_an_exposure():
    pytest.importorskip("crds", reason="the CRDS client is not installed: pip install 'gpucal[crds]'")
    shelf = References(library=library("crds", REAL / "crds_cache", "jwst_0676.pmap"))
    exposure = model.open(REAL / "miri_sub64_ground_uncal.fits")
    with pytest.raises(ReferenceFileError, match=r"jwst_miri_mask_\d+.fits: not in the CRDS cache"):
        shelf.get("mask", exposure)
    assert shelf.get("superbias", exposure) is None
    assert exposure.meta.ref_file.superbias.name == "N/A"
    assert exposure.meta.ref_file.crds.context_used == "jwst_0676.pmap"
