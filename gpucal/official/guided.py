"""Official steps under gpucal's guidance: references from gpucal's sources, products kept in memory, no server."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpucal.model.names import stem
from gpucal.model.official import Opaque, first


class Guide:
    """What an official step and all steps within it ask during one run.

    source: the exposure's file, for messages. kept: what steps wanted to save, {suffix: official model}.
    """

    def __init__(self, references, source, filename):
        self.references, self.source = references, source
        self.exposure = stem(filename or source)
        self.kept: dict[str, Any] = {}

    def keep(self, path, model):
        """Keep a product under what its name says after the exposure's."""
        self.kept[Path(path).stem.removeprefix(f"{self.exposure}_")] = model


def guided_step(official, guide, name, values):
    """Return an object of an official class with these parameters that follows a guide."""
    from jwst.stpipe import Pipeline

    parent = Pipeline("gpucal")  # a step within a pipeline works in place; alone it would copy its input
    parent.guide = guide
    step = _guided(official)(name, parent=parent, **values)
    step.skip = False  # what is to be skipped does not come so far
    step.save_results = issubclass(official, Pipeline)  # their steps' products are to be kept, not only the last one
    return step


_Other: Any = object  # the parent that is known when a class is made


class _Guided(_Other):
    """What a class derived from this and from an official step does differently."""

    over = False  # whether process has returned

    def process(self, *args):
        result = super().process(*args)
        self.over = True
        return result

    def get_reference_file(self, input_file, reference_file_type):
        """Return the path that gpucal chooses for an exposure, or N/A."""
        override = self.get_ref_override(reference_file_type)
        if not isinstance(override, str | None):  # a model
            return super().get_reference_file(input_file, reference_file_type)
        guide = self.search_attr("guide")
        path, name = guide.references.choose(reference_file_type, Opaque(first(input_file), guide.source), override)
        self._reference_files_used.append((reference_file_type, name))
        return name if path is None else str(path)

    def _precache_references(self, input_file):
        """Do not ask for all references before: a server would be asked."""

    def save_model(self, model, *args, **kwargs):
        """Keep what would be written, under the name that it would have."""
        if not isinstance(model, Sequence) and not hasattr(model, "shelve"):  # one model, not a list or a shelf of them
            model = _Kept(model, self.search_attr("guide"), copy=not self.over)
        return super().save_model(model, *args, **kwargs)

    def finalize_result(self, result, reference_files_used):
        """Note versions and references; the context is gpucal's, so that no server is asked for its own."""
        from jwst.stpipe import Step

        if not isinstance(self, Step):
            super().finalize_result(result, reference_files_used)
            return
        Step.finalize_result(self, result, [])
        place = getattr(getattr(result, "meta", None), "ref_file", None)
        if place is None or not reference_files_used:
            return
        for reftype, name in reference_files_used:
            if hasattr(place, reftype):
                getattr(place, reftype).name = name
        references = self.search_attr("guide").references
        place.crds.context_used, place.crds.sw_version = references.context, references.version


class _Kept:
    """Stands for a model that is being saved."""

    def __init__(self, model, guide, copy):
        self.meta = model.meta
        self._model, self._guide, self._copy = model, guide, copy

    def save(self, path, *args, **kwargs):
        self._guide.keep(path, self._model.copy() if self._copy else self._model)
        return path


@functools.cache
def _guided(official):
    """Return a class of an official step that follows a guide, and so do the steps within it."""
    within = {name: _guided(step) for name, step in getattr(official, "step_defs", {}).items()}
    return type(official.__name__, (_Guided, official), {"__module__": official.__module__, "step_defs": within})
