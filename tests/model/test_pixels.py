"""Pixels: between the bytes of a FITS file and the numbers on a device."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gpucal.device import to_host
from gpucal.model.load import extensions
from gpucal.model.pixels import decode, encode

TYPES = ["u1", "u2", "u4", "f4"]


@pytest.fixture
def stored(tmp_path):
    """Store an array as a FITS extension; return where its pixels lie."""

    def make(array):
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(array, name="SCI")]).writeto(tmp_path / "x.fits", overwrite=True)
        return extensions(tmp_path / "x.fits")[1]["SCI"]

    return make


def every_value(dtype):
    """Values that matter: the limits, the highest bit alone, NaN, infinity, signed zeros and the like."""
    if dtype == "f4":
        values = [0.0, -0.0, 1.0, -1.5, np.nan, np.inf, -np.inf, 1e-38, 3.4e38, 65535.0, 2**24, -(2**31)]
        return np.array(values, "f4").reshape(1, 3, 4)
    top = np.iinfo(dtype).max
    values = [0, 1, 2, top, top - 1, top // 2, top // 2 + 1, top // 3, 0x55 & top, 0xAA & top, 7, 128]
    return np.array(values, dtype).reshape(1, 3, 4)


@pytest.mark.parametrize("dtype", TYPES)
def test_decoded_pixels_are_those_that_astropy_reads(backend, stored, dtype):
    array = every_value(dtype)
    pixels = stored(array)
    decoded = to_host(decode(backend.upload(pixels.read()), pixels.dtype))
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == ("f4" if dtype == "u2" else dtype)


@pytest.mark.parametrize("dtype", ["u1", "u4", "f4"])
def test_encoded_pixels_are_the_bytes_that_astropy_writes(backend, stored, dtype):
    array = every_value(dtype)
    pixels = stored(array)
    written = pixels.path.read_bytes()[pixels.offset : pixels.offset + pixels.nbytes]
    assert to_host(encode(backend.upload(array))).tobytes() == written


@pytest.mark.parametrize("dtype", ["f8", "i4", "u2", "i2"])
def test_types_that_no_product_has_cannot_be_encoded(backend, dtype):
    with pytest.raises(TypeError, match="no FITS encoding"):
        encode(backend.xp.zeros(3, dtype))


@given(array=arrays.arrays("u4", arrays.array_shapes(max_dims=3, max_side=9)))
def test_encoding_and_decoding_flags_gives_them_back(backend, array):
    encoded = encode(backend.upload(array.copy()))
    np.testing.assert_array_equal(to_host(decode(encoded, "u4")), array, strict=True)


@given(array=arrays.arrays("f4", arrays.array_shapes(max_dims=3, max_side=9)))
def test_encoding_and_decoding_numbers_gives_them_back_bit_for_bit(backend, array):
    decoded = to_host(decode(encode(backend.upload(array.copy())), "f4"))
    np.testing.assert_array_equal(decoded.view("u4"), array.view("u4"))


def test_encoding_leaves_the_array_as_it_is(backend):
    array = backend.upload(np.arange(6, dtype="u4"))
    encode(array)
    np.testing.assert_array_equal(to_host(array), np.arange(6))


# -- windows and planes


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    data=st.data(),
)
@pytest.mark.parametrize("dtype", TYPES)
def test_any_window_of_any_planes_can_be_read(stored, dtype, shape, data):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    planes = shape[0] * shape[1]
    first = data.draw(st.integers(0, planes - 1))
    count = data.draw(st.integers(1, planes - first))
    y0, x0 = data.draw(st.integers(0, shape[2] - 1)), data.draw(st.integers(0, shape[3] - 1))
    window = slice(y0, data.draw(st.integers(y0 + 1, shape[2]))), slice(x0, data.draw(st.integers(x0 + 1, shape[3])))
    pixels = stored(array)
    read = decode(pixels.read(first, count, window), pixels.dtype)
    np.testing.assert_array_equal(read, array.reshape(planes, *shape[2:])[first : first + count, *window])


def test_bytes_go_into_the_buffer_that_is_given(stored):
    given_out = []

    def allocate(nbytes):
        given_out.append(np.zeros(nbytes, "u1"))
        return given_out[-1]

    array = np.arange(12, dtype="f4").reshape(3, 4)
    read = stored(array).read(buffer=allocate)
    assert [len(buffer) for buffer in given_out] == [48]
    assert np.shares_memory(read, given_out[0])
