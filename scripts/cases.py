"""Cases: simulated exposures for the other scripts, each with its references and the settings of its calibration."""

import inspect
import re
from dataclasses import dataclass

import yaml

from gpucal import sample
from gpucal.sample.guider import MODES, make_guider_exposure
from gpucal.sample.stripes import READOUTS, make_stripe_exposure

CASE = (
    "configuration:NGROUPSxNINTS[:seed][+step.parameter=value]...; configuration: one of gpucal.sample, a readout with "
    "stripes, or the EXP_TYPE of a guider mode; the step `sample` makes exposure and references, run.pipeline=dark"
)
NOT_STEPS = ("sample.", "run.")
OF_STRIPES = (
    "mask",
    "saturation",
    "superbias",
    "linearity",
    "gain",
    "readnoise",
    "ipc",
)  # the official steps cut these
OF_GUIDERS = ("mask", "gain", "readnoise", "flat")


@dataclass(frozen=True)
class Case:
    """A simulated exposure: a configuration of gpucal.sample, its shape and its seed."""

    configuration: str
    ngroups: int
    nints: int
    seed: int = 1
    options: tuple[tuple[str, object], ...] = ()  # of steps and of the sample, ("jump.rejection_threshold", 5)

    @classmethod
    def parse(cls, text):
        """Read configuration:NGROUPSxNINTS[:seed][+step.parameter=value]..."""
        found = re.fullmatch(r"([\w-]+):(\d+)x(\d+)(?::(\d+))?((?:\+\w+\.\w+=[^+]+)*)", text)
        if not found:
            raise SystemExit(f"{text}: cases are written {CASE}")
        options = tuple((k, yaml.safe_load(v)) for k, v in re.findall(r"\+([\w.]+)=([^+]+)", found[5]))
        return cls(found[1], int(found[2]), int(found[3]), int(found[4] or 1), options)

    def __str__(self):
        options = "".join(f", {key}={value}" for key, value in self.options)
        return f"{self.configuration} {self.ngroups}x{self.nints} seed {self.seed}{options}"

    @property
    def settings(self):
        """{"step.parameter": value}"""
        return {key: value for key, value in self.options if not key.startswith(NOT_STEPS)}

    @property
    def steps(self):
        """{step: {parameter: value}}"""
        steps: dict[str, dict] = {}
        for key, value in self.settings.items():
            step, parameter = key.split(".")
            steps.setdefault(step, {})[parameter] = value
        return steps

    @property
    def pipeline(self):
        """The name of the pipeline."""
        return dict(self.options).get("run.pipeline") or ("guider" if self.configuration in MODES else "detector1")

    def make(self, folder, **options):
        """Simulate the exposure and its references; return its path and {type: path}.

        options: for gpucal.sample.make_references, weaker than the case's own.
        """
        chosen = {key.removeprefix("sample."): value for key, value in self.options if key.startswith("sample.")}
        shape = {"ngroups": self.ngroups, "nints": self.nints}
        if self.configuration in MODES:
            exposure = make_guider_exposure(self.configuration, folder / "data", seed=self.seed, **shape, **chosen)
            return exposure, sample.make_references("fgs_full", folder / "refs", types=OF_GUIDERS)
        base = self.configuration
        if base in READOUTS:
            exposure = make_stripe_exposure(base, folder / "data", seed=self.seed, **shape, **chosen)
            base, options = READOUTS[base][0], {"types": OF_STRIPES, **options}
        else:
            known = _known_to(sample.make_exposures, chosen)
            (exposure,) = sample.make_exposures(base, folder / "data", seed=self.seed, **shape, **known)
        known = _known_to(sample.make_references, chosen)
        return exposure, sample.make_references(base, folder / "refs", **shape, **options | known)


def _known_to(function, options):
    return {name: value for name, value in options.items() if name in inspect.signature(function).parameters}
