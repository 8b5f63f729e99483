"""Pipeline: steps in order on one exposure, or a function that calls them. A pipeline is used like a step."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpucal.errors import ConfigError
from gpucal.params import suggest
from gpucal.step import STEPS, Outcome

SUFFIXES = {"dark": "dark", "guider": "cal"}  # of products; others are named after their kind: rate, rateints, ramp


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of steps on one model."""

    name: str
    steps: tuple[Any, ...]  # Steps, and Pipelines that are functions
    suffix: str | None = None  # of its product; by default that of the product's kind: rate, rateints, ramp

    @property
    def alias(self):
        """The name, as that of a step."""
        return self.name

    def run(self, model, references, on_step=None):
        """Run the steps in place; return the result and the Outcome of each.

        on_step(step, outcome, model) is called after each.
        """
        outcomes: list[Outcome] = []
        for step in self.steps:
            if isinstance(step, Pipeline):
                model, more = step.run(model, references, on_step)
                outcomes += more
                continue
            model, outcome = step.run(model, references)
            outcomes.append(outcome)
            if on_step:
                on_step(step, outcome, model)
        return model, outcomes

    def part(self, start_after=None, stop_after=None):
        """Return the pipeline that begins after one step and ends after another; ConfigError if it has no such step."""
        names = [step.alias for step in self.steps]
        for what, name in (("start_after", start_after), ("stop_after", stop_after)):
            if name is not None and name not in names:
                raise ConfigError(f"{what}={name}: {self.name} has no such step{suggest(name, names)}")
        first = names.index(start_after) + 1 if start_after else 0
        last = names.index(stop_after) + 1 if stop_after else len(names)
        if first >= last:
            raise ConfigError(f"start_after={start_after}: no step of {self.name} is left to run")
        suffix = (self.steps[last - 1].suffix or stop_after) if stop_after else self.suffix
        return dataclasses.replace(self, steps=self.steps[first:last], suffix=suffix)

    def __call__(self, source, references=None, device=None) -> Any:
        """Calibrate one exposure, a path or a model (which is left as it is), and return the result."""
        from gpucal import model
        from gpucal.reference import References

        exposure = model.open(source, device)
        if exposure is source:
            exposure = exposure.copy()
        result, _ = self.run(exposure, references or References(device))
        return result


@dataclass(frozen=True)
class Flow(Pipeline):
    """A pipeline that is a function: function(model, steps) calls steps.jump(model) and others, and returns a model."""

    steps: tuple[Any, ...] = ()
    function: Callable = lambda model, steps: model
    build: Callable = STEPS.__getitem__  # (alias) -> the step as configured

    def run(self, model, references, on_step=None):
        """Call the function; return the result and the Outcome of each step that it ran."""
        outcomes: list[Outcome] = []

        def call(step, model):
            result, outcome = step.run(model, references)
            outcomes.append(outcome)
            if on_step:
                on_step(step, outcome, result)
            return result

        return self.function(model, _Steps(self.build, call)), outcomes

    def part(self, start_after=None, stop_after=None):
        """Return itself; ConfigError if only a part is asked for."""
        if start_after or stop_after:
            raise ConfigError(f"pipeline={self.name}: is a function, which start_after and stop_after cannot divide")
        return self


class _Steps:
    """The configured steps by their names, as functions of a model."""

    def __init__(self, build, call):
        self._build, self._call = build, call

    def __getattr__(self, alias):
        step = self._build(alias)
        return lambda model: self._call(step, model)
