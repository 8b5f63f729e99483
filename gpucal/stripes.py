"""Stripes: windows that are made of several parts of the detector.

A substripe exposure joins parts that lie apart in one image. A superstripe exposure moves on from integration to
integration, and so many of them make one image. MSTR_RD1 rows at the start of the subarray (reference pixels, mostly)
are followed, after MSTR_SK1 rows, by MSTR_RD2 rows, and so on; "rows" are places along the slow axis. Source: the
keyword dictionary, MSTR_* and SSTR_*.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gpucal.device import array_module
from gpucal.errors import InputError

DETECTOR = 2048  # pixels along each side


class Part(NamedTuple):
    """Consecutive rows of one stripe: from row `place` of the stripe, and from row `start` of the detector."""

    place: int
    start: int
    nrows: int
    science: bool  # not of the MSTR_RD1 that every stripe begins with


@dataclass(frozen=True)
class Stripes:
    """The parts of every stripe of an exposure, in detector orientation, and its window along the fast axis."""

    parts: tuple[tuple[Part, ...], ...]
    nrows: int  # of each stripe
    axis: int  # SLOWAXIS
    fast: tuple[int, int]  # first and last + 1
    corner: tuple[int, int]  # (y, x) of the subarray, as its header has it
    shape: tuple[int, int]  # (ny, nx) of each stripe
    together: bool  # superstripes

    @classmethod
    def of(cls, exposure):
        """Return the stripes of an exposure, or None if it is an ordinary one; InputError if they cannot be."""
        subarray = exposure.meta.subarray
        if subarray.multistripe_reads1 is None and not subarray.num_superstripe:
            return None
        axis, shape = exposure.need("subarray.slowaxis"), exposure.data.shape[-2:]
        slow, fast = (0, 1) if abs(axis) == 2 else (1, 0)
        corner = exposure.need("subarray.ystart"), exposure.need("subarray.xstart")
        count = exposure.need("subarray.num_superstripe")
        origin = _origin(axis, corner[slow], str(subarray.name))
        parts = tuple(_parts(exposure, stripe, origin, shape[slow]) for stripe in range(max(count, 1)))
        window = corner[fast] - 1, corner[fast] - 1 + shape[fast]
        return cls(parts, shape[slow], axis, window, corner, shape, count > 0)

    @property
    def region(self):
        """The (y, x) slices of the detector that a reference must cover: all of it along the slow axis."""
        whole, fast = slice(0, DETECTOR), slice(*self.fast)
        return (whole, fast) if abs(self.axis) == 2 else (fast, whole)

    @cached_property
    def rows(self):
        """The places of the stripes' rows on the detector, in science orientation: (nstripes, nrows)."""
        rows = np.empty((len(self.parts), self.nrows), np.int64)
        for stripe, parts in zip(rows, self.parts, strict=True):
            for part in parts:
                stripe[part.place : part.place + part.nrows] = np.arange(part.start, part.start + part.nrows)
        return rows if self.axis > 0 else DETECTOR - 1 - rows[:, ::-1]

    def describes(self, corner, shape):
        """Whether a reference at this corner and of this shape is made for these very stripes."""
        return not self.together and (tuple(corner), tuple(shape)) == (tuple(self.corner), tuple(self.shape))

    def gather(self, array):
        """Return the stripes of (..., region): (..., ny, nx), or of (region): (nstripes, ny, nx) for superstripes."""
        rows = array_module(array).asarray(self.rows if self.together else self.rows[0])
        if abs(self.axis) == 2:
            found = array[..., rows, :]
        else:
            found = array[..., rows].swapaxes(-2, -3) if self.together else array[..., rows]
        return array_module(array).ascontiguousarray(found)


def _origin(axis, start, name):
    """Return the row of the detector where a subarray begins; early headers hold 1 where they should hold 2048."""
    if "DHS" in name.upper() or (axis < 0 and start == 1):
        return 0
    return DETECTOR - start if axis < 0 else start - 1


def _parts(exposure, stripe, origin, nrows):
    """Return the Parts of one stripe in the order they were read."""
    words = ("multistripe_reads1", "multistripe_skips1", "multistripe_reads2", "multistripe_skips2", "repeat_stripe",
             "interleave_reads1", "num_superstripe")  # fmt: skip
    reads1, skips1, reads2, skips2, repeat, interleave, count = (exposure.need(f"subarray.{word}") for word in words)
    step = exposure.need("subarray.superstripe_step") * stripe if count else 0
    if reads2 <= 0 and count:
        reads2 = exposure.need("subarray.superstripe_step")
    if min(reads1, skips1, reads2 - 1, skips2, step) < 0:
        raise InputError(f"{exposure.source}: stripes of {reads1} and {reads2} rows cannot be (MSTR_RD1, MSTR_RD2)")
    parts, place, row, skip = [], 0, origin, skips1 + step

    def read(rows, science):
        nonlocal place, row
        if rows:
            parts.append(Part(place, row, rows, science))
        place, row = place + rows, row + rows

    read(reads1, False)
    row += skip
    read(reads2, True)
    interleaved = skips1  # without the step from stripe to stripe, as in the official pipeline
    while place < nrows:
        if repeat > 0:
            row = origin
            read(reads1, False)
            interleaved += skips2 + reads2
            row += interleaved if interleave else skip
        else:
            row += skips2
        read(reads2, True)
    last = max(part.start + part.nrows for part in parts)
    if place != nrows or last > DETECTOR:
        raise InputError(
            f"{exposure.source}: has {nrows} rows, its stripes {place} (MSTR_*, SSTR_*), the last at row {last}"
        )
    return tuple(parts)
