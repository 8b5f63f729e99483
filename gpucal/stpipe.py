"""gpucal's steps for strun, and for all else that runs steps of the official kind.

    strun gpucal.stpipe.JumpStep x_dark_current.fits --rejection_threshold=5
    strun gpucal.stpipe.Detector1Pipeline x_uncal.fits --steps.jump.rejection_threshold=5

The classes are made when they are asked for, of gpucal's own: every step of gpucal with `Step` behind its name, in the
official capitals or ours. Parameters, their help and the types of references are the step's.
"""

import contextlib
import functools
import logging
import types
import typing
from pathlib import Path
from typing import Any, ClassVar

from gpucal import model, params
from gpucal.device import CHOICES, choose
from gpucal.errors import ConfigError, GpucalError
from gpucal.model.image import Cube, Slopes
from gpucal.model.official import lend, take_back
from gpucal.model.save import sign
from gpucal.reference.asked import Asked
from gpucal.step import STEPS

log = logging.getLogger(__name__)
THEIRS = {"skip", "save_results", "suffix", "pre_hooks", "post_hooks"}  # stpipe does these itself
DEVICE = f"device = option({', '.join(map(repr, CHOICES))}, default='auto')  # hardware that does the work"
KINDS: dict[Any, str] = {bool: "boolean", int: "integer", float: "float", str: "string", tuple: "list"}
KINDS |= {list[int]: "int_list", list[float]: "float_list"}


def __getattr__(name):
    if name == "Detector1Pipeline":
        return _pipeline_class()
    for step in _own_steps().values():
        if not name.startswith("_") and name.lower() == f"{step.__name__}Step".lower():
            return _step_class(step)
    known = [f"{step.__name__}Step" for step in _own_steps().values()]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{params.suggest(name, known)}")


_Other: Any = object  # the other parent


class _Ours(_Other):
    """What the classes made here share; their other parent is the official Step or Pipeline."""

    _failure: ClassVar[Any]

    @classmethod
    def get_stpipe_loggers(cls):
        """Our messages go where theirs go."""
        return (*super().get_stpipe_loggers(), "gpucal")

    @classmethod
    def _get_config_from_parameters(cls, crds_parameters, crds_observatory):
        config = super()._get_config_from_parameters(crds_parameters, crds_observatory)
        return _only_known(config, cls.load_spec_file(), cls.__name__)

    def _precache_references(self, input_file):
        """Ask for no reference before it is needed."""

    def finalize_result(self, result, reference_files_used):
        """References and their context are noted already; gpucal signs, not jwst."""
        if hasattr(result, "to_fits"):
            sign(result)

    @contextlib.contextmanager
    def _failing_in_one_line(self):
        try:
            yield
        except GpucalError as error:
            raise self._failure(1, str(error)) from error


class _OurStep(_Ours):
    ours: ClassVar[Any]

    def process(self, exposure):
        """Correct an exposure, a path or an official model; return an official model, or rate and rateints."""
        with self._failing_in_one_line():
            hardware = choose(self.device)
            references = Asked(hardware)
            references.step = self
            result, _ = self.step().run(model.open(exposure, hardware), references)
            _save_more(self, result)
        return tuple(lend(one) for one in result) if isinstance(result, Slopes) else lend(result)

    def default_suffix(self):
        """The name of the step, as gpucal's own products have it."""
        return self.ours.alias

    def step(self, **more):
        """Return gpucal's step with these parameters."""
        names = [name for name in params.defaults(self.ours) if name not in THEIRS and not _is_override(name)]
        return params.build(self.ours, {name: getattr(self, name) for name in names} | more)


class _OurPipeline(_Ours):
    """Calibrate ramps to slopes with gpucal's steps; like the official pipeline of this name."""

    class_alias = "gpucal_detector1"
    spec = f"""
    save_calibrated_ramp = boolean(default=False)  # write the ramp that goes into ramp_fit, as _ramp
    {DEVICE}
    """

    def process(self, exposure):
        """Calibrate an exposure, a path or an official model; save the rates of integrations; return those of all."""
        from gpucal.settings import Settings

        with self._failing_in_one_line():
            hardware = choose(self.device)
            references = Asked(hardware)
            result = model.open(exposure, hardware)
            for wanted in Settings().pipeline(result.need("instrument.name").lower()).steps:
                child = getattr(self, wanted.alias)
                if wanted.alias == "ramp_fit" and self.save_calibrated_ramp:
                    self._save(self, result, "ramp", hardware)
                references.step = child
                result, _ = child.step(skip=child.skip, **_hooks(child, hardware)).run(result, references)
                _save_more(child, result)
                if child.save_results and not child.skip:
                    self._save(child, result, child.suffix or wanted.alias, hardware)
        if not isinstance(result, Slopes):
            self.suffix = result.suffix
            return lend(result)
        self.save_model(sign(lend(result.rateints)), "rateints")
        self.suffix = "rate"
        return lend(result.rate)

    @staticmethod
    def _save(step, result, suffix, hardware):
        for one in result if isinstance(result, Slopes) else [result]:
            step.save_model(sign(lend(one)), suffix + ("ints" if isinstance(one, Cube) else ""))
            take_back(one, hardware)


@functools.cache
def _own_steps():
    from gpucal import steps

    return {alias: step for alias, step in sorted(STEPS.items()) if step.__module__.startswith(f"{steps.__name__}.")}


@functools.cache
def _bases():
    """The official Step and Pipeline, and what our classes raise."""
    try:
        from jwst.stpipe import Pipeline, Step
        from stpipe.exceptions import StpipeExitException
    except ImportError as error:
        raise ConfigError(
            "gpucal.stpipe: the official pipeline is not installed: pip install 'gpucal[parity]'"
        ) from error

    class Failure(StpipeExitException):
        """A failure in one line; strun exits with its status and shows no traceback."""

        def __str__(self):
            return self.args[1]

    return Step, Pipeline, Failure


@functools.cache
def _step_class(ours):
    base, _, failure = _bases()
    hints = typing.get_type_hints(ours)
    comments = params.comments(ours)
    lines = [
        _spec_line(name, hints[name], default, comments.get(name, ""))
        for name, default in params.defaults(ours).items()
        if name not in THEIRS and not _is_override(name)
    ]
    if ours().skip:
        lines.append("skip = boolean(default=True)  # leave the exposure as it is")
    members = {
        "__module__": __name__, "__doc__": ours.__doc__, "spec": "\n".join([*lines, DEVICE]), "ours": ours,
        "class_alias": ours.status, "reference_file_types": list(ours.references), "_failure": failure,
    }  # fmt: skip
    return type(f"{ours.__name__}Step", (_OurStep, base), members)


@functools.cache
def _pipeline_class():
    from gpucal.settings import INSTRUMENTS, Settings

    _, base, failure = _bases()
    settings = Settings()
    aliases = {step.alias for instrument in INSTRUMENTS for step in settings.pipeline(instrument).steps}
    members = {
        "__module__": __name__, "__doc__": _OurPipeline.__doc__, "_failure": failure,
        "step_defs": {alias: _step_class(_own_steps()[alias]) for alias in sorted(aliases)},
    }  # fmt: skip
    return type("Detector1Pipeline", (_OurPipeline, base), members)


def _save_more(step, result):
    """Write what a step was asked to make besides its result."""
    for one in result if isinstance(result, Slopes) else [result]:
        for suffix, product in one.byproducts.items():
            step.save_model(sign(lend(product)), suffix, force=True)
        for ending, write in one.beside.items():
            suffix, _, kind = ending.rpartition(".")
            write(Path(step.make_output_path(suffix=suffix, ext=kind)))
        one.byproducts, one.beside = {}, {}
    if isinstance(result, Slopes) and result.optional:
        step.save_model(sign(lend(result.optional)), result.optional.suffix, force=True)
        result.optional = None


def _spec_line(name, hint, default, comment):
    """Return a parameter in the words of stpipe's specifications."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    (kind,) = (option for option in options if option is not type(None))
    if typing.get_origin(kind) is typing.Literal:
        values = "".join(f"{value!r}, " for value in typing.get_args(kind))
        wanted = f"option({values}default={default!r})"
    else:
        wanted = f"{KINDS[kind]}(default={list(default) if isinstance(default, tuple) else repr(default)})"
    return f"{name} = {wanted}  # {comment.replace('%', '%%')}"


def _is_override(name):
    return name.startswith("override_")


def _hooks(child, hardware):
    """The hooks of an official step as hooks of ours: they are shown official models."""

    def shown(hook):
        def call(exposure):
            if isinstance(exposure, Slopes):
                return Slopes(*(call(one) or one for one in exposure))
            given = lend(exposure)
            try:
                changed = hook.run(given)
            finally:
                take_back(exposure, hardware)
            return None if changed is None or changed is given else model.open(changed, hardware)

        call.__name__ = hook.name
        return call

    return {when: tuple(map(shown, getattr(child, f"_{when}"))) for when in ("pre_hooks", "post_hooks")}


def _only_known(config, known, where):
    """Leave out of a configuration, in place, what gpucal does not know, and say so."""
    for key in list(config):
        if key in ("class", "name"):
            continue
        if key not in known:
            log.warning("%s: gpucal has no parameter %s, so what the reference system says of it is left", where, key)
            del config[key]
        elif isinstance(config[key], dict):
            _only_known(config[key], known[key], f"{where}.{key}")
    return config
