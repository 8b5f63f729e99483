"""A folder of reference files: the one whose header fits the exposure best is chosen."""

import pytest

from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.reference import library
from gpucal.reference.folder import Folder


@pytest.fixture
def choice(make_ramp, host, reference_file, tmp_path):
    """Write files (name -> keywords) and return which one an exposure gets."""

    def find(reftype, files, **exposure):
        place = {"SUBSTRT1": None, "SUBSTRT2": None}
        for name, keywords in files.items():
            reference_file(keywords.pop("of", reftype), data=[[1.0]], filename=f"{name}.fits", **place | keywords)
        path, given_name = Folder(tmp_path).find(reftype, make_ramp(host, (1, 1, 64, 64), **exposure))
        if path is None:
            return given_name
        assert given_name == str(path)
        return path.stem

    return find


FULL = {"SUBARRAY": "FULL", "SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048}
EXACT = {"SUBARRAY": "SUB64P", "SUBSTRT1": 1025, "SUBSTRT2": 1025, "SUBSIZE1": 64, "SUBSIZE2": 64}
LARGER = {"SUBARRAY": "SUB160", "SUBSTRT1": 1000, "SUBSTRT2": 1000, "SUBSIZE1": 160, "SUBSIZE2": 160}
ELSEWHERE = {"SUBARRAY": "SUB160", "SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 160, "SUBSIZE2": 160}


# -- what must agree


def test_file_of_the_type_is_taken(choice):
    assert choice("gain", {"a": {"of": "dark"}, "b": {}, "c": {"of": "readnoise"}}) == "b"


def test_file_of_the_detector_is_taken(choice):
    assert choice("gain", {"a": {"DETECTOR": "NRCA2"}, "b": {"DETECTOR": "NRCA1"}}) == "b"


def test_file_of_the_instrument_is_taken(choice):
    assert choice("gain", {"a": {"INSTRUME": "MIRI"}, "b": {"INSTRUME": "NIRCAM"}}) == "b"


@pytest.mark.parametrize("any_word", ["ANY", "N/A", "GENERIC", ""])
def test_keyword_that_means_any_fits_everything(choice, any_word):
    assert choice("gain", {"a": {"DETECTOR": any_word}}) == "a"


def test_case_and_blanks_make_no_difference(choice):
    assert choice("gain", {"a": {"DETECTOR": "nrca1 ", "REFTYPE": "Gain"}}) == "a"


def test_flats_depend_on_the_filter(choice):
    files = {"a": {"FILTER": "F150W"}, "b": {"FILTER": "F200W"}}
    assert choice("flat", files, filter="F200W") == "b"


def test_flats_depend_on_the_pupil(choice):
    files = {"a": {"FILTER": "F200W", "PUPIL": "GRISMR"}, "b": {"FILTER": "F200W", "PUPIL": "CLEAR"}}
    assert choice("flat", files, pupil="CLEAR") == "b"


def test_detectors_gain_does_not_depend_on_the_filter(choice):
    assert choice("gain", {"a": {"FILTER": "F150W"}}, filter="F200W") == "a"


def test_window_must_contain_the_exposures(choice):
    assert choice("gain", {"a": ELSEWHERE, "b": LARGER}) == "b"


# -- what is better


def test_exact_subarray_goes_before_a_larger_one(choice):
    assert choice("gain", {"z": FULL, "y": LARGER, "a": EXACT}) == "a"


def test_full_frame_serves_where_there_is_nothing_smaller(choice):
    assert choice("gain", {"a": FULL}) == "a"


def test_same_read_pattern_goes_before_a_later_date(choice):
    files = {
        "a": {"READPATT": "RAPID", "USEAFTER": "2020-01-01T00:00:00"},
        "b": {"READPATT": "SHALLOW4", "USEAFTER": "2023-01-01T00:00:00"},
    }
    assert choice("dark", files, readpatt="RAPID") == "a"


def test_latest_of_those_before_the_exposure_is_taken(choice):
    files = {year: {"USEAFTER": f"{year}-01-01T00:00:00"} for year in ("2021", "2023", "2022", "2025")}
    assert choice("gain", files, date="2024-01-01") == "2023"


def test_file_of_the_very_second_is_taken(choice):
    files = {"a": {"USEAFTER": "2024-01-01T12:00:00"}, "b": {"USEAFTER": "2024-01-01T12:00:01"}}
    assert choice("gain", files, date="2024-01-01", time="12:00:00.000") == "a"


def test_exposure_without_a_date_gets_the_latest(choice):
    files = {year: {"USEAFTER": f"{year}-01-01T00:00:00"} for year in ("2021", "2025")}
    assert choice("gain", files, date=None, time=None) == "2025"


def test_equal_files_are_told_apart_by_name(choice):
    assert choice("gain", {"a": {}, "b": {}}) == "b"


# -- when there is none


def test_folder_without_a_file_of_the_type_has_none(choice):
    assert choice("gain", {"a": {"of": "dark"}}) == "N/A"


def test_files_of_the_type_that_do_not_fit_are_an_error_that_says_why(choice):
    files = {
        "a": {"DETECTOR": "NRCA2"},
        "b": {"USEAFTER": "2030-01-01T00:00:00"},
        "c": ELSEWHERE,
    }
    with pytest.raises(ReferenceFileError) as caught:
        choice("gain", files)
    message = str(caught.value)
    assert "no gain reference fits" in message
    assert "a.fits is for NRCA2, not NRCA1" in message
    assert "b.fits is for exposures after 2030-01-01T00:00:00" in message
    assert "c.fits does not contain the exposure's window (SUBARRAY SUB64P)" in message


# -- what is in the folder


def test_subfolders_are_searched(make_ramp, host, reference_file, tmp_path):
    path = reference_file("gain", data=[[1.0]], SUBSTRT1=None, SUBSTRT2=None)
    (tmp_path / "deep" / "down").mkdir(parents=True)
    moved = path.rename(tmp_path / "deep" / "down" / "gain.fits")
    assert Folder(tmp_path).find("gain", make_ramp(host, [1]))[0] == moved


def test_other_files_do_not_matter(make_ramp, host, reference_file, tmp_path):
    (tmp_path / "notes.txt").write_text("gain is good")
    (tmp_path / "broken.fits").write_bytes(b"")
    (tmp_path / "text.fits").write_text("not FITS")
    (tmp_path / "broken.asdf").write_text("not ASDF")
    make_ramp(host, [1]).save(tmp_path / "jw_ramp.fits")
    path = reference_file("gain", data=[[1.0]], SUBSTRT1=None, SUBSTRT2=None)
    assert Folder(tmp_path).find("gain", make_ramp(host, [1]))[0] == path


def test_asdf_files_are_found_by_their_tree(make_ramp, host, tmp_path):
    import asdf

    instrument = {"name": "NIRCAM", "detector": "NRCA1"}
    meta = {"reftype": "distortion", "instrument": instrument, "useafter": "2022-01-01T00:00:00"}
    asdf.AsdfFile({"meta": meta}).write_to(tmp_path / "distortion.asdf")
    folder = Folder(tmp_path)
    assert folder.find("distortion", make_ramp(host, [1]))[0] == tmp_path / "distortion.asdf"
    with pytest.raises(ReferenceFileError, match="is for NRCA1, not NRCB1"):
        folder.find("distortion", make_ramp(host, [1], detector="NRCB1"))


@pytest.mark.parametrize("path", [None, ""])
def test_folder_must_be_given(path):
    with pytest.raises(ConfigError, match=r"reference=folder needs reference\.path=FOLDER"):
        library("folder", path)


def test_folder_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        library("folder", tmp_path / "nowhere")


def test_folder_must_hold_references(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="no reference files"):
        library("folder", tmp_path)


def test_unknown_library_is_refused():
    with pytest.raises(ConfigError, match="reference=shelf is not one of none, folder, crds"):
        library("shelf")


@pytest.mark.parametrize("kind", [None, "none"])
def test_no_library_is_fine(kind):
    assert library(kind) is None
