"""Inputs: the files that `input=` means."""

import glob
from collections import defaultdict
from pathlib import Path

from gpucal.errors import ConfigError
from gpucal.model.names import stem


def expand(given):
    """Return the exposure files of a file name, a folder (its raw exposures), a pattern, or a list of these.

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
    if path.exists():
        return [path]
    return sorted(Path(name) for name in glob.glob(str(path), recursive=True))


def _require_distinct(files):
    by_stem = defaultdict(list)
    for file in files:
        by_stem[stem(file)].append(file)
    for name, same in by_stem.items():
        if len(same) > 1:
            raise ConfigError(f"input: {same[0]} and {same[1]} would both make the products of {name}")
