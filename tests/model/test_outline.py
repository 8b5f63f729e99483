"""An outline, read without pixels, says of an exposure what its model says."""

import pytest
from astropy.io import fits

from gpucal import model
from gpucal.errors import InputError
from gpucal.model.outline import outline
from gpucal.sample import make_exposures

# All that the rules of CRDS look at for any instrument (flight context jwst_0676), and what choosing in a folder needs.
PLACES = """instrument.name instrument.detector instrument.filter instrument.pupil instrument.channel instrument.band
    instrument.module instrument.grating instrument.coronagraph instrument.lamp_state instrument.lamp_mode
    exposure.type exposure.readpatt observation.date observation.time visit.tsovisit
    subarray.name subarray.xstart subarray.ystart subarray.xsize subarray.ysize subarray.slowaxis""".split()


@pytest.fixture(scope="module", params=["nrc_sub160", "mir_sub64"])
def exposure(request, tmp_path_factory):
    (path,) = make_exposures(request.param, tmp_path_factory.mktemp(request.param), ngroups=2)
    return path


def said(exposure):
    found = {}
    for place in PLACES:
        branch, leaf = place.split(".")
        found[place] = getattr(getattr(exposure.meta, branch), leaf)
    return found


@pytest.mark.parametrize("ending", [".fits", ".asdf"])
def test_it_says_what_the_model_says(ending, exposure, host, tmp_path):
    whole = model.open(exposure, host)
    path = exposure
    if ending == ".asdf":
        path = tmp_path / "jw_uncal.asdf"
        whole.save(path)
    sketch = outline(path)
    assert type(sketch) is type(whole)
    assert said(sketch) == said(whole)
    assert sum(value is not None for value in said(sketch).values()) > 10
    assert (sketch.shape, sketch.window, sketch.cut) == (whole.shape, whole.window, whole.cut)
    assert sketch.need("instrument.name") == whole.need("instrument.name")


def test_pixels_are_not_read(exposure, tmp_path):
    bare = tmp_path / exposure.name
    with fits.open(exposure) as hdus:
        bare.write_bytes(exposure.read_bytes()[: hdus["SCI"].fileinfo()["datLoc"]])
    assert outline(bare).window == outline(exposure).window


def test_rates_are_rates(exposure, tmp_path):
    with fits.open(exposure) as hdus:
        hdus["SCI"].data = hdus["SCI"].data[0, 0]
        hdus.writeto(tmp_path / "jw_rate.fits")
    assert type(outline(tmp_path / "jw_rate.fits")) is model.Image


def test_a_missing_keyword_is_named(exposure, tmp_path):
    path = tmp_path / exposure.name
    with fits.open(exposure) as hdus:
        del hdus[0].header["SUBSTRT1"]
        hdus.writeto(path)
    with pytest.raises(InputError, match=rf"{path}: keyword SUBSTRT1 is missing"):
        outline(path).window  # noqa: B018


def test_there_is_no_metadata_of_ones_own(exposure):
    with pytest.raises(AttributeError):
        outline(exposure).meta.colour  # noqa: B018


@pytest.mark.parametrize(
    ("contents", "cause"),
    [(b"", "not a FITS file"), (b"words " * 1000, "not a FITS file"), (b"SIMPLE  = T", "truncated within its headers")],
)
def test_what_is_no_exposure_is_one_line(contents, cause, tmp_path):
    path = tmp_path / "jw_uncal.fits"
    path.write_bytes(contents)
    with pytest.raises(InputError, match=f"{path}: {cause}"):
        outline(path)


def test_a_file_without_pixels_is_one_line(tmp_path):
    path = tmp_path / "jw_uncal.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(InputError, match="no SCI extension with pixels"):
        outline(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        outline(tmp_path / "jw_uncal.fits")
