"""DQ init: start the flags of an exposure from the detector's mask of bad pixels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.dq import GROUP
from gpucal.errors import InputError
from gpucal.step import Step


@dataclass(frozen=True)
class DqInit(Step):
    """Copy the mask's flags to the pixels, and DO_NOT_USE to every group."""

    user_supplied_dq: str | None = None  # FITS file whose first image is added to the mask

    scope: ClassVar = "integration"
    readouts: ClassVar = ("guider", "stripes")

    def process(self, ramp, mask):
        """Set the flags; they add to those that are there. Guider exposures have no flags of groups."""
        flags = mask.dq
        if self.user_supplied_dq:
            flags = flags | ramp_shaped(self.user_supplied_dq, ramp)
        if ramp.readout == "guider":
            if flags.shape != ramp.dq.shape:
                raise InputError(f"{ramp.source}: has {ramp.dq.shape} pixels, the mask {mask.path} {flags.shape}")
            ramp.dq |= flags
            return ramp
        ramp.pixeldq |= flags
        ramp.groupdq |= (flags & GROUP.DO_NOT_USE).astype("u1")
        return ramp


def ramp_shaped(path, ramp):
    """Return the first image of a FITS file on the ramp's device; InputError if its shape is not the ramp's."""
    from astropy.io import fits

    from gpucal.device import array_module

    try:
        flags = np.asarray(fits.getdata(path)).astype("u4")
    except (OSError, IndexError) as error:
        raise InputError(f"user_supplied_dq={path}: {error}") from error
    if flags.shape != ramp.data.shape[2:]:
        raise InputError(f"user_supplied_dq={path}: shape {flags.shape}, expected {ramp.data.shape[2:]}")
    return array_module(ramp.data).asarray(flags)
