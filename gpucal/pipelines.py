"""Pipeline: steps in order on one exposure. A pipeline is used like a step."""

from dataclasses import dataclass
from typing import Any

from gpucal.step import Outcome, Step

SUFFIXES = {"dark": "dark", "guider": "cal"}  # of products; others are named after their kind: rate, rateints, ramp


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of steps on one model."""

    name: str
    steps: tuple[Step, ...]

    @property
    def suffix(self):
        """The suffix of the product's name, or None where it depends on the kind of product."""
        return SUFFIXES.get(self.name)

    def run(self, model, references, on_step=None):
        """Run the steps in place; return the result and the Outcome of each.

        on_step(step, outcome, model) is called after each.
        """
        outcomes: list[Outcome] = []
        for step in self.steps:
            model, outcome = step.run(model, references)
            outcomes.append(outcome)
            if on_step:
                on_step(step, outcome, model)
        return model, outcomes

    def __call__(self, source, references=None, device=None) -> Any:
        """Calibrate one exposure, a path or a model (which is left as it is), and return the result."""
        from gpucal import model
        from gpucal.reference import References

        exposure = model.open(source, device)
        if exposure is source:
            exposure = exposure.copy()
        result, _ = self.run(exposure, references or References(device))
        return result
