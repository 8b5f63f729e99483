"""CRDS: which file a context gives to an exposure, and whether the cache holds it; the client runs without a server."""

import gc
import hashlib

import pytest

from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.reference import References, library
from tests.crds_cache import MadeCache

crds = pytest.importorskip("crds", reason="the CRDS client is not installed: pip install 'gpucal[crds]'")

GAIN, DARK, LATER = (f"jwst_nircam_{name}.fits" for name in ("gain_0001", "dark_0001", "dark_0002"))
RULES = {
    "NIRCAM": {
        "gain": {"NRCA1": {"2020-01-01": GAIN}},
        "dark": {"NRCA1": {"2020-01-01": DARK, "2024-01-01": LATER}, "NRCA2": "N/A"},
        "reset": "N/A",
    },
    "MIRI": {"gain": {"MIRIMAGE": {"2020-01-01": "jwst_miri_gain_0001.fits"}}},
}


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT", "CRDS_READONLY_CACHE", "CRDS_OBSERVATORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CRDS_CLIENT_TIMEOUT_SECONDS", raising=False)
    monkeypatch.setenv("GPUCAL_CACHE", str(tmp_path / "gpucal"))


@pytest.fixture
def made(tmp_path):
    """A cache with one context and the files it names."""
    cache = MadeCache(tmp_path / "cache")
    cache.context = cache.write_context(1, RULES)
    for name in (GAIN, DARK, LATER, "jwst_miri_gain_0001.fits"):
        cache.add(name, name.encode() * 100)
    cache.note_server()
    return cache


@pytest.fixture
def exposure(make_ramp, host):
    """Make an exposure of a detector at a date."""

    def make(detector="NRCA1", instrument="NIRCAM", date="2022-01-01", time="00:00:00.000"):
        return make_ramp(host, [1], detector=detector, instrument=instrument, date=date, time=time)

    return make


def found(library, reftype, exposure):
    return library.find(reftype, exposure)[1].removeprefix("crds://")


# -- rules


def test_a_file_is_found_by_detector_and_lies_in_the_cache(made, exposure):
    path, name = library("crds", made.path).find("gain", exposure())
    assert (path, name) == (made.locate(GAIN), f"crds://{GAIN}")


@pytest.mark.parametrize(
    ("date", "time", "file"),
    [("2022-01-01", "00:00:00", DARK), ("2023-12-31", "23:59:59.999", DARK), ("2024-01-01", "00:00:00.000", LATER)],
)
def test_the_latest_file_that_is_not_later_than_the_exposure_is_taken(date, time, file, made, exposure):
    assert found(library("crds", made.path), "dark", exposure(date=date, time=time)) == file


@pytest.mark.parametrize(("reftype", "detector"), [("reset", "NRCA1"), ("dark", "NRCA2"), ("sirskernel", "NRCA1")])
def test_what_does_not_apply_is_no_error(reftype, detector, made, exposure):
    """By the instrument's rules, by the type's rules, or because the context is older than the type."""
    assert library("crds", made.path).find(reftype, exposure(detector)) == (None, "N/A")


@pytest.mark.parametrize(
    ("keywords", "cause"),
    [
        ({"detector": "NRCB4"}, "jwst_0001.pmap has no gain for DETECTOR NRCB4"),
        ({"date": "2019-01-01"}, "jwst_0001.pmap has no gain for DETECTOR NRCA1, DATE-OBS 2019-01-01"),
        ({"instrument": "FGS", "detector": "GUIDER1"}, "jwst_0001.pmap knows no instrument FGS"),
    ],
)
def test_what_the_context_does_not_cover_is_named(keywords, cause, made, exposure):
    with pytest.raises(ReferenceFileError) as caught:
        library("crds", made.path).find("gain", exposure(**keywords))
    assert str(caught.value) == cause


def test_two_instruments_use_one_context(made, exposure):
    crds = library("crds", made.path)
    assert found(crds, "gain", exposure()) == GAIN
    assert found(crds, "gain", exposure("MIRIMAGE", "MIRI")) == "jwst_miri_gain_0001.fits"


def test_rules_that_are_not_in_the_cache_are_named(made, exposure):
    (made.path / "mappings" / "jwst" / "jwst_nircam_gain_0001.rmap").unlink()
    crds = library("crds", made.path)
    assert found(crds, "dark", exposure()) == DARK
    with pytest.raises(ReferenceFileError, match=r"its rules jwst_nircam_gain_0001.rmap are not in the CRDS cache"):
        crds.find("gain", exposure())


def test_the_rules_are_asked_once_for_exposures_that_they_cannot_tell_apart(made, exposure, monkeypatch):
    from gpucal.reference.crds import Rules

    asked = []
    monkeypatch.setattr(Rules, "best", lambda rules, values: asked.append(values) or GAIN)
    crds = library("crds", made.path)
    for detector in ("NRCA1", "NRCA2", "NRCA1", "NRCA1"):
        crds.find("gain", exposure(detector))
    assert len(asked) == 2


# -- contexts


def test_the_context_is_what_the_client_noted_last(made):
    newer = made.write_context(2, RULES)
    assert library("crds", made.path).context == made.context
    made.note_server()
    assert library("crds", made.path).context == newer


def test_the_context_is_the_newest_where_the_client_noted_nothing(made):
    (made.path / "config" / "jwst" / "server_config").unlink()
    newer = made.write_context(2, RULES)
    assert library("crds", made.path).context == newer


def test_the_environment_chooses_a_context_and_a_setting_goes_before_it(made, monkeypatch):
    newer = made.write_context(2, RULES)
    monkeypatch.setenv("CRDS_CONTEXT", newer)
    assert library("crds", made.path).context == newer
    assert library("crds", made.path, made.context).context == made.context


def test_a_context_that_is_not_in_the_cache_is_named(made):
    with pytest.raises(
        ConfigError, match=r"reference.context=jwst_0999.pmap: not in the CRDS cache at .*, and no CRDS_"
    ):
        library("crds", made.path, "jwst_0999.pmap")


def test_a_context_of_a_day_needs_a_server(made):
    with pytest.raises(ConfigError, match=r"reference.context=jwst-2022-01-01T00:00:00: .*not reachable"):
        library("crds", made.path, "jwst-2022-01-01T00:00:00")


def test_a_folder_that_is_no_cache_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no CRDS cache at"):
        library("crds", tmp_path)


# -- files


def troubles(library, *paths):
    return {path.name: trouble for path, trouble in library.provide(paths).items()}


def test_a_cache_that_is_only_read_is_enough(made, exposure, monkeypatch):
    monkeypatch.setenv("CRDS_READONLY_CACHE", "1")

    def contents():
        return {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}

    before = contents()
    crds = library("crds", made.path)
    assert troubles(crds, crds.find("gain", exposure())[0], made.locate(DARK)) == {}
    assert contents() == before


def test_a_missing_file_is_told_with_the_reason_why_it_is_not_fetched(made):
    made.locate(GAIN).unlink()
    assert troubles(library("crds", made.path), made.locate(GAIN)) == {
        GAIN: "not in the CRDS cache, and no CRDS_SERVER_URL to fetch it from"
    }


def test_a_truncated_file_is_found_by_its_size(made):
    made.locate(GAIN).write_bytes(b"x")
    (trouble,) = troubles(library("crds", made.path, verify=False), made.locate(GAIN)).values()
    assert trouble.startswith("damaged, it has 1 bytes and should have 2600")


def test_a_changed_file_is_found_by_its_sum_unless_sums_are_not_wanted(made):
    path = made.locate(GAIN)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    (trouble,) = troubles(library("crds", made.path), path).values()
    assert trouble.startswith("damaged, its sha1 sum is not the one CRDS knows")
    assert troubles(library("crds", made.path, verify=False), path) == {}


def test_a_sum_is_computed_once_until_the_file_changes(made, monkeypatch):
    computed = []
    original = hashlib.file_digest
    monkeypatch.setattr("hashlib.file_digest", lambda *given: computed.append(1) or original(*given))
    for _ in range(3):
        assert troubles(library("crds", made.path), made.locate(GAIN)) == {}
    assert len(computed) == 1
    path = made.locate(GAIN)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert troubles(library("crds", made.path), path) != {}


def test_files_that_nothing_is_known_of_are_taken_as_they_are(made):
    (made.path / "config" / "jwst" / "server_config").unlink()
    made.locate(GAIN).write_bytes(b"x")
    assert troubles(library("crds", made.path), made.locate(GAIN)) == {}


def test_a_file_that_crds_has_withdrawn_is_not_used_unless_asked_for(made, monkeypatch):
    made.withdrawn.append(GAIN)
    made.note_server()
    assert troubles(library("crds", made.path), made.locate(GAIN)) == {GAIN: "marked by CRDS as scientifically invalid"}
    monkeypatch.setenv("CRDS_ALLOW_BAD_REFERENCES", "1")
    assert troubles(library("crds", made.path), made.locate(GAIN)) == {}


def test_a_reference_that_a_step_asks_for_is_checked_too(made, exposure):
    made.locate(GAIN).unlink()
    with pytest.raises(ReferenceFileError, match=f"{GAIN}: not in the CRDS cache"):
        References(library=library("crds", made.path)).get("gain", exposure())


# -- a server


@pytest.fixture
def empty(tmp_path):
    """A cache that holds nothing yet."""
    return tmp_path / "empty"


@pytest.fixture
def server(made, monkeypatch):
    with made.served() as server:
        monkeypatch.setenv("CRDS_SERVER_URL", server.url)
        yield server


class Watch:
    """Notes the stages that it is told of, and how far they came."""

    def __init__(self):
        self.stages = {}

    def __call__(self, what, total, unit=""):
        self.stages[what] = [0, total]

        def advance(amount):
            self.stages[what][0] += amount

        return advance


def test_context_rules_and_files_are_fetched_when_they_are_needed(server, empty, made, exposure):
    crds, watch = library("crds", empty), Watch()
    assert crds.context == made.context
    paths = [crds.find(reftype, exposure())[0] for reftype in ("gain", "dark")]
    assert not any(path.exists() for path in paths)
    assert crds.provide(paths, watch) == {}
    assert all(
        path.is_relative_to(empty) and path.read_bytes() == made.locate(path.name).read_bytes() for path in paths
    )
    size = len(GAIN + DARK) * 100
    assert watch.stages["fetching 2 reference files"] == [size, size]
    assert crds.provide(paths) == {}
    assert sorted(name for name in server.sent if name.endswith(".fits")) == [DARK, GAIN]


def test_a_damaged_file_is_fetched_again(server, empty, made, exposure):
    crds = library("crds", empty)
    path, _ = crds.find("gain", exposure())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    assert crds.provide([path]) == {}
    assert path.read_bytes() == made.locate(GAIN).read_bytes()


def test_what_comes_damaged_is_not_left_in_the_cache(server, empty, made, exposure):
    made.locate(GAIN).write_bytes(b"y" * 2600)
    crds = library("crds", empty)
    path, _ = crds.find("gain", exposure())
    (trouble,) = crds.provide([path]).values()
    assert trouble.startswith("cannot be fetched: ")
    assert "sha1sum" in trouble
    assert not path.exists()


def test_a_file_that_the_server_lost_is_told_and_the_others_come(server, empty, made, exposure):
    made.locate(GAIN).unlink()
    crds = library("crds", empty)
    paths = [crds.find(reftype, exposure())[0] for reftype in ("gain", "dark")]
    (trouble,) = crds.provide(paths).values()
    assert "404" in trouble
    assert paths[1].exists()


def test_a_file_that_the_server_does_not_know_is_told(server, made):
    crds = library("crds", made.path)
    unknown = made.locate("jwst_nircam_gain_0099.fits")
    assert crds.provide([unknown]) == {unknown: "not in the CRDS cache, and the server does not know it"}


def test_a_cache_that_must_not_be_written_is_not(server, made, monkeypatch):
    made.locate(GAIN).unlink()
    monkeypatch.setenv("CRDS_READONLY_CACHE", "1")
    crds = library("crds", made.path)
    assert troubles(crds, made.locate(GAIN), made.locate(DARK)) == {
        GAIN: "not in the CRDS cache, and the cache cannot be written"
    }
    assert not made.locate(GAIN).exists()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # urllib's, when a connection is refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_does_not_answer_leaves_what_the_cache_has(made, exposure, monkeypatch):
    monkeypatch.setenv("CRDS_SERVER_URL", "http://localhost:1")
    crds = library("crds", made.path)
    made.locate(DARK).unlink()
    assert crds.context == made.context
    assert troubles(crds, made.locate(GAIN), made.locate(DARK)) == {
        DARK: "not in the CRDS cache, and the server http://localhost:1 cannot be reached"
    }
    gc.collect()  # the warnings come with the garbage


def test_nothing_is_said_on_the_terminal(server, empty, exposure, capfd):
    crds = library("crds", empty)
    assert crds.provide([crds.find("gain", exposure())[0]]) == {}
    assert capfd.readouterr() == ("", "")
