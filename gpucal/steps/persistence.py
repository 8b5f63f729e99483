"""Persistence: flag the groups in which a pixel may still remember that it was saturated or very bright."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.dq import GROUP
from gpucal.errors import Failed
from gpucal.kernel import kernel
from gpucal.persistence_file import read_windows, write_windows
from gpucal.step import Step

DAY = 86400.0  # s
EPOCH = 40587.0  # MJD of 1970-01-01, from which windows are counted in seconds


@dataclass(frozen=True)
class Persistence(Step):
    """Open a window when a pixel saturates, and flag PERSISTENCE until it closes, also in later exposures."""

    save_persistence: str | None = None  # ASDF file that takes the windows still open at the end of the exposure
    persistence_time: int | None = None  # s; how long a window stays open; the step fails without
    dn_threshold: float | None = None  # DN; a count above it opens a window too
    persistence_array_file: str | None = None  # such a file of the exposure before
    persistence_dnu: bool = False  # flag DO_NOT_USE as well
    skip: bool = True  # leave the exposure as it is

    def process(self, ramp):
        """Set the flags; read and write the windows of the exposures before and after."""
        if self.persistence_time is None or self.persistence_time <= 0:
            raise Failed("needs persistence_time")
        xp = array_module(ramp.data)
        detector, shape = ramp.need("instrument.detector"), ramp.shape[2:]
        until = np.zeros(shape)
        if self.persistence_array_file and Path(self.persistence_array_file).exists():
            until = read_windows(self.persistence_array_file, detector, self.persistence_time, shape)
        until = xp.asarray(until)
        flag = GROUP.PERSISTENCE | (GROUP.DO_NOT_USE if self.persistence_dnu else 0)
        flag_persistence(
            ramp.data, ramp.groupdq, xp.asarray(group_times(ramp)), until, duration=self.persistence_time,
            threshold=np.inf if self.dn_threshold is None else self.dn_threshold, flag=flag,
        )  # fmt: skip
        if self.save_persistence:
            path = Path(self.save_persistence).with_suffix(".asdf")
            write_windows(path, detector, to_host(until), self.persistence_time, ramp.meta.filename)
        return ramp


def group_times(ramp):
    """Return when every group was read: (nints, ngroups) seconds since 1970.

    Integrations begin as INT_TIMES tells, or follow each other without a pause where it does not.
    """
    nints, ngroups = ramp.shape[:2]
    known = ramp.tree.int_times["int_start_MJD_UTC"][:nints] if ramp.tree.hasattr("int_times") else []
    begins = [(float(mjd) - EPOCH) * DAY for mjd in known]
    if len(known) < nints:
        first = (ramp.need("exposure.start_time") - EPOCH) * DAY
        begins += [first + i * ramp.need("exposure.integration_time") for i in range(len(known), nints)]
    steps = np.full((nints, ngroups + 1), float(ramp.need("exposure.group_time")))
    steps[:, 0] = begins
    return np.cumsum(steps, axis=1)[:, 1:].copy()


@kernel
def flag_persistence(ramp, groupdq, times, until, duration, threshold, flag):
    """Follow every pixel's window through the groups and flag those within it."""
    for data, flags, now in zip(ramp, groupdq, times, strict=True):
        saturated = np.zeros(until.shape, int)
        for g, time in enumerate(now):
            end = time + duration
            until[until < time] = 0
            saturated += flags[g] & GROUP.SATURATED != 0
            until[saturated == 1] = end
            until[(data[g] > np.float32(threshold)) & ~(until > 0)] = end
            until[until > end] = 0
            flags[g] |= (until > 0) * np.uint8(flag)
