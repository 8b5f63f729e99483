"""The official steps that are installed, by the names that they have for strun."""

import functools
import importlib
import re

from gpucal.errors import ConfigError
from gpucal.params import suggest
from gpucal.warned import ignored


def official_class(package, name):
    """Return the class of a package's step by its alias or the name of its class; ConfigError if there is none."""
    steps = _steps(package)
    if not steps:
        why = "is not installed: pip install 'gpucal[parity]'" if package == "jwst" else "offers no steps to stpipe"
        raise ConfigError(f"{package}::{name}: package {package} {why}")
    dotted = steps.get(underscored(name))
    if dotted is None:
        known = [f"{package}::{other}" for other in steps]
        raise ConfigError(f"{package}::{name}: no such step{suggest(f'{package}::{name}', known)}")
    module, _, attribute = dotted.rpartition(".")
    try:
        with ignored():
            return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{package}::{name}: cannot be imported: {error}") from error


def underscored(name):
    """Return a name as it is written in settings: `calwebb_wfs-image3` as `calwebb_wfs_image3`."""
    return re.sub(r"\W", "_", name)


@functools.cache
def _steps(package):
    """The dotted names of a package's steps by their aliases and by the names of their classes."""
    try:
        with ignored():
            from stpipe.entry_points import get_steps

            offered = [info for info in get_steps() if info.package_name == package]
    except ImportError:
        return {}
    names = {}
    for info in offered:
        names[info.class_name.rpartition(".")[2]] = info.class_name
        if info.class_alias:
            names[underscored(info.class_alias)] = info.class_name
    return names
