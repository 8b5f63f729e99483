"""What a set of reference files is for, and how it is to be: what every maker of one is given."""

from dataclasses import dataclass

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.detector import Detector
from gpucal.sample.flags import Bits
from gpucal.sample.readout import Readout
from gpucal.sample.streams import stream

AT_EXPOSURE_SIZE = {"dark", "reset"}  # the official pipeline does not cut these
ALWAYS_FULL = {"ipc", "area"}  # their headers do not say where they lie


@dataclass(frozen=True, kw_only=True)
class Request:
    """The exposures to calibrate, the detector's truth, and the options of make_references."""

    configuration: Configuration
    detector: Detector
    readout: Readout
    seed: int
    dark: str
    match: frozenset[str]
    inverse_linearity: bool
    ipc_per_pixel: bool
    clean: bool
    photom_time: bool
    bits: Bits

    def random(self, reftype):
        """Return the random numbers of a reference file, the same whichever others are made."""
        return stream(self.seed, self.configuration.detector, reftype)

    def matches(self, reftype):
        """Tell whether a reference file covers the exposures' window only."""
        return reftype in AT_EXPOSURE_SIZE or reftype in self.match - ALWAYS_FULL

    def window(self, reftype):
        """Return the (y, x) slices of the detector that a reference file covers."""
        ny, nx = self.configuration.full_shape
        return self.configuration.window if self.matches(reftype) else (slice(0, ny), slice(0, nx))

    def cut(self, reftype, array):
        """Return a copy of an array (..., ny, nx) of the whole detector, cut to what the reference file covers."""
        return array[(..., *self.window(reftype))].copy()

    def bad(self, defect):
        """Return where reference files have a defect, as indices of rows and columns; nowhere if they are clean."""
        rows, columns = self.detector.defects[defect]
        return (rows[:0], columns[:0]) if self.clean else (rows, columns)

    def flags(self, reftype, *marks):
        """Return the DQ array of a reference file; marks as for Bits.array, in pixels of the whole detector."""
        return self.cut(reftype, self.bits.array(self.detector.shape, *marks))

    def spoiled(self, reftype, array, **values):
        """Return a copy of an array (ny, nx), cut, with bad values by kind: nan=... for the defect `<reftype>_nan`."""
        spoiled = array.astype(np.float32)
        for kind, value in values.items():
            spoiled[self.bad(f"{reftype}_{kind}")] = value
        return spoiled[self.window(reftype)]
