"""Detector geometry: the full frame, the window read out of it, and the order of the readout.

Science orientation is how arrays lie in files; detector orientation has rows along the slow and columns along the fast
readout direction. FASTAXIS and SLOWAXIS (+-1 for x, +-2 for y) lead from one to the other.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Frame:
    """A detector of `shape` (rows, columns, both orientations) and the (y, x) window of it that was read."""

    shape: tuple[int, int]
    window: tuple[slice, slice]
    fastaxis: int
    slowaxis: int
    miri: bool

    @classmethod
    def of(cls, ramp):
        """Return the frame of an exposure; InputError if its header does not place it."""
        if ramp.need("instrument.name") == "MIRI":  # its two orientations are the same
            return cls((1024, 1032), ramp.window, 1, 2, True)
        axes = ramp.need("subarray.fastaxis"), ramp.need("subarray.slowaxis")
        return cls((2048, 2048), ramp.window, *axes, False)

    @classmethod
    def of_stripes(cls, ramp):
        """Return the frame of an exposure made of stripes, placed along the fast axis as the official pipeline does.

        It counts the columns in the order of the readout from SUBSTRT, in whatever direction they are read. Along the
        slow axis there is no one place.
        """
        fastaxis, slowaxis = ramp.need("subarray.fastaxis"), ramp.need("subarray.slowaxis")
        window = list(ramp.window)
        fast, slow = 2 - abs(fastaxis), 2 - abs(slowaxis)
        if fastaxis < 0:
            window[fast] = slice(2048 - window[fast].stop, 2048 - window[fast].start)
        window[slow] = slice(0, ramp.data.shape[2 + slow])
        return cls((2048, 2048), tuple(window), fastaxis, slowaxis, False)

    @property
    def is_full(self):
        """Whether the whole detector was read."""
        return all(w.stop - w.start >= n for w, n in zip(self.window, self.shape, strict=True))

    @property
    def contains_window(self):
        """Whether the window lies within the detector."""
        return all(w.start >= 0 and w.stop <= n for w, n in zip(self.window, self.shape, strict=True))

    @cached_property
    def places(self):
        """The row r0 + ry y + rx x and the column c0 + cy y + cx x, in detector orientation, of window pixel (y, x)."""
        along: dict[str, int] = {}
        for name, axis in (("r", self.slowaxis), ("c", self.fastaxis)):
            step, of = (1 if axis > 0 else -1), abs(axis)  # of: 1 is x, 2 is y
            start = self.window[2 - of].start
            origin = start if step > 0 else self.shape[2 - of] - 1 - start
            along |= {f"{name}0": origin, f"{name}y": step * (of == 2), f"{name}x": step * (of == 1)}
        return along

    @property
    def detector_window(self):
        """The window's (row, column) slices in detector orientation."""
        slices = []
        for axis in (self.slowaxis, self.fastaxis):
            window, size = self.window[2 - abs(axis)], self.shape[2 - abs(axis)]
            slices.append(window if axis > 0 else slice(size - window.stop, size - window.start))
        return tuple(slices)

    def pixel(self, row, column):
        """Return the index, in the window's flattened pixels, of places in detector orientation; -1 outside it."""
        row, column = np.broadcast_arrays(row, column)
        at = {}
        for axis, place in ((self.slowaxis, row), (self.fastaxis, column)):
            of = abs(axis)
            full = place if axis > 0 else self.shape[2 - of] - 1 - place
            at[of] = full - self.window[2 - of].start
        x, y = at[1], at[2]
        ny, nx = (w.stop - w.start for w in self.window)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        return np.where(inside, y.astype(np.int64) * nx + x, -1)
