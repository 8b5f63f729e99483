"""Where the samples of NIRSpec's IRS2 readout lie, in a file and in time.

A frame has 3200 rows in science orientation, the fast direction: 640 of a reference output, then 640 of each of four
amplifiers. After the first 8 pixels of an output, and after every 16 pixels from there on, 4 samples of its reference
pixels are interleaved. Stepping out to them and back takes a sample's time each, starting the next line takes 8: a line
lasts 712 samples, its slots. Outputs 0, 2 and 4 are read from their last row to their first.

Source: B. J. Rauscher et al. 2017, PASP 129, 105003; the JWST documentation of the reference pixel correction.
"""

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpucal.errors import InputError, ReferenceFileError

ROWS = 3200  # of a frame
LINES = 2048  # in the slow direction; the columns of a frame
OUTPUTS, SAMPLES = 5, 640  # outputs, the reference output first; samples of one output in a line
NORMAL, REFERENCE = 16, 4  # pixels and reference samples in turn
PERIOD, SLOTS_OF_PERIOD = NORMAL + REFERENCE, NORMAL + REFERENCE + 2
SLOTS = 712  # sample times of a line

# Reference files of 3200 rows, and those of 2048 that belong to frames which still have 3200.
INTERLEAVED, PACKED = {"mask", "superbias"}, {"saturation", "ipc"}


def is_irs2(model):
    """Tell whether an exposure still has its interleaved reference pixels."""
    return max(model.data.shape[-2:]) > LINES


@dataclass(frozen=True)
class Readout:
    """The order of the samples; `reverse`: the detector is mounted the other way round (NRS2).

    Tables by row of the frame: outputs (3200), slots (3200) and is_normal (3200). Tables of rows of the frame:
    normal (2048) in the order of the frame, across (5, 640) in that of the detector, order (5, 640) in that of time.
    """

    reverse: bool

    @classmethod
    def of(cls, ramp):
        """Return the readout of an exposure; InputError if it is none that is known."""
        detector, shape = ramp.need("instrument.detector"), ramp.shape[2:]
        if shape != (ROWS, LINES) or detector not in ("NRS1", "NRS2"):
            ny, nx = shape
            raise InputError(f"{ramp.source}: {ny} x {nx} pixels of {detector} are no known readout")
        pattern = ramp.need("exposure.nrs_normal"), ramp.need("exposure.nrs_reference")
        if pattern != (NORMAL, REFERENCE):
            raise InputError(
                f"{ramp.source}: NRS_NORM {pattern[0]} and NRS_REF {pattern[1]} are not {NORMAL} and {REFERENCE}"
            )
        return _readout(detector == "NRS2")

    @cached_property
    def across(self):
        """(5, 640) int32, the rows of each output in the order of the columns in detector orientation."""
        rows = np.arange(ROWS, dtype="i4")
        return (rows[::-1] if self.reverse else rows).reshape(OUTPUTS, SAMPLES)

    @cached_property
    def order(self):
        """(5, 640) int32, the rows of each output in the order in which they are read."""
        rows = self.across.copy()
        rows[::2] = rows[::2, ::-1]
        return rows

    @cached_property
    def slots(self):
        """(3200) int32, the time of each row's sample within its line."""
        sample = np.arange(SAMPLES)
        within = sample % PERIOD
        edge = NORMAL // 2
        slot = sample // PERIOD * SLOTS_OF_PERIOD + within + (within >= edge) + (within >= edge + REFERENCE)
        return self._by_row(np.broadcast_to(slot, (OUTPUTS, SAMPLES))).astype("i4")

    @cached_property
    def outputs(self):
        """(3200) int32, the output that reads each row."""
        return self._by_row(np.repeat(np.arange(OUTPUTS), SAMPLES)).astype("i4")

    @cached_property
    def is_interleaved(self):
        """(3200) bool, whether a row holds reference samples, of an amplifier or of the reference output."""
        return (np.arange(ROWS) - NORMAL // 2) % PERIOD < REFERENCE  # the same from either end

    @cached_property
    def is_normal(self):
        """(3200) bool, whether a row holds pixels of the detector."""
        return ~self.is_interleaved & (self.outputs > 0)

    @cached_property
    def normal(self):
        """(2048) int32, the rows that hold pixels of the detector."""
        return np.flatnonzero(self.is_normal).astype("i4")

    @cached_property
    def pairs(self):
        """(5, 64) int32, the first rows of all pairs of reference samples; both samples are of the same pixel."""
        return np.flatnonzero(self.is_interleaved)[::2].reshape(OUTPUTS, -1).astype("i4")

    @cached_property
    def odd(self):
        """(3200) int32, the parity of a row in the fast direction; of four reference samples, 0 0 1 1."""
        column = np.arange(ROWS)
        parity = np.where((column - NORMAL // 2) % PERIOD < REFERENCE, column // 2, column) % 2
        return (parity[::-1] if self.reverse else parity).astype("i4")

    def columns(self, lines):
        """Return the columns of the frame that hold these lines of the readout."""
        return LINES - 1 - lines if self.reverse else lines

    def _by_row(self, in_time):
        table = np.empty(ROWS, int)
        table[self.order.ravel()] = in_time.ravel()
        return table


@functools.cache
def _readout(reverse):
    return Readout(reverse)


def require_rows(reference, exposure):
    """Raise ReferenceFileError if only one of a reference file and an exposure has interleaved reference pixels."""
    main = "dq" if reference.reftype == "mask" else "coeffs" if reference.has("coeffs") else "data"
    if getattr(exposure, "shape", None) is None or len(exposure.shape) != 4 or not reference.has(main):
        return
    rows, needed = reference.shape(main)[-2], exposure.shape[2]
    if ROWS in (rows, needed) and rows != needed and reference.reftype not in PACKED:
        raise ReferenceFileError(f"{reference.path}: has {rows} rows, {exposure.source} has {needed}")
    if rows == ROWS and reference.reftype not in INTERLEAVED:
        raise ReferenceFileError(f"{reference.path}: has {rows} rows, expected {LINES}")
