"""Ready samples: a few exposures of an instrument with their reference files, made once and kept."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gpucal import __version__
from gpucal.errors import ConfigError, OutputError
from gpucal.sample.exposures import make_exposures, truth_path
from gpucal.sample.references import make_references

MANIFEST = "manifest.json"  # written last: a sample without it is not complete

# What Stage 1 and the imaging Stage 2 read.
TYPES = (
    "mask", "saturation", "superbias", "linearity", "dark", "gain", "readnoise", "ipc", "reset", "rscd", "emicorr",
    "flat", "photom", "area", "distortion", "filteroffset",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """What the sample of an instrument consists of: full frames, made in a few seconds."""

    configuration: str
    exposures: int
    ngroups: int


RECIPES = {
    "nircam": Recipe("nrc_full_rapid", exposures=3, ngroups=6),
    "niriss": Recipe("nis_full", exposures=2, ngroups=6),
    "miri": Recipe("mir_full", exposures=4, ngroups=12),
    "fgs": Recipe("fgs_full", exposures=2, ngroups=6),
    "nirspec": Recipe("nrs_full", exposures=2, ngroups=6),
}


def make_sample(instrument, folder, seed=1):
    """Return the paths of an instrument's sample exposures and the folder of their references; make what is not there.

    A complete sample of the same instrument, seed and version of gpucal is used again as it is. ConfigError for an
    unknown instrument, OutputError if the folder cannot be written to.
    """
    recipe = RECIPES.get(str(instrument).lower())
    if recipe is None:
        raise ConfigError(f"instrument={instrument}: there are samples of {', '.join(RECIPES)}")
    folder = Path(folder)
    references = folder / "references"
    wanted = {"gpucal": __version__, "seed": seed, **asdict(recipe)}
    manifest = _read_manifest(folder)
    if manifest.get("made") != wanted or not _is_complete(folder, manifest):
        try:
            _forget(folder, manifest)
            manifest = {"made": wanted, **_make(recipe, folder, references, seed)}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        except OSError as error:
            raise OutputError(f"{error.filename or folder}: cannot be written: {error.strerror or error}") from error
    return [folder / name for name in manifest["exposures"]], references


def _make(recipe, folder, references, seed):
    """Write exposures and references; return the exposures' names, and the sizes of all files."""
    exposures = make_exposures(
        recipe.configuration, folder, ngroups=recipe.ngroups, exposures=recipe.exposures, seed=seed,
        detector_seed=seed, dithers=True,
    )  # fmt: skip
    written = make_references(
        recipe.configuration, references, ngroups=recipe.ngroups, detector_seed=seed, dark="match", types=TYPES
    )
    files = [*exposures, *map(truth_path, exposures), *written.values()]
    return {
        "exposures": [path.name for path in exposures],
        "bytes": {str(path.relative_to(folder)): path.stat().st_size for path in files},
    }


def _read_manifest(folder):
    try:
        return json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):  # none, or half written
        return {}


def _is_complete(folder, manifest):
    files = {folder / name: size for name, size in manifest["bytes"].items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in files.items())


def _forget(folder, manifest):
    """Remove an older sample, its manifest first."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in manifest.get("bytes", ()):
        (folder / name).unlink(missing_ok=True)
