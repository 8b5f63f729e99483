"""Bad input files: each gives an InputError of one line that names the file and the cause."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal.errors import InputError
from gpucal.model import open as open_model
from gpucal.model import read


@pytest.fixture
def product(make_ramp, host, tmp_path):
    """A good file, to be spoilt."""
    make_ramp(host, (1, 3, 4, 5), zeroframe=0).save(tmp_path / "jw001_ramp.fits")
    return tmp_path / "jw001_ramp.fits"


@pytest.fixture
def write(tmp_path):
    """Write a FITS file of these extensions."""

    def make(**arrays):
        hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(array, name=name) for name, array in arrays.items())]
        hdus[0].header["TELESCOP"] = "JWST"
        fits.HDUList(hdus).writeto(tmp_path / "exposure.fits")
        return tmp_path / "exposure.fits"

    return make


def refusal(path):
    """The error of reading a file: one line that begins with its name."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


# -- files


@pytest.mark.parametrize("ending", [".fits", ".asdf"])
def test_file_that_is_not_there(tmp_path, ending):
    assert refusal(tmp_path / f"nowhere{ending}") == "No such file or directory"


@pytest.mark.parametrize("name", ["folder.fits", "folder.asdf"])
def test_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    assert refusal(tmp_path / name) == "Is a directory"


def test_empty_file(tmp_path):
    (tmp_path / "empty.fits").touch()
    assert refusal(tmp_path / "empty.fits") == "not a FITS file"


@pytest.mark.parametrize("content", [b"hello", b"SIMPLE", b"\0" * 2880, b"%PDF-1.7 " * 1000])
def test_file_that_is_not_fits(tmp_path, content):
    (tmp_path / "text.fits").write_bytes(content)
    assert refusal(tmp_path / "text.fits") == "not a FITS file"


@pytest.mark.parametrize("content", [b"", b"hello", b"#ASDF 1.0.0\nnonsense"])
def test_file_that_is_not_asdf(tmp_path, content):
    (tmp_path / "text.asdf").write_bytes(content)
    assert refusal(tmp_path / "text.asdf")


@pytest.mark.parametrize("extension", ["PIXELDQ", "GROUPDQ", "ZEROFRAME", "ASDF"])
def test_file_truncated_within_a_header(product, extension):
    """What follows must not be taken for absent: pixels would lose their flags."""
    with fits.open(product) as hdus:
        middle = hdus[extension].fileinfo()["hdrLoc"] + 1000
    product.write_bytes(product.read_bytes()[:middle])
    assert "truncated" in refusal(product)


def test_file_truncated_within_its_pixels_says_by_how_much(write):
    path = write(SCI=np.zeros((1, 2, 100, 100), "f4"))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size - 5760])
    assert refusal(path).startswith("truncated, SCI ends ")


def test_file_cut_while_it_is_read(product, host, monkeypatch):
    """The headers are fine, then the pixels are gone."""
    from gpucal.model import load

    headers = load.extensions(product)
    monkeypatch.setattr(load, "extensions", lambda path: headers)
    product.write_bytes(product.read_bytes()[:5760])
    with pytest.raises(InputError, match=r"jw001_ramp.fits\[SCI\]: the file ends before its pixels do"):
        open_model(product, host)


def test_file_without_permission(product, monkeypatch):
    import builtins

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(product))

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(fits, "open", refuse)
    assert refusal(product) == "Permission denied"


# -- extensions


def test_file_without_science_pixels(write):
    assert refusal(write(DQ=np.zeros((4, 5), "i4"))) == "no SCI extension with pixels"


def test_science_extension_without_pixels(write):
    assert refusal(write(SCI=None)) == "no SCI extension with pixels"


@pytest.mark.parametrize("shape", [(5,), (1, 1, 1, 4, 5)])
def test_wrong_number_of_dimensions(write, shape):
    message = refusal(write(SCI=np.zeros(shape, "f4")))
    assert message == f"SCI has {len(shape)} dimensions, expected 4 (ramp), 3 or 2 (rates)"


@pytest.mark.parametrize("dtype", ["f8", "i2", "i4", "u1", "u4"])
def test_science_pixels_of_a_wrong_type(write, dtype):
    assert refusal(write(SCI=np.zeros((1, 2, 4, 5), dtype))) == f"SCI is {np.dtype(dtype)}, expected float32"


def test_scaled_pixels(write):
    path = write(SCI=np.zeros((1, 2, 4, 5), "i2"))
    fits.setval(path, "BSCALE", value=0.5, ext=("SCI", 1))
    assert "BSCALE 0.5: unknown" in refusal(path)


def test_sixty_four_bit_integers(write):
    assert "BITPIX 64" in refusal(write(SCI=np.zeros((1, 2, 4, 5), "i8")))


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [("GROUPDQ", "f4", "uint8"), ("PIXELDQ", "i4", "uint32"), ("ZEROFRAME", "f8", "float32")],
)
def test_other_pixels_of_a_wrong_type(write, name, dtype, expected):
    shape = {"GROUPDQ": (1, 2, 4, 5), "PIXELDQ": (4, 5), "ZEROFRAME": (1, 4, 5)}[name]
    path = write(**{"SCI": np.zeros((1, 2, 4, 5), "f4"), name: np.zeros(shape, dtype)})
    assert refusal(path) == f"{name} is {np.dtype(dtype)}, expected {expected}"


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "expected"),
    [
        ("GROUPDQ", "u1", (1, 3, 4, 5), (1, 2, 4, 5)),
        ("PIXELDQ", "u4", (5, 4), (4, 5)),
        ("ZEROFRAME", "f4", (2, 4, 5), (1, 4, 5)),
        ("AVDRKCUR", "f4", (1, 4, 5), (4, 5)),
    ],
)
def test_shapes_that_do_not_fit_each_other(write, name, dtype, shape, expected):
    path = write(**{"SCI": np.zeros((1, 2, 4, 5), "f4"), name: np.zeros(shape, dtype)})
    assert refusal(path) == f"{name} has shape {shape}, expected {expected}"


@pytest.mark.parametrize("shape", [(1, 0, 4, 5), (0, 3, 4, 5), (1, 3, 0, 5)])
def test_science_pixels_of_which_there_are_none(write, shape):
    assert refusal(write(SCI=np.zeros(shape, "f4"))) == f"SCI holds no pixels, its shape is {shape}"


# -- headers


def test_header_that_states_another_number_of_groups(product):
    fits.setval(product, "NGROUPS", value=9)
    assert refusal(product) == "NGROUPS is 9, but SCI holds 3 groups"


def test_header_without_the_number_of_groups_is_fine(product, host):
    fits.delval(product, "NGROUPS")
    assert open_model(product, host).shape == (1, 3, 4, 5)


def test_keyword_a_step_needs_is_named_when_it_is_needed(product, host):
    fits.delval(product, "SUBSTRT1")
    model = open_model(product, host)
    with pytest.raises(InputError, match=rf"^{product}: keyword SUBSTRT1 is missing$"):
        _ = model.window


def test_keyword_of_a_wrong_type_is_a_warning_in_the_log(product, host, caplog):
    fits.setval(product, "NFRAMES", value="many")
    model = open_model(product, host)
    assert "jw001_ramp.fits: " in caplog.text
    with pytest.raises(InputError, match="keyword NFRAMES is missing"):
        model.need("exposure.nframes")


# -- models in memory


@pytest.mark.parametrize("shape", [(5,), (1, 1, 1, 4, 5)])
def test_official_model_of_a_wrong_number_of_dimensions(shape):
    from stdatamodels.jwst.datamodels import JwstDataModel

    class Any(JwstDataModel):
        data = np.zeros(shape, "f4")

    with pytest.raises(InputError, match=f"has {len(shape)} dimensions, expected 2, 3 or 4"):
        read(Any())


def test_official_model_without_pixels():
    from stdatamodels.jwst.datamodels import RampModel

    with pytest.raises(InputError, match="model in memory: the model's data has 0 dimensions"):
        read(RampModel())


def test_asdf_file_without_pixels(tmp_path):
    import asdf

    asdf.AsdfFile({"meta": {"telescope": "JWST"}}).write_to(tmp_path / "empty.asdf")
    assert refusal(tmp_path / "empty.asdf") == "no array named data with 2, 3 or 4 dimensions"
