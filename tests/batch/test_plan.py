"""Before a batch starts: every reference file of every exposure is there and can serve, or it is said which not."""

import shutil
from pathlib import Path

import pytest
from astropy.io import fits

import gpucal
from gpucal.batch import plan
from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.reference import References, library
from gpucal.sample import make_exposures, make_references
from gpucal.settings import Settings
from tests.crds_cache import MadeCache

DETECTORS = {"NIRCAM": "NRCB1", "MIRI": "MIRIMAGE"}


@pytest.fixture(scope="module")
def exposures(made, tmp_path_factory):
    """Three exposures of NIRCam and one of MIRI, {instrument: files}, and folders of their references."""
    folder = tmp_path_factory.mktemp("two")
    nircam = [shutil.copy(made[0], folder / f"jw0123400100{n}_02101_00001_nrcb1_uncal.fits") for n in (1, 2, 3)]
    make_references("mir_sub64", folder / "miri", ngroups=4)
    miri = make_exposures("mir_sub64", folder / "data", ngroups=4)
    return {"NIRCAM": nircam, "MIRI": miri}, {"NIRCAM": made[1], "MIRI": folder / "miri"}


@pytest.fixture
def crds_cache(exposures, tmp_path, monkeypatch):
    """A CRDS cache with the references of both instruments."""
    pytest.importorskip("crds", reason="the CRDS client is not installed: pip install 'gpucal[crds]'")
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT", "CRDS_OBSERVATORY", "CRDS_CLIENT_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    cache, rules = MadeCache(tmp_path / "cache"), {}
    for instrument, folder in exposures[1].items():
        rules[instrument] = {}
        for file in sorted(folder.glob("*.fits")):
            name = f"jwst_{instrument.lower()}_{file.stem}_0001.fits"
            rules[instrument][file.stem] = {DETECTORS[instrument]: {"2020-01-01": name}}
            cache.add(name, file)
    cache.write_context(1, rules)
    cache.note_server()
    return cache


def planned(files, references, overrides=None, **values):
    settings = Settings(values={"override": overrides or {}, **values})
    return plan.make([Path(file) for file in files], settings, References(overrides=overrides, library=references))


def said(made):
    """{trouble: number of exposures}."""
    return {str(trouble): len(files) for trouble, files in made.grouped.items()}


def test_two_instruments_find_what_each_needs(exposures, crds_cache):
    files = [*exposures[0]["NIRCAM"], *exposures[0]["MIRI"]]
    made = planned(files, library("crds", crds_cache.path))
    assert made.troubles == {}
    assert made.decide("fail") == ([Path(file) for file in files], [])


def test_every_missing_or_damaged_file_is_told_once(exposures, crds_cache):
    (crds_cache.locate("jwst_nircam_gain_0001.fits")).unlink()
    (crds_cache.locate("jwst_miri_mask_0001.fits")).unlink()
    dark = crds_cache.locate("jwst_nircam_dark_0001.fits")
    contents = dark.read_bytes()
    dark.unlink()
    dark.write_bytes(contents[:-2880])
    made = planned([*exposures[0]["NIRCAM"], *exposures[0]["MIRI"]], library("crds", crds_cache.path))
    away = "and no CRDS_SERVER_URL to fetch it from"
    size = dark.stat().st_size
    assert said(made) == {
        f"dark: {dark.name}: damaged, it has {size} bytes and should have {size + 2880}, {away}": 3,
        f"gain: jwst_nircam_gain_0001.fits: not in the CRDS cache, {away}": 3,
        f"mask: jwst_miri_mask_0001.fits: not in the CRDS cache, {away}": 1,
    }
    with pytest.raises(ReferenceFileError, match="4 of 4 exposures lack reference files"):
        made.decide("fail")


def test_exposures_that_lack_nothing_can_be_done_without_the_others(exposures, crds_cache):
    crds_cache.locate("jwst_miri_mask_0001.fits").unlink()
    made = planned([*exposures[0]["MIRI"], *exposures[0]["NIRCAM"]], library("crds", crds_cache.path))
    files, (lost,) = made.decide("skip_exposure")
    assert files == [Path(file) for file in exposures[0]["NIRCAM"]]
    assert lost.source == str(exposures[0]["MIRI"][0])
    assert "mask: jwst_miri_mask_0001.fits: not in the CRDS cache" in lost.error


def test_an_instrument_that_the_context_lacks_is_told(exposures, crds_cache):
    context = crds_cache.write_context(2, {"NIRCAM": {"gain": "N/A"}})
    made = planned(exposures[0]["MIRI"], library("crds", crds_cache.path, context))
    assert said(made)["gain: jwst_0002.pmap knows no instrument MIRI"] == 1


def test_a_step_that_is_skipped_needs_nothing(exposures, crds_cache):
    crds_cache.locate("jwst_nircam_dark_0001.fits").unlink()
    steps = {"dark_current": {"skip": True}}
    assert planned(exposures[0]["NIRCAM"], library("crds", crds_cache.path), steps=steps).troubles == {}
    assert planned(exposures[0]["NIRCAM"], library("crds", crds_cache.path), stop_after="linearity").troubles == {}


def test_an_override_goes_before_crds_also_when_it_is_of_one_step(exposures, crds_cache):
    crds_cache.locate("jwst_nircam_gain_0001.fits").unlink()
    gain = str(exposures[1]["NIRCAM"] / "gain.fits")
    crds = library("crds", crds_cache.path)
    assert planned(exposures[0]["NIRCAM"], crds, {"gain": gain}).troubles == {}
    made = planned(exposures[0]["NIRCAM"], crds, {"gain": gain}, steps={"jump": {"override_gain": "nowhere.fits"}})
    assert said(made) == {"gain: override.gain=nowhere.fits: no such file": 3}


def test_what_the_context_declares_not_applicable_is_no_trouble_unless_a_step_cannot_do_without(exposures, crds_cache):
    context = crds_cache.write_context(2, {"NIRCAM": {"gain": "N/A", "readnoise": "N/A"}})
    made = planned(exposures[0]["NIRCAM"], library("crds", crds_cache.path, context))
    assert said(made) == {"gain: needed, but there is none": 3, "readnoise: needed, but there is none": 3}


def spoil(folder, references, reftype, edit):
    shutil.copytree(references, folder)
    with fits.open(folder / f"{reftype}.fits", mode="update") as hdus:
        edit(hdus[0].header)
    return folder


@pytest.mark.parametrize(
    ("edit", "cause"),
    [
        (
            lambda header: header.set("DETECTOR", "NRCA3"),
            "no gain reference fits, in .*gain.fits is for NRCA3, not NRCB1",
        ),
        (lambda header: header.set("REFTYPE", "DARK"), "gain: needed, but there is none"),
    ],
)
def test_a_folder_is_asked_before_the_start_too(edit, cause, exposures, tmp_path):
    folder = spoil(tmp_path / "refs", exposures[1]["NIRCAM"], "gain", edit)
    with pytest.raises(ReferenceFileError, match=cause):
        gpucal.run(exposures[0]["NIRCAM"], tmp_path / "out", references=folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoiled", "cause"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-2880]), "truncated, .* ends"),
        (lambda path: path.write_text("no reference"), "not a FITS file"),
        (lambda path: fits.setval(path, "REFTYPE", value="GAIN"), "is a GAIN reference, not DARK"),
        (lambda path: fits.setval(path, "INSTRUME", value="MIRI"), "was made for MIRI, the exposure is from NIRCAM"),
    ],
)
def test_an_override_is_opened_before_the_start(spoiled, cause, exposures, tmp_path):
    bad = Path(shutil.copy(exposures[1]["NIRCAM"] / "dark.fits", tmp_path / "mine.fits"))
    spoiled(bad)
    made = planned(exposures[0]["NIRCAM"], library("folder", exposures[1]["NIRCAM"]), {"dark": str(bad)})
    ((trouble, files),) = made.grouped.items()
    assert (trouble.reftype, trouble.file, len(files)) == ("dark", str(bad), 3)
    with pytest.raises(ReferenceFileError, match=cause):
        made.decide("fail")


def test_what_is_wrong_with_an_exposure_is_left_to_its_turn(exposures, tmp_path):
    empty = tmp_path / "empty_uncal.fits"
    empty.touch()
    files = [empty, exposures[0]["MIRI"][0], exposures[0]["NIRCAM"][0]]
    assert planned(files, library("folder", exposures[1]["NIRCAM"])).troubles.keys() == {files[1]}
    fates = gpucal.run(
        files, tmp_path / "out", references=exposures[1]["NIRCAM"], reference={"on_missing": "skip_exposure"}
    )
    assert [fate.error != "" for fate in fates] == [True, True, False]
    assert "needed, but there is none" in fates[0].error
    assert "not a FITS file" in fates[1].error


def test_each_file_is_opened_once_for_the_batch(exposures, crds_cache, monkeypatch):
    from gpucal.reference import shelf

    opened = []
    original = shelf.Reference
    monkeypatch.setattr(shelf, "Reference", lambda path, *given: opened.append(path) or original(path, *given))
    gpucal.run(exposures[0]["NIRCAM"], crds_cache.path / "out", references=crds_cache.path)
    again = [path.name for path in set(opened) if opened.count(path) > 1]
    assert len(set(opened)) > 5
    assert again == ["jwst_nircam_gain_0001.fits"]  # gain_scale wants it whole, jump and ramp_fit cut


def test_a_choice_that_there_is_not_is_refused(exposures, tmp_path):
    with pytest.raises(ConfigError, match=r"reference.on_missing=skip: expected fail or skip_exposure"):
        gpucal.run(
            exposures[0]["NIRCAM"], tmp_path, references=exposures[1]["NIRCAM"], reference={"on_missing": "skip"}
        )


def test_references_of_irs2_frames_are_those_of_the_frames_at_each_step(tmp_path):
    (exposure,) = make_exposures("nrs_irs2", tmp_path / "data", ngroups=2, nints=1)
    make_references("nrs_irs2", tmp_path / "refs", ngroups=2, nints=1)
    files = library("folder", tmp_path / "refs")
    assert planned([exposure], files).troubles == {}
    (rows,) = {trouble.cause for trouble in planned([exposure], files, steps={"refpix": {"skip": True}}).grouped}
    assert "has 2048 rows" in rows
