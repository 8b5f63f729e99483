"""Inputs: the files that `input=` means."""

import glob
import json
from collections import defaultdict
from pathlib import Path

from gpucal.errors import ConfigError
from gpucal.model.names import stem


def expand(given):
    """Return the exposure files of a file, a folder (its raw exposures), a pattern, an association, or a list of these.

    ConfigError if one of them is no file, or if two exposures would make products of the same name.
    """
    files = []
    for item in [given] if isinstance(given, str | Path) else given:
        found = _files(str(item))
        if not found:
            raise ConfigError(f"input={item}: no such file")
        files += found
    _require_distinct(files)
    return files


def _files(item):
    path = Path(item).expanduser()
    if path.is_dir():
        try:
            found = sorted(file for file in path.iterdir() if file.name.endswith(("_uncal.fits", "_uncal.asdf")))
        except OSError as error:
            raise ConfigError(f"input={item}: {error.strerror}") from error
        if not found:
            raise ConfigError(f"input={item}: no raw exposures (*_uncal.fits) in this folder")
        return found
    if path.suffix == ".json" and path.exists():
        return _members(path)
    if path.exists():
        return [path]
    return sorted(Path(name) for name in glob.glob(str(path), recursive=True))


def _members(path):
    """The science exposures of an association, beside whose file they lie."""
    try:
        products = json.loads(path.read_text())["products"]
        members = [member for product in products for member in product["members"]]
        names = [member["expname"] for member in members if member.get("exptype", "science") == "science"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"input={path}: is not an association: {type(error).__name__}: {error}") from error
    found = [path.parent / name for name in dict.fromkeys(names)]
    for file in found:
        if not file.exists():
            raise ConfigError(f"input={path}: its member {file.name} is not beside it")
    return found


def _require_distinct(files):
    by_stem = defaultdict(list)
    for file in files:
        by_stem[stem(file), "ints" if file.stem.endswith("ints") else ""].append(file)
    for (name, _), same in by_stem.items():
        if len(same) > 1:
            raise ConfigError(f"input: {same[0]} and {same[1]} would both make the products of {name}")
