"""Arrays of a reference file: cut to the exposure's window, in the types and the flags that the steps expect."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal.device import to_host
from gpucal.errors import ReferenceFileError
from gpucal.reference import Reference


def window(rows, columns):
    """The slices of a detector that an exposure covers, from 1-based first and last rows and columns."""
    return slice(rows[0] - 1, rows[1]), slice(columns[0] - 1, columns[1])


def numbered(*shape):
    """Every pixel has its own value."""
    return np.arange(1, np.prod(shape) + 1, dtype="f4").reshape(shape)


# -- cuts


def test_exact_window_is_taken_whole(reference):
    data = numbered(4, 5)
    gain = reference("gain", window((11, 14), (21, 25)), data=data, SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(gain.data), data, strict=True)


def test_smaller_window_is_cut_out(reference):
    data = numbered(4, 5)
    gain = reference("gain", window((12, 13), (23, 25)), data=data, SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(gain.data), data[1:3, 2:5])


def test_window_is_cut_from_a_full_frame(reference):
    data = numbered(2048, 2048)
    gain = reference("gain", window((101, 110), (2041, 2048)), data=data, SUBSTRT1=1, SUBSTRT2=1)
    np.testing.assert_array_equal(to_host(gain.data), data[100:110, 2040:])


@pytest.mark.parametrize("shape", [(2048, 2048), (1024, 1032)])
def test_full_frame_needs_no_place(reference, shape):
    gain = reference("gain", window((101, 110), (1001, 1004)), data=numbered(*shape), SUBSTRT1=None, SUBSTRT2=None)
    np.testing.assert_array_equal(to_host(gain.data), numbered(*shape)[100:110, 1000:1004])


def test_subarray_without_a_place_is_refused(reference):
    gain = reference("gain", window((1, 4), (1, 5)), data=numbered(4, 5), SUBSTRT1=None, SUBSTRT2=None)
    with pytest.raises(ReferenceFileError, match=r"gain_0.fits: keywords SUBSTRT1 and SUBSTRT2 are missing"):
        _ = gain.data


@pytest.mark.parametrize(
    ("rows", "columns"), [((10, 12), (21, 25)), ((12, 15), (21, 25)), ((11, 14), (20, 25)), ((11, 14), (21, 26))]
)
def test_window_that_reaches_outside_is_refused_with_both_places(reference, rows, columns):
    gain = reference("gain", window(rows, columns), data=numbered(4, 5), SUBSTRT1=21, SUBSTRT2=11)
    expected = (
        rf"gain_0\.fits: covers columns 21 to 25 and rows 11 to 14, the exposure needs "
        rf"columns {columns[0]} to {columns[1]} and rows {rows[0]} to {rows[1]}"
    )
    with pytest.raises(ReferenceFileError, match=expected):
        _ = gain.data


def test_without_a_window_nothing_is_cut(reference):
    np.testing.assert_array_equal(to_host(reference("gain", data=numbered(4, 5)).data), numbered(4, 5))


def test_every_plane_of_a_cube_is_cut(reference):
    data = numbered(2, 3, 4, 5)
    dark = reference("dark", window((12, 13), (23, 25)), data=data, SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(dark.data), data[:, :, 1:3, 2:5])


def test_planes_are_read_a_few_at_a_time(reference):
    data = numbered(2, 3, 4, 5)
    dark = reference("dark", window((12, 13), (23, 25)), data=data, SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(dark.planes("data", 2, 3)), data.reshape(6, 4, 5)[2:5, 1:3, 2:5])


def test_whole_array_is_not_cut(reference):
    data = numbered(3, 4, 5)
    dark = reference("dark", window((12, 13), (23, 25)), data=data, SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(dark.whole()), data)
    assert dark.shape() == (3, 4, 5)


def test_flags_are_cut_like_the_data(reference):
    flags = np.arange(20).reshape(4, 5)
    mask = reference("mask", window((12, 13), (23, 25)), dq=flags, data=numbered(4, 5), SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(mask.dq), flags[1:3, 2:5].astype("u4"), strict=True)


def test_missing_flags_are_blank(reference):
    gain = reference("gain", window((12, 13), (23, 25)), data=numbered(4, 5), SUBSTRT1=21, SUBSTRT2=11)
    np.testing.assert_array_equal(to_host(gain.dq), np.zeros((2, 3), "u4"), strict=True)


def test_missing_flags_of_coefficients_are_blank(reference):
    linearity = reference("linearity", coeffs=numbered(3, 4, 5))
    np.testing.assert_array_equal(to_host(linearity.dq), np.zeros((4, 5), "u4"), strict=True)


# -- types


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "u1", "u2"])
def test_numbers_stored_in_any_type_arrive_as_they_are(backend, reference_file, dtype):
    values = np.array([[0, 1, 2], [100, 7, 5]], dtype)
    gain = Reference(reference_file("gain", data=values), "gain", None, backend)
    np.testing.assert_array_equal(to_host(gain.data), values.astype("f4"), strict=True)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4"])
def test_flags_stored_in_any_type_arrive_as_they_are(backend, reference_file, dtype):
    flags = np.array([[0, 1, 2], [100, 64, 5]], dtype)
    mask = Reference(reference_file("mask", dq=flags), "mask", None, backend)
    np.testing.assert_array_equal(to_host(mask.dq), flags.astype("u4"), strict=True)


def test_array_without_any_number_is_refused(reference):
    with pytest.raises(ReferenceFileError, match=r"gain_0.fits: SCI has no value that is not NaN"):
        _ = reference("gain", data=np.full((2, 2), np.nan)).data


def test_array_that_is_not_there_is_refused(reference):
    with pytest.raises(ReferenceFileError, match=r"gain_0.fits: no COEFFS extension with pixels"):
        _ = reference("gain", data=numbered(2, 2)).coeffs


def test_arrays_that_are_there_can_be_asked_for(reference):
    linearity = reference("linearity", coeffs=numbered(2, 2, 2))
    assert linearity.has("coeffs")
    assert not linearity.has("inv_coeffs")


def test_misspelt_attribute_is_an_error(reference):
    with pytest.raises(AttributeError, match="Reference has no attribute 'dat'"):
        _ = reference("gain", data=numbered(2, 2)).dat


# -- memory


def test_array_is_read_once(reference):
    gain = reference("gain", data=numbered(2, 2))
    assert gain.data is gain.data


def test_derived_array_is_made_once(reference):
    gain, calls = reference("gain", data=numbered(2, 2)), []
    for _ in range(2):
        assert gain.made("answer", lambda: calls.append(1) or 42) == 42
    assert calls == [1]


def test_bytes_on_the_device_are_counted(reference):
    gain = reference("gain", data=numbered(10, 20))
    assert gain.nbytes == 0
    _ = gain.data
    assert gain.nbytes == 10 * 20 * 4


def test_planes_are_not_kept(reference):
    dark = reference("dark", data=numbered(3, 4, 5))
    dark.planes("data", 0, 3)
    assert dark.nbytes == 0


# -- keywords and tables


def test_keywords_come_from_the_primary_header(reference):
    dark = reference("dark", data=numbered(1, 2, 2), NFRAMES=4)
    assert dark.keyword("NFRAMES") == 4
    assert dark.keyword("GROUPGAP") is None
    assert dark.keyword("GROUPGAP", 0) == 0


def test_tables_are_record_arrays(reference):
    mask = reference("mask", dq=np.zeros((2, 2)), dq_def={"HOT": 1, "DEAD": 2})
    assert mask.table("DQ_DEF")["VALUE"].tolist() == [1, 2]
    with pytest.raises(ReferenceFileError, match="no table RSCD"):
        mask.table("RSCD")


# -- files that cannot serve


def test_file_of_another_type_is_refused(backend, reference_file):
    path = reference_file("dark", data=numbered(2, 2))
    with pytest.raises(ReferenceFileError, match=rf"{path}: is a DARK reference, not GAIN"):
        Reference(path, "gain", None, backend)


def test_file_that_does_not_tell_its_type_is_taken(backend, reference_file):
    path = reference_file("gain", data=numbered(2, 2), REFTYPE=None)
    np.testing.assert_array_equal(to_host(Reference(path, "gain", None, backend).data), numbered(2, 2))


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.7 " * 1000])
def test_file_that_is_not_fits_is_refused(host, tmp_path, content):
    (tmp_path / "gain.fits").write_bytes(content)
    with pytest.raises(ReferenceFileError, match=r"^/.*gain.fits: not a FITS file$"):
        Reference(tmp_path / "gain.fits", "gain", None, host)


def test_truncated_file_is_refused(host, reference_file):
    path = reference_file("gain", data=numbered(100, 100))
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ReferenceFileError, match=rf"{path}: truncated, SCI ends"):
        Reference(path, "gain", None, host)


def test_file_that_is_not_asdf_is_refused(host, tmp_path):
    (tmp_path / "gain.asdf").write_bytes(b"hello")
    with pytest.raises(ReferenceFileError, match=r"gain\.asdf: "):
        Reference(tmp_path / "gain.asdf", "gain", None, host)


# -- ASDF


@pytest.fixture
def both_formats(tmp_path):
    """The same linearity reference as FITS and as ASDF."""
    from stdatamodels.jwst.datamodels import LinearityModel

    model = LinearityModel()
    model.coeffs = numbered(3, 4, 5)
    model.dq = np.array(np.arange(20).reshape(4, 5) % 4, "u4")
    model.dq_def = np.array([(0, 1, "NO_LIN_CORR", ""), (1, 2, "HOT", "")], dtype=model.get_dtype("dq_def"))
    model.meta.reftype = "LINEARITY"
    model.meta.description = model.meta.author = model.meta.pedigree = "GROUND"
    model.meta.useafter = "2022-01-01T00:00:00"
    model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
    model.meta.subarray.xstart, model.meta.subarray.ystart = 21, 11
    paths = tmp_path / "linearity.fits", tmp_path / "linearity.asdf"
    for path in paths:
        model.save(path)
    return paths


def test_asdf_reference_is_the_same_as_the_fits_reference(backend, both_formats):
    from_fits, from_asdf = (Reference(path, "linearity", window((12, 13), (23, 25)), backend) for path in both_formats)
    np.testing.assert_array_equal(to_host(from_asdf.coeffs), to_host(from_fits.coeffs), strict=True)
    np.testing.assert_array_equal(to_host(from_asdf.dq), to_host(from_fits.dq), strict=True)
    np.testing.assert_array_equal(to_host(from_asdf.whole("coeffs")), to_host(from_fits.whole("coeffs")), strict=True)
    planes = [to_host(file.planes("coeffs", 1, 2)) for file in (from_asdf, from_fits)]
    np.testing.assert_array_equal(*planes, strict=True)
    assert from_asdf.shape("coeffs") == from_fits.shape("coeffs")
    for word in ("REFTYPE", "INSTRUME", "SUBSTRT1"):
        assert from_asdf.keyword(word) == from_fits.keyword(word)


def test_official_model_reads_the_same_flags(backend, both_formats):
    from stdatamodels.jwst.datamodels import LinearityModel

    path, _ = both_formats
    with LinearityModel(path) as official:
        np.testing.assert_array_equal(to_host(Reference(path, "linearity", None, backend).dq), official.dq)


def test_fits_header_of_the_file_is_not_needed_twice(backend, reference_file):
    """The file can go once it is open and its arrays are read."""
    path = reference_file("gain", data=numbered(2, 2))
    gain = Reference(path, "gain", None, backend)
    expected = to_host(gain.data).copy()
    path.unlink()
    np.testing.assert_array_equal(to_host(gain.data), expected)
    assert not fits.HDUList().filename()
