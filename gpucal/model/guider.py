"""GuiderRamp and GuiderRate: exposures of the fine guidance sensor that find and follow a guide star."""

from typing import Any

from gpucal.device import array_module
from gpucal.model.base import Exposure

EXP_TYPES = {"FGS_ID-IMAGE", "FGS_ID-STACK", "FGS_ACQ1", "FGS_ACQ2", "FGS_TRACK", "FGS_FINEGUIDE"}

DETECTOR = 2048  # pixels along each side


class _Guider(Exposure):
    arrays = {"data": "SCI", "err": "ERR", "dq": "DQ"}
    tables = ("planned_star_table", "flight_star_table", "pointing_table", "centroid_table", "track_sub_table")
    readout = "guider"

    data: Any
    err: Any
    dq: Any

    def __init__(self, tree, source="", **arrays):
        super().__init__(tree, source, **arrays)
        xp = array_module(self.data)
        if self.dq is None:
            self.dq = xp.zeros(self.data.shape[-2:], "u4")
        if self.err is None:
            self.err = xp.zeros(self.data.shape, "f4")

    @property
    def window(self):
        """The (y, x) slices of the detector that were read out; None if strips were stacked beyond its edges."""
        rows, columns = super().window
        stacked = "STACK" in str(self.meta.exposure.type)
        return None if stacked and max(rows.stop, columns.stop) > DETECTOR else (rows, columns)


class GuiderRamp(_Guider):
    """Counts of a guider exposure.

    data: (nints, ngroups, ny, nx) float32, DN. err: the same, 0. dq: (ny, nx) uint32.
    """

    tree_class = "GuiderRawModel"
    suffix = "ramp"
    is_ramp = True


class GuiderRate(_Guider):
    """Count rates of a guider exposure: data and err (nints, ny, nx) float32, DN/s; dq (ny, nx) uint32."""

    tree_class = "GuiderCalModel"
    suffix = "cal"
