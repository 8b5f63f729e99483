"""Flag low: leave out groups whose counts are too low to be true."""

from dataclasses import dataclass

import numpy as np

from gpucal.dq import GROUP
from gpucal.kernel import kernel
from gpucal.step import Step


@dataclass(frozen=True)
class FlagLow(Step):
    """Flag the groups whose counts are below a limit DO_NOT_USE."""

    limit: float = -1000.0  # DN

    def process(self, ramp):
        """Set the flags in place. More arguments would be reference files: process(self, ramp, mask)."""
        flag_low_counts(ramp.data, ramp.groupdq, limit=self.limit)
        return ramp


@kernel
def flag_low_counts(ramp, groupdq, limit):
    """Do in plain NumPy what kernels/flag_low_counts.cu does on a GPU and on all cores of a CPU."""
    groupdq |= (ramp < np.float32(limit)) * np.uint8(GROUP.DO_NOT_USE)
