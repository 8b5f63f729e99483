"""Superbias: subtract the detector's fixed pattern."""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.device import array_module, nan_to_zero
from gpucal.step import Step


@dataclass(frozen=True)
class Superbias(Step):
    """Subtract the bias image from every group."""

    scope: ClassVar = "integration"
    readouts: ClassVar = ("stripes",)

    def process(self, ramp, superbias):
        """Subtract; a bias that is NaN counts as 0, a zero frame that is 0 is bad and stays 0."""
        xp = array_module(ramp.data)
        ramp.pixeldq |= superbias.dq
        bias = superbias.made("bias", lambda: nan_to_zero(superbias.data.copy()))
        ramp.data -= bias
        if ramp.zeroframe is not None:
            ramp.zeroframe = xp.where(ramp.zeroframe == 0, ramp.zeroframe, ramp.zeroframe - bias)
        return ramp
