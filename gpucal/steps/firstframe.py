"""First frame: leave out the first group of a MIRI integration. Deprecated: the RSCD step does its work."""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import Skip
from gpucal.step import Step


@dataclass(frozen=True)
class Firstframe(Step):
    """Flag the first group DO_NOT_USE."""

    bright_use_group1: bool = True  # keep it where the third group is saturated, and mark the pixel FLUX_ESTIMATED
    skip: bool = True  # leave the exposure as it is

    scope: ClassVar = "integration"

    def process(self, ramp):
        """Flag it, unless too few groups would remain."""
        if not str(ramp.need("instrument.detector")).upper().startswith("MIR"):
            raise Skip("only for MIRI")
        if ramp.shape[1] <= 3:
            raise Skip("three groups or fewer")
        if not self.bright_use_group1:
            ramp.groupdq[:, 0] |= GROUP.DO_NOT_USE
            return ramp
        xp = array_module(ramp.data)
        bright = ramp.groupdq[:, 2] & GROUP.SATURATED != 0
        ramp.groupdq[:, 0] |= ~bright * xp.uint8(GROUP.DO_NOT_USE)
        ramp.pixeldq |= bright.any(axis=0) * xp.uint32(PIXEL.FLUX_ESTIMATED)
        return ramp
