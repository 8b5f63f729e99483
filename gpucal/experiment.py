"""Settings in a file of the user's own: `experiment=FILE`, in YAML, or a parameter file of the official pipeline."""

import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.reference import pars
from gpucal.sources import flat
from gpucal.step import STEPS

PARAMETERS = (".asdf", ".cfg")  # of the official pipeline


def spelled(override):
    """Return an override as Hydra takes it: `experiment=my.asdf` names a file, which is a setting, not a choice."""
    found = re.fullmatch(r"\+?experiment=(['\"]?)(.+\.(?:asdf|cfg|yaml|yml))\1", override)
    return f"experiment_file='{found[2]}'" if found else override


def read(path, pipelines):
    """Return {dotted key: value} of the settings in a file; ConfigError if it cannot be read.

    pipelines: the names of pipelines, whose parameters are settings of the run.
    """
    path = Path(path)
    if path.suffix not in PARAMETERS:
        return _yaml(path)
    try:
        found = pars.read(path)
    except ReferenceFileError as error:
        raise ConfigError(f"experiment={error}") from error
    keys: dict[str, Any] = {}
    for name, parameters in found.items():
        before = "" if name in pipelines else f"steps.{name}." if name in STEPS else f"steps.jwst_{name}."
        keys |= {before + parameter: value for parameter, value in parameters.items()}
    return keys


def _yaml(path):
    try:
        found = OmegaConf.load(path)
        keys = flat(found)
    except OSError as error:
        raise ConfigError(f"experiment={path}: {error.strerror or error}") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, AttributeError) as error:
        raise ConfigError(f"experiment={path}: is no YAML file of settings: {str(error).splitlines()[0]}") from error
    if "defaults" in keys:
        raise ConfigError(f"experiment={path}: a list of defaults needs --config-dir=FOLDER and experiment=NAME")
    return keys
