"""The program from Python: `gpucal.run(...)` and `gpucal.pipeline("detector1")(path)`."""

from pathlib import Path

from gpucal import batch, model
from gpucal.batch import plan
from gpucal.batch.inputs import expand
from gpucal.device import choose
from gpucal.reference import References, library
from gpucal.settings import Settings


def run(input, output_dir=".", steps=None, override=None, references=None, device="auto", **settings):
    """Calibrate files to files, as the command line does; return the Fate of each exposure.

    steps: {step: {parameter: value}}; override: {reference type: path or open official model}; references: a folder, or
    a CRDS cache. Other keywords are settings of conf/base.yaml. ConfigError if the settings cannot be,
    ReferenceFileError if reference files are missing; a failing exposure is no exception but has an `error` in its
    Fate.
    """
    values = {"output_dir": str(output_dir), "steps": steps or {}, "override": _written(override), **settings}
    configured = Settings(values=values)
    shelf = References(choose(device), override, _library(references))
    files, lost = plan.make(expand(input), configured, shelf).decide(configured.run.reference.on_missing)
    return lost + batch.calibrate(files, configured, shelf)


def pipeline(name=None, steps=None, override=None, references=None, device="auto"):
    """Return a callable that calibrates one exposure, a path or a model, in memory; what it returns has `.save(path)`.

    The arguments are those of `run`. Without a name the pipeline is the one that suits the exposure. The order of the
    steps is that of its instrument.
    """
    return Recipe(name, steps, override, references, device)


class Recipe:
    """A pipeline that waits for an exposure to know its instrument."""

    def __init__(self, name, steps, override, references, device):
        self.settings = Settings(values={"pipeline": name, "steps": steps or {}, "override": _written(override)})
        self.references = References(choose(device), override, _library(references))

    def __call__(self, source):
        """Calibrate source, which is left as it is, and return the result."""
        exposure = model.open(source, self.references.device)
        if exposure is source:
            exposure = exposure.copy()
        exposure.need("instrument.name")
        pipeline = self.settings.pipeline_for(exposure, self.references)
        return pipeline.run(exposure, self.references)[0]


def _written(override):
    """The overrides that are paths, as settings; models are not written down."""
    return {reftype: str(path) for reftype, path in (override or {}).items() if isinstance(path, str | Path)}


def _library(references):
    """The library of a folder, or of a CRDS cache."""
    if references is None:
        return None
    return library("crds" if (Path(references) / "mappings").is_dir() else "folder", references)
