"""What a user may bring along: a step, functions as hooks, a pipeline that is a function."""

from dataclasses import dataclass

import numpy as np

from gpucal.step import Step

calls = []


@dataclass(frozen=True)
class AddPedestal(Step):
    """Add a number to every count."""

    pedestal: float = 100.0  # DN

    def process(self, ramp):
        ramp.data += np.float32(self.pedestal)
        return ramp


def look(model):
    """See the model, and leave it."""
    calls.append((type(model).__name__, model.meta.cal_step.superbias))


def replace(model):
    """Give another model back."""
    other = model.copy()
    other.data[...] = 7
    return other


def fail(model):
    """Fail."""
    raise RuntimeError("not today")


def flow(model, steps):
    """Run two steps, one of them twice."""
    model = steps.dq_init(model)
    for _ in range(2):
        model = steps.superbias(model)
    return model
