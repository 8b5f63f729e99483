"""Last frame: leave out the last group of a MIRI integration, which the following reset disturbs."""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.dq import GROUP
from gpucal.errors import Skip
from gpucal.step import Step


@dataclass(frozen=True)
class Lastframe(Step):
    """Flag the last group DO_NOT_USE."""

    scope: ClassVar = "integration"

    def process(self, ramp):
        """Flag it, unless too few groups would remain."""
        if not str(ramp.need("instrument.detector")).startswith("MIR"):
            raise Skip("only for MIRI")
        if ramp.shape[1] <= 2:
            raise Skip("two groups or fewer")
        ramp.groupdq[:, -1] |= GROUP.DO_NOT_USE
        return ramp
