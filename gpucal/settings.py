"""Settings: the composed configuration of a run, and the pipeline it makes for each kind of exposure.

A value appears in one place of this chain, the later wins: step default < conf/instrument < conf/mode (EXP_TYPE) <
recommended parameters (pars-*) < settings of a product (from=) < the user's file (experiment=) < the command line.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import logging
import re

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gpucal import experiment, official, params, sources
from gpucal.errors import ConfigError
from gpucal.hooks import imported
from gpucal.paths import CONF
from gpucal.pipelines import SUFFIXES, Flow, Pipeline
from gpucal.provenance import recorded
from gpucal.step import STEPS, find

log = logging.getLogger(__name__)
INSTRUMENTS = tuple(sorted(file.stem for file in (CONF / "instrument").glob("*.yaml")))


OPEN = (
    "steps",
    "override",
    "pipelines",
    "insert_before",
    "insert_after",
    "replace",
)  # names of a user's own may be added


def declare():
    """Tell Hydra the parameters of all steps and the types of all references, as their classes declare them."""
    from gpucal import steps

    _load_installed()
    node = OmegaConf.create({key: {} for key in OPEN})
    node.steps = {
        alias: params.defaults(step)
        for alias, step in sorted(STEPS.items())
        if not hasattr(step, "official")  # their parameters may be nested; the official parser checks them
    }
    node.override = dict.fromkeys(_reftypes())
    for key in OPEN:
        OmegaConf.set_struct(node[key], False)
    for alias in node.steps:
        OmegaConf.set_struct(node.steps[alias], True)
    ConfigStore.instance().store(name="declared_by_steps", node=node, package="_global_", provider=steps.__name__)


@functools.cache
def _load_installed():
    """Import the steps that installed packages offer under the entry point group gpucal.steps."""
    for entry in importlib.metadata.entry_points(group="gpucal.steps"):
        try:
            entry.load()
        except Exception as error:
            raise ConfigError(f"step {entry.name} of package {entry.value}: {type(error).__name__}: {error}") from error


def _reftypes():
    return sorted({reftype for step in STEPS.values() for reftype in step.references})


@functools.cache
def _header_reftypes():
    """The types of references that headers have a keyword for: those of official steps are among them."""
    from stdatamodels.jwst.datamodels import ImageModel

    return set(ImageModel().schema["properties"]["meta"]["properties"]["ref_file"]["properties"]) - {"crds"}


@functools.cache
def _modes():
    """The exposure types that headers may name."""
    from stdatamodels.jwst.datamodels import ImageModel

    return ImageModel().schema["properties"]["meta"]["properties"]["exposure"]["properties"]["type"]["enum"]


class Settings:
    """The configuration of one run."""

    def __init__(self, overrides=(), values=None, run=None):
        """Compose from overrides in Hydra's words, `steps.jump.rejection_threshold=5`, then nested values.

        run: the configuration that the command line has composed already.
        """
        declare()
        self.values = {key: value for key, value in (values or {}).items() if (key, value) != ("pipeline", None)}
        more = [f"experiment={self.values.pop('experiment')}"] if "experiment" in self.values else []
        self.overrides = [experiment.spelled(override) for override in [*overrides, *more]]
        self.run: DictConfig = run if run is not None else _composed("config", self.overrides, self.values)
        self.weaker = self._weaker()
        self._add_weaker(self.run)
        self.instrument, self.mode = self.run.get("instrument"), self._mode()
        _validate(self.run)
        self.default_pipeline = self._pipeline(self.run)

    @functools.cache  # noqa: B019  (settings live as long as the run)
    def pipeline(self, instrument, exp_type=None):
        """Return the pipeline for the exposures of an instrument and a type: the one asked for, or what suits them."""
        return self._pipeline(self.exposure(instrument, exp_type))

    @functools.cache  # noqa: B019
    def exposure(self, instrument, exp_type=None):
        """Return the composed configuration for the exposures of an instrument and a type."""
        config = self._of_exposures(instrument, exp_type)
        self._add_weaker(config)
        _validate(config)
        return config

    def _of_exposures(self, instrument, exp_type):
        if instrument not in INSTRUMENTS:
            raise ConfigError(f"instrument {instrument} is not one of {', '.join(INSTRUMENTS)}")
        kept = [o for o in self.overrides if not re.match(r"\+?(instrument|mode)=|hydra[./]", o)]
        mode = [f"mode={exp_type}"] if re.fullmatch(r"[A-Z0-9_-]+", exp_type or "") else []  # not N/A
        return _composed("exposure", [*kept, f"instrument={instrument}", *mode], self.values)

    def pipeline_for(self, exposure, references):
        """Return the pipeline for one exposure, with the parameters that its references recommend (pars-*).

        They are stronger than the instrument's settings and weaker than the user's. exposure: anything with `meta` and
        `source`. ReferenceFileError if a parameter file that applies cannot be read.
        """
        instrument, exp_type = exposure.meta.instrument.name.lower(), exposure.meta.exposure.type
        plain = self.pipeline(instrument, exp_type)
        recommend = getattr(references.collection, "pars", None)
        if recommend is None or not self.run.pars:
            return plain
        found = recommend(exposure, plain.name, [step.alias for step in plain.steps])
        return self._recommended(instrument, exp_type, json.dumps(found, sort_keys=True)) if found else plain

    @functools.cache  # noqa: B019
    def _recommended(self, instrument, exp_type, found):
        config = self._of_exposures(instrument, exp_type)
        own = self._own(config)
        for alias, parameters in json.loads(found).items():
            known = params.defaults(STEPS[alias]) if alias in STEPS else {}
            for name, value in parameters.items():
                key = f"steps.{alias}.{name}"
                if name not in known:
                    log.debug("%s=%s is recommended, but no setting", key, value)
                elif key not in own and f"steps.{alias}" not in own:
                    OmegaConf.update(config, key, value)
        self._add_weaker(config)
        _validate(config)
        return self._pipeline(config)

    def _own(self, config):
        """The names of the settings that the user says in this run."""
        found = sources.layers(config, self.overrides, self.values)
        return {key for source, keys in found if source.partition("=")[0] not in sources.EXPOSURE for key in keys}

    def _mode(self):
        """The EXP_TYPE that was asked for, if any."""
        asked = [o.partition("=")[2] for o in self.overrides if re.match(r"\+?mode=", o)]
        if not asked:
            return None
        known = _modes()
        if asked[-1] not in known:
            raise ConfigError(f"mode={asked[-1]}: is no EXP_TYPE{params.suggest(asked[-1], known)}")
        return asked[-1]

    def _weaker(self):
        """What is taken over from files, weaker than what is written in this run: [(source, {key: value})]."""
        found = []
        if product := self.run.get("from"):
            found.append((f"from={product}", recorded(product)["settings"]))
        if path := self.run.experiment_file:
            found.append((f"experiment={path}", experiment.read(path, self.run.pipelines)))
            for key in found[-1][1]:
                if key.partition(".")[0] not in self.run:
                    raise ConfigError(f"experiment={path}: {key}: no such setting{_suggest_key(key)}")
        return found

    def _add_weaker(self, config):
        own = self._own(config)
        for _, keys in self.weaker:
            for key, value in keys.items():
                if key not in own:
                    OmegaConf.update(config, key, value, force_add=True)

    def explained(self, instrument=None, mode=None):
        """Return the sources.Value of every setting, of the exposures of an instrument and a type if they are given."""
        config = self.exposure(instrument, mode) if instrument else self.run
        return sources.explain(config, sources.layers(config, self.overrides, self.values, self.weaker, mode))

    @functools.cache  # noqa: B019
    def changed(self):
        """Return {dotted key: value} of what was set otherwise than in gpucal's own configuration."""
        own = ("default", "instrument=", "mode=")
        values = {one.key: one.value for one in self.explained() if not one.source.startswith(own)}
        return {key: value for key, value in values.items() if key not in ("action", "from", "experiment_file")}

    def _pipeline(self, config):
        name = config.pipeline or "detector1"
        whole = composed_pipeline(name, config)
        if name not in config.pipelines:
            return whole
        return whole.part(*(given and spelled(given) for given in (config.start_after, config.stop_after)))


def composed_pipeline(name, config):
    """Return the pipeline of a name, or the step of a name as a pipeline of its own.

    `pipelines.NAME` is a list of steps and other pipelines, or the dotted name of a function; `insert_before`,
    `insert_after` and `replace` change it. ConfigError names what does not exist.
    """
    if name not in config.pipelines:
        step = _build(name, config, "pipeline")  # a step that is asked for by name runs, also if pipelines skip it
        suffix = None if getattr(step, "is_pipeline", False) else step.suffix or step.alias
        return Pipeline(name, (dataclasses.replace(step, skip=False),), suffix=suffix)
    if isinstance(config.pipelines[name], str):
        function = imported(config.pipelines[name])
        if not callable(function):
            raise ConfigError(
                f"pipelines.{name}={config.pipelines[name]}: is neither a list nor the name of a function"
            )
        return Flow(name, function=function, build=lambda alias: _build(alias, config, f"pipelines.{name}"))
    steps = tuple(
        composed_pipeline(item, config) if item in config.pipelines else _build(item, config, f"pipelines.{name}")
        for item in _edited(name, config)
    )
    return Pipeline(name, steps, suffix=SUFFIXES.get(name))


def _edited(name, config):
    """The names of a pipeline's steps, with what the user inserted and replaced."""
    names = _flat(name, config)
    for key, shift in (("replace", None), ("insert_before", 0), ("insert_after", 1)):
        for anchor, given in config[key].items():
            anchor = spelled(anchor)
            if anchor not in names:
                raise ConfigError(f"{key}.{anchor}: {name} has no such step{params.suggest(anchor, names)}")
            at = names.index(anchor)
            new = [spelled(name) for name in ([given] if isinstance(given, str) else given or [])]
            if shift is None:
                names[at : at + 1] = new
            else:
                names[at + shift : at + shift] = new
    return names


def _flat(name, config, within=()):
    """The names of a pipeline's steps, pipelines in it replaced by theirs unless they are functions."""
    if name in within:
        raise ConfigError(f"pipelines.{name}: contains itself, by way of {' and '.join(within)}")
    steps: list[str] = []
    for item in config.pipelines[name]:
        is_list = item in config.pipelines and not isinstance(config.pipelines[item], str)
        steps += _flat(item, config, (*within, name)) if is_list else [spelled(item)]
    return steps


def spelled(name):
    """Return the name of a step as it is written in settings: `jwst_jump` for `jwst::jump`."""
    return name.replace("::", "_")


def _build(name, config, where):
    """Return the step of a name, with the parameters of the configuration."""
    step = find(name)
    if step is None:
        known = [*config.pipelines, *STEPS] if where == "pipeline" else [*STEPS]
        what = f"{where}={name}: no such pipeline or step" if where == "pipeline" else f"{where}: no step {name}"
        raise ConfigError(what + params.suggest(name, known))
    node = config.steps.get(step.alias)
    return params.build(step, OmegaConf.to_container(node, resolve=True) if node else {})


def _validate(config):
    """Check every parameter of every step; those of a user's own steps need their classes, which are imported first."""
    asked = [config.pipeline] if config.pipeline and config.pipeline not in config.pipelines else []
    for given in [v for key in ("replace", "insert_before", "insert_after") for v in config[key].values()]:
        asked += [given] if isinstance(given, str) else given or []
    for pipeline, given in config.pipelines.items():
        runs = pipeline == config.pipeline  # official steps take seconds to import, so only where they are needed
        asked += [] if isinstance(given, str) else [name for name in given if runs or not official.names_one(name)]
    for name in asked:
        find(name)
    for alias in config.steps:
        step = find(alias) if official.names_one(alias) else STEPS.get(alias)
        if step is None:
            raise ConfigError(f"steps.{alias}: no such setting{_close('steps', alias, STEPS)}")
        if step.alias != alias:
            raise ConfigError(f"steps.{alias}: is written steps.{step.alias}")
        _build(alias, config, "steps")
    for reftype in config.override:
        if reftype not in _reftypes() and reftype not in _header_reftypes():
            known = sorted({*_reftypes(), *_header_reftypes()})
            raise ConfigError(f"override.{reftype}: no such setting{_close('override', reftype, known)}")


def _close(group, name, known):
    return params.suggest(f"{group}.{name}", [f"{group}.{other}" for other in known])


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
