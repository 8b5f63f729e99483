"""Steps of the official pipeline (packages jwst and stpipe) in gpucal's pipelines.

A step is named `jwst::assign_wcs`, as for strun, `jwst_assign_wcs` where colons cannot be written (in settings and in
functions), or by the dotted name of its class. Nothing official is imported before such a name is met.
"""

import re

from gpucal.errors import ConfigError

SPELLING = re.compile(r"(\w+)::([\w-]+)|(jwst)_([\w-]+)")


def names_one(name):
    """Tell whether a name has the form of an official step's: package::step, or jwst_step."""
    return SPELLING.fullmatch(name) is not None


def is_one(found):
    """Tell whether an object is a class of the official kind of step, without importing that kind."""
    return isinstance(found, type) and any(
        base.__name__ == "Step" and base.__module__ == "stpipe.step" for base in found.__mro__
    )


def require(name):
    """Raise ConfigError if a dotted name is of the official packages and they are not there."""
    from importlib.util import find_spec

    package = name.partition(".")[0]
    if package in ("jwst", "stpipe") and find_spec(package) is None:
        raise ConfigError(f"{name}: package {package} is not installed: pip install 'gpucal[parity]'")


def find(name):
    """Return the step of ours that wraps the official step of a name; ConfigError if there is none."""
    from gpucal.official.installed import official_class

    package, step = (part for part in SPELLING.fullmatch(name).groups() if part)  # type: ignore[union-attr]
    return wrapped(official_class(package, step))


def wrapped(official):
    """Return the step of ours that wraps a class of the official kind."""
    from gpucal.official.wrapper import wrapper

    return wrapper(official)
