"""Plan: before a batch starts, which reference files its exposures need, and whether they are there and sound."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gpucal.batch.fate import Fate
from gpucal.errors import ConfigError, InputError, ReferenceFileError
from gpucal.model.names import stem
from gpucal.model.outline import outline
from gpucal.reference.cache import ignore

ON_MISSING = ("fail", "skip_exposure")


class Trouble(NamedTuple):
    """What is wrong with a reference file: its type, its name (empty if there is none), and the cause."""

    reftype: str
    file: str
    cause: str

    def __str__(self):
        return ": ".join(part for part in self if part)


@dataclass
class Plan:
    """The exposures of a batch, and what is wrong with the reference files of some: {exposure: [Trouble]}."""

    files: list[Path]
    troubles: dict[Path, list[Trouble]]

    @property
    def grouped(self):
        """The exposures of each Trouble, those that concern most exposures first."""
        groups = defaultdict(list)
        for file, troubles in self.troubles.items():
            for trouble in troubles:
                groups[trouble].append(file)
        return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))

    def __str__(self):
        lines = [f"{len(self.troubles)} of {len(self.files)} exposures lack reference files"]
        return "\n".join([*lines, *(f"{trouble} ({named(files)})" for trouble, files in self.grouped.items())])

    def decide(self, on_missing):
        """Return the exposures to calibrate, and the Fates of those that lack references and may be skipped.

        on_missing: fail, or skip_exposure. ReferenceFileError if nothing is to start.
        """
        if on_missing not in ON_MISSING:
            raise ConfigError(f"reference.on_missing={on_missing}: expected {' or '.join(ON_MISSING)}")
        if self.troubles and on_missing == "fail":
            raise ReferenceFileError(str(self))
        lost = [Fate(str(file), error=f"{file}: {'; '.join(map(str, of))}") for file, of in self.troubles.items()]
        return [file for file in self.files if file not in self.troubles], lost


def named(files):
    """Name a group of exposures: the first, and how many more."""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return stem(files[0]) + more


def make(files, settings, references, watch=ignore):
    """Return the Plan of a batch; what is missing and can be fetched is fetched.

    Only headers are read. What else is wrong with an exposure is found when it is calibrated. Functions as pipelines
    say only then what they need. watch(what, total, unit) is told of the stages and returns advance(amount).
    """
    wanted = _Wanted(references)
    advance = watch("reading headers", len(files))
    for file in files:
        wanted.look_at(file, settings)
        advance(1)
    wanted.provide(watch)
    return Plan(list(files), {file: list(of) for file in files if (of := wanted.troubles.get(file))})


class _Wanted:
    """Collects what the exposures want, and what is wrong with it."""

    def __init__(self, references):
        self.references = references
        self.troubles: dict[Path, dict] = defaultdict(dict)  # exposure -> Troubles, as they were found
        # (type, path, name) -> [(exposure, its outline, what it asks of a file)]; of one for an official step, which
        # opens it itself, nothing (None) but that it is there
        self.files = defaultdict(list)
        self.remote = set()

    def look_at(self, file, settings):
        try:
            exposure = outline(file)
            instrument = exposure.need("instrument.name").lower()
            if settings.instrument not in (None, instrument):
                return
            for step in settings.pipeline_for(exposure, self.references).steps:
                if not getattr(step, "skip", True):  # a function in a list has none
                    step.require(exposure)
                    place = str(getattr(exposure, "cut", None)), exposure.data.shape
                    self._look_at_step(step, file, exposure, (instrument, exposure.meta.instrument.detector, *place))
                    exposure = step.leaves(exposure)
        except ReferenceFileError as error:
            self.troubles[file][Trouble("parameters", "", str(error))] = None
        except (InputError, ConfigError):
            return  # said when the exposure's turn comes

    def _look_at_step(self, step, file, exposure, asked):
        if hasattr(step, "official"):
            asked = None
        for reftype in step.references:
            if not step.uses(reftype, exposure):
                continue
            try:
                override = getattr(step, f"override_{reftype}", None)  # official pipelines have it in their steps
                path, name = self.references.find(reftype, exposure, override)
            except (ReferenceFileError, ConfigError) as error:
                self.troubles[file][Trouble(reftype, "", str(error))] = None
                continue
            if path is not None:
                self.files[reftype, path, name.removeprefix("crds://")].append((file, exposure, asked))
                if name.startswith("crds://"):
                    self.remote.add(path)
            elif reftype in step.required:
                hint = (
                    "" if self.references.collection else "; reference.path=FOLDER or reference=crds says where to look"
                )
                self.troubles[file][Trouble(reftype, "", f"needed, but there is none{hint}")] = None

    def provide(self, watch):
        missing = self.references.provide(self.remote, watch)
        advance = watch("opening reference files", len(self.files))
        for (reftype, path, name), exposures in self.files.items():
            opened: dict[tuple | None, str] = {}  # what an exposure asks of a file -> why it cannot have it
            for file, exposure, asked in exposures:
                if asked not in opened:
                    trouble = missing.get(path, "")
                    opened[asked] = trouble if trouble or asked is None else self._open(reftype, path, exposure)
                if opened[asked]:
                    self.troubles[file][Trouble(reftype, name, opened[asked])] = None
            advance(1)

    def _open(self, reftype, path, exposure):
        try:
            self.references.open(path, reftype, exposure)
        except ReferenceFileError as error:
            return str(error).removeprefix(f"{path}: ")
        return ""
