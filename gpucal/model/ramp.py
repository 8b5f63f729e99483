"""Ramp: the counts of every pixel, group by group."""

from typing import Any

from gpucal.device import array_module
from gpucal.irs2.geometry import LINES, ROWS
from gpucal.model.base import Exposure
from gpucal.model.whole import Whole


class Ramp(Exposure):
    """An exposure before its slopes are fitted.

    data: (nints, ngroups, ny, nx) float32, DN. groupdq: the same shape, uint8. pixeldq: (ny, nx) uint32.
    zeroframe: (nints, ny, nx) float32, DN, the first frame of each integration where it was downlinked; 0 is bad.
    average_dark_current: (ny, nx) float32, electron/s.
    """

    tree_class = "RampModel"
    suffix = "ramp"
    is_ramp = True
    arrays = {
        "data": "SCI",
        "pixeldq": "PIXELDQ",
        "groupdq": "GROUPDQ",
        "zeroframe": "ZEROFRAME",
        "average_dark_current": "AVDRKCUR",
    }

    whole: Whole | None = None  # the exposure, if this is a part of one that is larger than memory

    data: Any
    pixeldq: Any
    groupdq: Any
    zeroframe: Any
    average_dark_current: Any

    def __init__(self, tree, source="", **arrays):
        super().__init__(tree, source, **arrays)
        xp = array_module(self.data)
        if self.pixeldq is None:
            self.pixeldq = xp.zeros(self.data.shape[2:], "u4")
        if self.groupdq is None:
            self.groupdq = xp.zeros(self.data.shape, "u1")

    @property
    def shape(self):
        """(nints, ngroups, ny, nx)."""
        return self.data.shape

    @property
    def nints(self):
        """The number of integrations of the exposure, also where this is a part of it."""
        return self.whole.shape[0] if self.whole else self.data.shape[0]

    @property
    def first(self):
        """The number of this ramp's first integration in the exposure, counted from 0."""
        return self.whole.first if self.whole else 0

    @property
    def window(self):
        """The (y, x) slices of the full detector that were read out, in science orientation.

        Interleaved reference pixels do not count.
        """
        rows, columns = super().window
        if rows.stop - rows.start == ROWS:
            rows = slice(rows.start, rows.start + LINES)
        return rows, columns
