"""Step: one correction. Its parameters are dataclass fields, its reference files the arguments of `process`."""

import dataclasses
import inspect
import logging
import time
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from gpucal.errors import GpucalError, InputError, ReferenceFileError, Skip

log = logging.getLogger(__name__)
STEPS: dict[str, type["Step"]] = {}  # alias -> class; filled as the classes are defined


class Outcome(NamedTuple):
    """What became of one step of one exposure."""

    step: str
    status: str  # COMPLETE, SKIPPED or FAILED
    reason: str  # why it was skipped or failed
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """A correction of one exposure, in place.

    A subclass lives in the file that bears its name, adds its parameters as fields, and defines
    `process(self, model, <reference type>, ...)`. A reference that the exposure has none of makes the step SKIPPED;
    if the argument defaults to None the step runs without it; if it is listed in `required` the exposure fails.
    """

    skip: bool = False  # leave the exposure as it is
    save_results: bool = False  # write the result of this step, with its name as suffix

    alias: ClassVar[str]  # the name in configurations and file names: the stem of the file
    status: ClassVar[str]  # the name in meta.cal_step, where it is another
    required: ClassVar[tuple[str, ...]] = ()
    readouts: ClassVar[tuple[str, ...]] = ()  # special readouts: guider, superstripes, or stripes, one after another
    references: ClassVar[dict[str, bool]]  # type -> may the step run without it
    process: ClassVar[Any]  # process(model, reference, ...) corrects and returns the model, or raises Skip before

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls.alias = cls.__module__.rpartition(".")[2]
        cls.status = vars(cls).get("status", cls.alias)
        arguments = list(inspect.signature(cls.process).parameters.values())[2:]
        cls.references = {a.name: a.default is None for a in arguments}
        for reftype in cls.references:
            cls.__annotations__[f"override_{reftype}"] = str | None
            setattr(cls, f"override_{reftype}", dataclasses.field(default=None, kw_only=True))
        STEPS[cls.alias] = cls

    def run(self, model, references):
        """Correct the model unless there is a reason not to; note it in the metadata; return it with the Outcome."""
        start = time.perf_counter()
        try:
            if self.skip:
                raise Skip("as configured")
            result = self._process(model, references)
            status, reason = "COMPLETE", ""
        except Skip as skip:
            result, status, reason = model, skip.status, str(skip)
            failed = status == "FAILED"
            log.log(
                logging.WARNING if failed else logging.INFO,
                "%s: %s %s: %s",
                model.source,
                self.alias,
                status.lower(),
                reason,
            )
            result.note(f"{self.alias} {status.lower()}: {reason}")
        except GpucalError as error:
            raise type(error)(f"{self.alias}: {error}") from error
        result.mark(self.status, status)
        return result, Outcome(self.alias, status, reason, time.perf_counter() - start)

    def __call__(self, source, references=None, device=None):
        """Correct one exposure, a path or a model (which is left as it is), whatever `skip` says; return the result."""
        from gpucal import model
        from gpucal.reference import References

        exposure = model.open(source, device)
        if exposure is source:
            exposure = exposure.copy()
        result, _ = dataclasses.replace(self, skip=False).run(exposure, references or References(device))
        return result

    def _process(self, model, references):
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

    def _find(self, model, references):
        found = {}
        for reftype, optional in self.references.items():
            reference = references.get(reftype, model, getattr(self, f"override_{reftype}"))
            if reference is None and reftype in self.required:
                raise ReferenceFileError(f"no {reftype} reference for {model.source}")
            if reference is None and not optional:
                raise Skip(f"no {reftype} reference")
            found[reftype] = reference
        return found
