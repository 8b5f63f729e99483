"""Charge migration: leave out the groups in which a pixel is so full that its charge moves to its neighbours.

Source: Goudfrooij et al. 2024 (PASP 136, 014503); the JWST documentation of the step.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP
from gpucal.errors import Skip
from gpucal.kernel import kernel
from gpucal.step import Step


@dataclass(frozen=True)
class ChargeMigration(Step):
    """Flag CHARGELOSS and DO_NOT_USE, from the first too full group on, a pixel and its four neighbours."""

    skip: bool = True  # as in the official pipeline
    signal_threshold: float = 25000.0  # DN

    scope: ClassVar = "integration"

    def process(self, ramp):
        """Set the flags."""
        nints, ngroups, ny, nx = ramp.shape
        if ngroups < 3:
            raise Skip("two groups or fewer")
        first = array_module(ramp.data).empty((nints, ny, nx), "u2")
        find_migration(ramp.data, ramp.groupdq, first, threshold=self.signal_threshold)
        flag_migration(ramp.groupdq, first, nx=nx)
        return ramp


@kernel
def find_migration(ramp, groupdq, first, threshold):
    """Find the first group above the threshold that is not out of use."""
    full = (ramp > np.float32(threshold)) & (groupdq != GROUP.DO_NOT_USE)
    first[...] = np.where(full.any(axis=1), full.argmax(axis=1), full.shape[1]).reshape(first.shape)


@kernel
def flag_migration(groupdq, first, nx):
    """Flag the groups from the first on, of a pixel and of its neighbours."""
    planes = first.reshape(len(first), -1, nx)
    start = planes.copy()
    np.minimum(start[:, 1:], planes[:, :-1], out=start[:, 1:])
    np.minimum(start[:, :-1], planes[:, 1:], out=start[:, :-1])
    np.minimum(start[:, :, 1:], planes[:, :, :-1], out=start[:, :, 1:])
    np.minimum(start[:, :, :-1], planes[:, :, 1:], out=start[:, :, :-1])
    group = np.arange(groupdq.shape[1]).reshape(1, -1, 1, 1)
    flags = groupdq.reshape(*groupdq.shape[:2], -1, nx)
    flags |= (group >= start[:, None]) * np.uint8(GROUP.CHARGELOSS | GROUP.DO_NOT_USE)
