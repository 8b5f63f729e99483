"""Settings: the composed configuration of a run, and the pipeline it makes for each kind of exposure.

A value appears in one place of this chain, the later wins: step default < conf/instrument < the user's file
(experiment=) < the command line.
"""

import contextlib
import dataclasses
import functools
import re

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gpucal import params
from gpucal.errors import ConfigError
from gpucal.paths import CONF
from gpucal.pipelines import Pipeline
from gpucal.step import STEPS

INSTRUMENTS = tuple(sorted(file.stem for file in (CONF / "instrument").glob("*.yaml")))


def declare():
    """Tell Hydra the parameters of all steps and the types of all references, as their classes declare them."""
    from gpucal import steps

    reftypes = sorted({reftype for step in STEPS.values() for reftype in step.references})
    node = {
        "steps": {alias: params.defaults(step) for alias, step in sorted(STEPS.items())},
        "override": dict.fromkeys(reftypes),
    }
    ConfigStore.instance().store(name="declared_by_steps", node=node, package="_global_", provider=steps.__name__)


class Settings:
    """The configuration of one run."""

    def __init__(self, overrides=(), values=None, run=None):
        """Compose from overrides in Hydra's words, `steps.jump.rejection_threshold=5`, then nested values.

        run: the configuration that the command line has composed already.
        """
        declare()
        self.overrides, self.values = list(overrides), values or {}
        self.run: DictConfig = run if run is not None else _composed("config", self.overrides, self.values)
        self.instrument = self.run.get("instrument")
        _validate(self.run)
        self._pipeline(self.run)

    @functools.cache  # noqa: B019  (settings live as long as the run)
    def pipeline(self, instrument, exp_type=None):
        """Return the pipeline for the exposures of an instrument and a type: the one asked for, or what suits them."""
        return self._pipeline(self.exposure(instrument), exp_type)

    @functools.cache  # noqa: B019
    def exposure(self, instrument):
        """Return the composed configuration for the exposures of an instrument."""
        if instrument not in INSTRUMENTS:
            raise ConfigError(f"instrument {instrument} is not one of {', '.join(INSTRUMENTS)}")
        kept = [o for o in self.overrides if not re.match(r"\+?instrument=|hydra[./]", o)]
        config = _composed("exposure", [*kept, f"instrument={instrument}"], self.values)
        _validate(config)
        return config

    def _pipeline(self, config, exp_type=None):
        name = config.pipeline or config.exp_types.get(str(exp_type)) or "detector1"
        aliases = config.pipelines.get(name, [name] if name in STEPS else None)
        if aliases is None:
            known = [*config.pipelines, *STEPS]
            raise ConfigError(f"pipeline={name}: no such pipeline or step{params.suggest(name, known)}")
        steps = tuple(_step(alias, config) for alias in aliases)
        if name in STEPS:  # a step that is asked for by name runs, also if pipelines skip it by default
            steps = (dataclasses.replace(steps[0], skip=False),)
        return Pipeline(name, steps)


def _step(alias, config):
    if alias not in STEPS:
        raise ConfigError(f"pipelines: no step {alias}{params.suggest(alias, STEPS)}")
    return params.build(STEPS[alias], OmegaConf.to_container(config.steps[alias], resolve=True))


def _validate(config):
    for alias in config.steps:
        _step(alias, config)


def _composed(name, overrides, values):
    with _hydra(), readable_errors(overrides):
        return OmegaConf.merge(compose(name, overrides=overrides), values)


@contextlib.contextmanager
def _hydra():
    """Use the Hydra that the command line started, or one of our own."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@contextlib.contextmanager
def readable_errors(overrides):
    """Turn Hydra's errors into one line that names the setting and says what was meant."""
    try:
        yield
    except OverrideParseException as error:
        raise ConfigError(f"{error.override}: settings are written KEY=VALUE, or KEY=[A,B] for a list") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(str(error), overrides)) from error


def _explain(message, overrides):
    text = message.splitlines()[0]
    if found := re.search(r"Could not override '([\w.@/]+)'|full_key: (\S+)", message):
        key = found[1] or found[2]
        if key == "instrument":
            written = next((o for o in overrides if o.startswith(key)), f"{key}=NAME")
            return f"{written}: write +{written}"
        return f"{key}: no such setting{_suggest_key(key)}"
    if found := re.search(r"Could not find '(\w+)/(\S+)'", message):
        group, name = found[1], found[2]
        options = sorted(file.stem for file in (CONF / group).glob("*.yaml"))
        return f"{group}={name} is not one of {', '.join(options)}{params.suggest(name, options)}"
    return text


def _suggest_key(key):
    """Follow a dotted key into the known settings as far as it goes and suggest what comes next."""
    declare()
    with _hydra():
        node = OmegaConf.to_container(compose("config"), resolve=False)
    before = ""
    for part in key.split("."):
        if not isinstance(node, dict):
            break
        if part not in node:
            options = [before + str(name) for name in node]
            hint = params.suggest(f"{before}{part}", options)
            return hint or _suggest_elsewhere(part)
        node, before = node[part], f"{before}{part}."
    return ""


def _suggest_elsewhere(parameter):
    owners = [f"steps.{alias}.{parameter}" for alias, step in STEPS.items() if parameter in params.defaults(step)]
    return f" (did you mean {' or '.join(owners)}?)" if 0 < len(owners) <= 3 else ""
