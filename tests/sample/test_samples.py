"""Ready samples: made once, used again, never used half-made."""

import pytest

from gpucal.errors import ConfigError, OutputError
from gpucal.sample import CONFIGURATIONS, make_sample, samples
from gpucal.sample.samples import RECIPES


@pytest.fixture(autouse=True)
def small_recipes(monkeypatch):
    """A few reference files, and exposures of two groups of a subarray, take no time."""
    monkeypatch.setattr(samples, "TYPES", ("mask", "gain", "dark", "distortion"))
    monkeypatch.setattr(samples, "RECIPES", {"miri": samples.Recipe("mir_sub64", exposures=2, ngroups=2)})


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}


def test_a_sample_is_exposures_and_a_folder_of_references(tmp_path):
    exposures, references = make_sample("MIRI", tmp_path / "new")
    assert [path.name for path in exposures] == [
        "jw01234001001_02101_00001_mirimage_uncal.fits",
        "jw01234001001_02102_00002_mirimage_uncal.fits",
    ]
    assert all(path.is_file() for path in exposures)
    assert {path.stem for path in references.iterdir()} == {"mask", "gain", "dark", "distortion"}


def test_a_complete_sample_is_used_again(tmp_path):
    first = make_sample("miri", tmp_path)
    before = written(tmp_path)
    assert make_sample("miri", tmp_path) == first
    assert written(tmp_path) == before


@pytest.mark.parametrize("damage", ["no manifest", "half a manifest", "half an exposure", "no reference"])
def test_a_sample_that_is_not_complete_is_made_again(damage, tmp_path):
    [exposure, _], references = make_sample("miri", tmp_path)
    manifest = tmp_path / samples.MANIFEST
    whole = exposure.stat().st_size
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "half a manifest":
        manifest.write_text(manifest.read_text()[:100])
    elif damage == "half an exposure":
        exposure.write_bytes(exposure.read_bytes()[: whole // 2])
    else:
        (references / "gain.fits").unlink()
    before = written(tmp_path)
    make_sample("miri", tmp_path)
    assert exposure.stat().st_size == whole
    assert (references / "gain.fits").is_file()
    assert not set(before.items()) & set(written(tmp_path).items())


def test_a_sample_of_another_seed_replaces_the_old_one(tmp_path):
    [exposure, _], _ = make_sample("miri", tmp_path, seed=1)
    old = exposure.read_bytes()
    stray = tmp_path / "references" / "mine.txt"
    stray.write_text("not the sample's")
    [exposure, _], _ = make_sample("miri", tmp_path, seed=2)
    assert exposure.read_bytes() != old
    assert stray.is_file()


def test_a_failure_leaves_no_manifest_behind(tmp_path, monkeypatch):
    make_sample("miri", tmp_path, seed=1)
    monkeypatch.setattr(samples, "make_references", lambda *_, **__: (_ for _ in ()).throw(RuntimeError))
    with pytest.raises(RuntimeError):
        make_sample("miri", tmp_path, seed=2)
    assert not (tmp_path / samples.MANIFEST).exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        make_sample("miri", tmp_path / "file")


def test_an_unknown_instrument_is_named(tmp_path):
    with pytest.raises(ConfigError, match="instrument=hubble"):
        make_sample("hubble", tmp_path)


def test_every_recipe_is_a_full_frame_of_its_instrument():
    assert RECIPES.keys() == {"nircam", "niriss", "miri", "fgs", "nirspec"}
    for instrument, recipe in RECIPES.items():
        configuration = CONFIGURATIONS[recipe.configuration]
        assert configuration.instrument.lower() == instrument
        assert configuration.is_full
        assert not configuration.irs2
