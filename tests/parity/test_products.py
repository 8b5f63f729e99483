"""Products are the official ones in what they say, and the official pipeline goes on with them."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import sample

# Written by one of the two alone, or different by nature.
OWN = {"DATE", "FILENAME", "CAL_VER", "CAL_VCS", "CRDS_VER", "CRDS_CTX", "GPUCAL", "", "HISTORY", "COMMENT"}
# Steps that gpucal does not have yet and that the official pipeline skips by default.
NOT_YET = {"S_CHGMIG", "S_PERSIS"}


@pytest.fixture(scope="module")
def work(tmp_path_factory, official):
    """A folder with an exposure, its references, and the products of both pipelines."""
    folder = tmp_path_factory.mktemp("products")
    sample.make_references("nrc_sub160", folder / "refs", ngroups=4)
    (exposure,) = sample.make_exposures("nrc_sub160", folder, ngroups=4)
    gpucal.run(exposure, folder / "ours", references=folder / "refs")
    (folder / "theirs").mkdir()
    official.silence()
    official.main(folder / "refs", str(folder / "theirs"), str(exposure))
    return folder


@pytest.mark.parametrize("suffix", ["rate", "rateints"])
def test_headers_say_what_the_official_ones_say(suffix, work):
    (ours,), (theirs,) = ((work / who).glob(f"*_{suffix}.fits") for who in ("ours", "theirs"))
    with fits.open(ours) as mine, fits.open(theirs) as official:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in official]
        for a, b in zip(mine[:-1], official[:-1], strict=True):
            keywords = (set(a.header) | set(b.header)) - OWN - NOT_YET
            assert {k: a.header.get(k) for k in keywords} == {k: b.header.get(k) for k in keywords}


def test_the_official_second_stage_takes_the_rate_from_disk(work, official):
    (rate,) = (work / "ours").glob("*_rate.fits")
    pipe = official.pipeline("Image2Pipeline", official.references(work / "refs"))
    (calibrated,) = pipe.run(str(rate))
    assert calibrated.meta.cal_step.photom == "COMPLETE"
    assert calibrated.meta.cal_step.ramp_fit == "COMPLETE"
    assert calibrated.meta.ref_file.gain.name.endswith("gain.fits")
    assert np.isfinite(calibrated.data).mean() > 0.9


def test_the_official_pipeline_goes_on_from_a_step_of_ours(work, official, tmp_path):
    (exposure,) = work.glob("*_uncal.fits")
    settings = {"dark_current": {"save_results": True}}
    (fate,) = gpucal.run(exposure, tmp_path, references=work / "refs", steps=settings)
    pipe = official.pipeline("Detector1Pipeline", official.references(work / "refs"))
    rate, _ = pipe.ramp_fit.run(pipe.jump.run(str(fate.products[0])))
    (ours,) = (path for path in fate.products if path.name.endswith("_rate.fits"))
    assert np.array_equal(rate.data, fits.getdata(ours), equal_nan=True)
