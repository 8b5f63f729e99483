"""Group scale: repair groups whose frames were averaged on board with the wrong divisor."""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.errors import Skip
from gpucal.step import Step


@dataclass(frozen=True)
class GroupScale(Step):
    """Multiply all groups by FRMDIVSR / NFRAMES where the two differ.

    On board, averages are bit shifts: the divisor is a power of two even if the number of frames is not.
    """

    scope: ClassVar = "integration"
    readouts: ClassVar = ("superstripes",)

    def process(self, ramp):
        """Scale the groups; the zero frame is a single frame and stays."""
        frames, divisor = ramp.meta.exposure.nframes, ramp.meta.exposure.frame_divisor
        if frames is None or divisor is None:
            raise Skip("NFRAMES or FRMDIVSR is missing")
        if frames == divisor:
            raise Skip("NFRAMES and FRMDIVSR are equal")
        ramp.data *= divisor / frames
        return ramp
