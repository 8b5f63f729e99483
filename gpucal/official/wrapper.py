"""Wrapper: a step of ours that runs an official one on gpucal's models."""

import dataclasses
import functools
import importlib.metadata
import inspect
import logging
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from gpucal.errors import ConfigError, Failed, GpucalError, InputError, Skip
from gpucal.model.image import Slopes
from gpucal.model.official import adopt, first, lend, take_back
from gpucal.official.guided import Guide, guided_step
from gpucal.official.installed import underscored
from gpucal.official.said import heard, new_status, reason, status_name, statuses
from gpucal.step import STEPS, Step
from gpucal.warned import ignored, logged

log = logging.getLogger(__name__)
OURS = {field.name for field in dataclasses.fields(Step)}  # gpucal does these itself,
FILES = set(  # and names the files
    "output_file output_dir output_ext output_use_model output_use_index suffix search_output_file input_dir".split()
)


_Other: Any = object  # the other parent


class Official(_Other):
    """What all wrappers do; the other parent of a wrapper is Step."""

    official: ClassVar[Any]
    is_pipeline: ClassVar[bool]
    takes: ClassVar = ("guider", "superstripes")

    def __post_init__(self):
        """Let the official parser check the parameters; ConfigError if it refuses them."""
        from stpipe import config_parser
        from stpipe.exceptions import ValidationError

        try:
            config_parser.config_from_dict(self._values(), self.official.load_spec_file())
        except ValidationError as error:
            text = str(error).splitlines()[0].removeprefix("Config parameter ")
            raise ConfigError(f"steps.{self.alias}: {text}") from error

    def process(self, model, *, references):
        """Run the official step; on slopes, rate and rateints one after the other."""
        if not isinstance(model, Slopes):
            return self._on(model, references)
        if self.is_pipeline:
            return self._on(model.rateints if _is_time_series(model) else model.rate, references)
        results, skips = [], []
        for one in model:
            try:
                results.append(self._on(one, references))
            except Skip as skip:
                results.append(one)
                skips.append(skip)
        if len(skips) == len(results):
            raise skips[0]
        return Slopes(*results)

    def run(self, model, references):
        """As every step; the status in the header is what the official step wrote, or SKIPPED."""
        result, outcome = super().run(model, references)
        if self.skip:
            for one in result if isinstance(result, Slopes) else [result]:
                places = first(one.tree).schema["properties"]["meta"]["properties"]["cal_step"]["properties"]
                if (name := status_name(self.official)) in places:
                    one.mark(name, "SKIPPED")
        return result, outcome

    def _find(self, model, references):
        return {"references": references}  # the official step asks for what it needs

    def _values(self):
        """The parameters that are not at their defaults."""
        values = {
            field.name: value
            for field in dataclasses.fields(self)
            if field.name not in OURS and (value := getattr(self, field.name)) != field.default
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def _on(self, model, references):
        guide, device = Guide(references, model.source, first(model.tree).meta.filename), references.device
        before = statuses(model.tree)
        log.info("%s: %s by %s", model.source, self.alias, _version(self.official))
        tree = lend(model)
        try:
            with logged(self.alias, log), heard(f"{model.source}: {self.alias}"):
                step = guided_step(self.official, guide, self.suffix, self._values())
                result = _sole(step.run(tree))
        except GpucalError:
            raise
        except Exception as error:
            text = (str(error).strip() or "no message").splitlines()[-1]
            raise InputError(f"{model.source}: {type(error).__name__}: {text}") from error
        if result is None:
            raise InputError(f"{model.source}: the official step gives no result")

        status = new_status(before, result, self.official)
        skipped = not self.is_pipeline and status in ("SKIPPED", "FAILED")
        if skipped or not _is_same(result, tree):
            take_back(model, device)
        if skipped:
            raise (Skip if status == "SKIPPED" else Failed)(reason(step))
        return self._ours(result, model, guide, device, step.suffix or self.suffix)

    def _ours(self, result, model, guide, device, suffix):
        """Return the result as a model of ours, the other products beside it."""
        last = result if isinstance(result, tuple) else (result,)
        names = [name for name, product in guide.kept.items() if product is result]
        models = [adopt(one, model.source, device, *names or [suffix]) for one in last]
        models[0].byproducts = model.byproducts | {
            name: adopt(product, model.source, device, name)
            for name, product in guide.kept.items()
            if not any(product is part for one in last for part in (one if isinstance(one, Sequence) else [one]))
        }
        return models[0] if len(models) == 1 else Slopes(*models)


@functools.cache
def wrapper(official):
    """Return the class of a step of ours that wraps a class of the official kind; its fields are its parameters."""
    from stpipe import Pipeline, config_parser

    with ignored():
        spec = official.load_spec_file()
        defaults = config_parser.config_from_dict({}, spec)
    package, name = official.__module__.partition(".")[0], official.class_alias or _snake(official.__name__)
    alias, is_pipeline = underscored(f"{package}_{name}"), issubclass(official, Pipeline)
    suffix = defaults["suffix"] or (alias if name in STEPS else name)
    fields: list[tuple] = [
        ("skip", bool, dataclasses.field(default=defaults["skip"])),
        ("suffix", str | None, dataclasses.field(default=suffix)),
    ]
    comments = {}
    for key, kind in spec.items():
        if key not in OURS | FILES and not isinstance(kind, dict):
            default = tuple(defaults[key]) if isinstance(defaults[key], list) else defaults[key]
            hint = str | None if kind.startswith("string(") else object  # the official parser checks all others
            fields.append((key, hint, dataclasses.field(default=default)))
            comments[key] = (spec.inline_comments.get(key) or "").lstrip("# ") or "see the official documentation"
    if is_pipeline:
        fields.append(("steps", dict | None, dataclasses.field(default=None)))
        comments["steps"] = "parameters of its steps"
    members = {
        "__module__": official.__module__,
        "__doc__": inspect.cleandoc(official.__doc__ or official.__name__),
        "alias": alias,
        "status": None,
        "official": official,
        "is_pipeline": is_pipeline,
        "comments": comments,
    }
    cls: Any = dataclasses.make_dataclass(
        official.__name__, fields, bases=(Official, Step), namespace=members, frozen=True, kw_only=True
    )
    cls.references = dict.fromkeys(_reference_types(official), True)
    return cls


def _reference_types(official):
    """The types of references of a step and of the steps within it."""
    if not hasattr(official, "step_defs"):
        return list(official.reference_file_types)
    return sorted({reftype for step in official.step_defs.values() for reftype in _reference_types(step)})


def _snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@functools.cache
def _version(official):
    package = official.__module__.partition(".")[0]
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _sole(result):
    """Return the only one of a list of results; of a pair, rate and rateints, both, of others the first."""
    if isinstance(result, tuple):
        pair = len(result) == 2 and None not in result and not isinstance(result[1], Sequence)
        return result if pair else result[0]
    return result[0] if isinstance(result, Sequence) and len(result) == 1 else result


def _is_same(result, tree):
    """Tell whether the result of a step is its input, changed."""
    return result is tree or getattr(result, "_instance", None) is getattr(tree, "_instance", tree)


def _is_time_series(slopes):
    from jwst.lib.pipe_utils import is_tso

    return is_tso(slopes.rateints.tree)
