"""Step: one correction. Its parameters are dataclass fields, its reference files the arguments of `process`."""

import dataclasses
import inspect
import logging
import re
import time
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from gpucal import official
from gpucal.errors import GpucalError, HookError, InputError, ReferenceFileError, Skip
from gpucal.hooks import imported, run_hooks

log = logging.getLogger(__name__)
AS_CONFIGURED = "as configured"  # why a step is skipped that skip=true
STEPS: dict[str, type["Step"]] = {}  # alias -> class; filled as the classes are defined


class Outcome(NamedTuple):
    """What became of one step of one exposure."""

    step: str
    status: str  # COMPLETE, SKIPPED or FAILED
    reason: str  # why it was skipped or failed
    seconds: float
    by: "Step | None" = None  # the step itself, with its parameters


@dataclass(frozen=True, kw_only=True)
class Step:
    """A correction of one exposure, in place.

    A subclass adds its parameters as fields and defines `process(self, model, <reference type>, ...)`; if that calls
    the model `ramp`, the step takes ramps alone. gpucal's own are in the files that bear their names, others are called
    after their class. A reference that the exposure has none of makes the step SKIPPED; if the argument defaults to
    None the step runs without it; if it is listed in `required` the exposure fails.
    """

    skip: bool = False  # leave the exposure as it is
    save_results: bool = False  # write the result of this step
    suffix: str | None = None  # of the file with the result; by default the name of the step
    pre_hooks: tuple = ()  # functions, steps or shell commands to run before this step
    post_hooks: tuple = ()  # the same, after it

    alias: ClassVar[str]  # the name in configurations and file names
    status: ClassVar[str | None]  # the name in meta.cal_step, where it is another; None: not noted there by gpucal
    required: ClassVar[tuple[str, ...]] = ()
    # What must be seen at once: an integration, some rows of all of them, or the whole exposure; it matters where an
    # exposure is larger than memory.
    scope: ClassVar[Any] = "exposure"
    readouts: ClassVar[tuple[str, ...]] = ()  # special readouts: guider, superstripes, or stripes, one after another
    takes_ramps: ClassVar[bool]  # and nothing else
    references: ClassVar[dict[str, bool]]  # type -> may the step run without it
    process: ClassVar[Any]  # process(model, reference, ...) corrects and returns the model, or raises Skip before

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls.alias = vars(cls).get("alias") or _alias(cls)
        cls.status = vars(cls).get("status", cls.alias)
        before = STEPS.get(cls.alias)
        if before and (before.__module__, before.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__qualname__}: there is a step {cls.alias} already; give this one another alias")
        taken, *arguments = list(inspect.signature(cls.process).parameters.values())[1:]
        cls.takes_ramps = taken.name == "ramp"
        cls.references = {a.name: a.default is None for a in arguments if a.kind != a.KEYWORD_ONLY}
        for reftype in cls.references:
            cls.__annotations__[f"override_{reftype}"] = str | None
            setattr(cls, f"override_{reftype}", dataclasses.field(default=None, kw_only=True))
        STEPS[cls.alias] = cls

    def run(self, model, references):
        """Correct the model unless there is a reason not to; note it in the metadata; return it with the Outcome."""
        start = time.perf_counter()
        try:
            if self.skip:
                raise Skip(AS_CONFIGURED)
            model = run_hooks(self.pre_hooks, model, references, f"{self.alias}.pre_hooks")
            result = self._process(model, references)
            status, reason = "COMPLETE", ""
        except Skip as skip:
            result, status, reason = model, skip.status, str(skip)
            said = f"{self.alias} {status.lower()}: {reason}"
            log.log(logging.WARNING if status == "FAILED" else logging.INFO, "%s: %s", model.source, said)
            result.note(said)
        except HookError:
            raise  # it names the step already
        except GpucalError as error:
            raise type(error)(f"{self.alias}: {error}") from error
        if self.status:
            result.mark(self.status, status)
        if not self.skip:
            result = run_hooks(self.post_hooks, result, references, f"{self.alias}.post_hooks")
        seconds = time.perf_counter() - start
        if status == "COMPLETE":
            log.info("%s: %s %s in %.2f s", model.source, self.alias, status, seconds)
        return result, Outcome(self.alias, status, reason, seconds, self)

    def __call__(self, source, references=None, device=None):
        """Correct one exposure, a path or a model (which is left as it is), whatever `skip` says; return the result.

        Of a list of exposures, a list of results.
        """
        from gpucal import model
        from gpucal.reference import References

        if isinstance(source, list | tuple):
            references = references or References(device)
            return [self(one, references, device) for one in source]
        exposure = model.open(source, device)
        if exposure is source:
            exposure = exposure.copy()
        result, _ = dataclasses.replace(self, skip=False).run(exposure, references or References(device))
        return result

    def require(self, model):
        """Raise InputError if the step cannot take a model, or its outline."""
        if self.takes_ramps and not model.is_ramp:
            kind = getattr(model, "suffix", "rate")
            raise InputError(f"{model.source}: is a {kind} product, but this step takes ramps (_uncal)")

    def uses(self, reftype, model):
        """Tell whether this exposure is corrected with a reference of this type; if not, the argument is None."""
        return True

    def scope_for(self, outline):
        """Return what must be seen at once of the exposure that an outline describes, as in `scope`."""
        return self.scope

    def leaves(self, outline):
        """Return the outline of an exposure as this step leaves it, where that is of another shape."""
        return outline

    def _process(self, model, references):
        self.require(model)
        self._warn_if_done(model)
        kind = model.readout
        if not kind or kind in self.readouts:
            return self.process(model, **self._find(model, references))
        if kind != "superstripes" or "stripes" not in self.readouts:
            exp_type = model.meta.exposure.type
            raise InputError(f"{model.source}: {self.alias} cannot take {kind} exposures (EXP_TYPE {exp_type})")
        found = self._find(model, references)
        for which in range(model.nstripes):
            mine = {reftype: reference and reference.stripe(which) for reftype, reference in found.items()}
            model.put(which, self.process(model.stripe(which), **mine))
        return model

    def _warn_if_done(self, model):
        is_part = getattr(model, "whole", None) is not None  # whose metadata are those of all parts
        if self.status and not is_part and getattr(model.meta.cal_step, self.status, None) == "COMPLETE":
            log.warning("%s: %s was done before; it is done again", model.source, self.alias)

    def _find(self, model, references):
        found: dict[str, Any] = {}
        for reftype, optional in self.references.items():
            if not self.uses(reftype, model):
                found[reftype] = None
                continue
            reference = references.get(reftype, model, getattr(self, f"override_{reftype}"))
            if reference is None and reftype in self.required:
                raise ReferenceFileError(f"no {reftype} reference for {model.source}")
            if reference is None and not optional:
                raise Skip(f"no {reftype} reference")
            found[reftype] = reference
        return found


def find(name):
    """Return the class of a step by its alias or by its dotted name, package.module.Class; None if there is none.

    Steps of the official kind, `jwst::assign_wcs` or a class derived from stpipe's Step, come wrapped as ours.
    """
    if name in STEPS:
        return STEPS[name]
    if official.names_one(name):
        return official.find(name)
    official.require(name)
    found = imported(name)
    if official.is_one(found):
        return official.wrapped(found)
    return found if isinstance(found, type) and issubclass(found, Step) else None


def _alias(cls):
    """The stem of the file for gpucal's own steps, else the name of the class in small letters: MyStep, my_step."""
    package, _, file = cls.__module__.rpartition(".")
    return file if package == "gpucal.steps" else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
