"""Cases: simulated exposures for the other scripts, each with its references and the settings of its calibration."""

import inspect
import re
from dataclasses import dataclass

import yaml

from gpucal import sample

CASE = "configuration:NGROUPSxNINTS[:seed][+step.parameter=value]...; the step `sample` makes exposure and references"


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
        found = re.fullmatch(r"(\w+):(\d+)x(\d+)(?::(\d+))?((?:\+\w+\.\w+=[^+]+)*)", text)
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
        return {key: value for key, value in self.options if not key.startswith("sample.")}

    @property
    def steps(self):
        """{step: {parameter: value}}"""
        steps: dict[str, dict] = {}
        for key, value in self.settings.items():
            step, parameter = key.split(".")
            steps.setdefault(step, {})[parameter] = value
        return steps

    def make(self, folder, **options):
        """Simulate the exposure and its references; return its path and {type: path}.

        options: for gpucal.sample.make_references, weaker than the case's own.
        """
        chosen = {key.removeprefix("sample."): value for key, value in self.options if key.startswith("sample.")}
        shape = {"ngroups": self.ngroups, "nints": self.nints}
        (exposure,) = sample.make_exposures(
            self.configuration, folder / "data", seed=self.seed, **shape, **_known_to(sample.make_exposures, chosen)
        )
        references = sample.make_references(
            self.configuration, folder / "refs", **shape, **options | _known_to(sample.make_references, chosen)
        )
        return exposure, references


def _known_to(function, options):
    return {name: value for name, value in options.items() if name in inspect.signature(function).parameters}
