"""IPC: put back the charge signal that leaked into neighbouring pixels through interpixel capacitance."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module
from gpucal.errors import Skip
from gpucal.irs2 import Readout, is_irs2
from gpucal.kernel import kernel
from gpucal.step import Step
from gpucal.stripes import Stripes

CHUNK = 32 * 2**20  # bytes; planes convolved at a time, so that their copy stays small


@dataclass(frozen=True)
class Ipc(Step):
    """Convolve every group's science pixels with the reference kernel; reference pixels and zero frames stay."""

    scope: ClassVar = "integration"
    readouts: ClassVar = ("superstripes",)

    def process(self, ramp, ipc):
        """Convolve in place, a few planes at a time; of IRS2 frames the normal rows alone.

        Stripes are taken for one window, as in the official pipeline.
        """
        rows, columns = science_area(ramp)
        if Stripes.of(ramp) and (rows.start == rows.stop or columns.start == columns.stop):
            raise Skip("the subarray does not fit the detector")
        matrix = kernel_of(ipc, ramp)
        nj, ni = matrix.shape[:2]
        height, width = rows.stop - rows.start, columns.stop - columns.start
        planes = ramp.data.reshape(-1, *ramp.shape[2:])
        xp = array_module(planes)
        normal = xp.asarray(Readout.of(ramp).normal) if is_irs2(ramp) else None
        step = max(1, CHUNK // planes[0].nbytes)
        padded = xp.zeros((min(step, len(planes)), height + nj - 1, width + ni - 1), "f4")
        inside = slice(nj - 1 - nj // 2, nj - 1 - nj // 2 + height), slice(ni - 1 - ni // 2, ni - 1 - ni // 2 + width)
        for first in range(0, len(planes), step):
            part = whole = planes[first : first + step]
            if normal is not None:
                part = whole[:, normal]
            measured = padded[: len(part)]
            measured[:, inside[0], inside[1]] = part[:, rows, columns]
            correct_ipc(measured, part, matrix, height=height, width=width, y0=rows.start, x0=columns.start)
            if normal is not None:
                whole[:, normal] = part
        return ramp


def kernel_of(ipc, ramp):
    """Return the kernel, (nj, ni, 1), or one for every pixel of the exposure, (nj, ni, ny, nx)."""
    if len(ipc.shape()) == 2:
        return ipc.whole()[:, :, None]
    if Stripes.of(ramp):
        return array_module(ramp.data).ascontiguousarray(ipc.whole()[(..., *ramp.window)])
    return ipc.data


def science_area(ramp):
    """Return the (rows, columns) of the ramp, as slices, that are not reference pixels.

    Four columns at each side of the detector are reference pixels, and, but for MIRI, four rows at each end.
    """
    miri = ramp.need("instrument.name") == "MIRI"
    edges = []
    for window, size, border in zip(
        ramp.window, (1024, 1032) if miri else (2048, 2048), (0, 4) if miri else (4, 4), strict=True
    ):
        first = max(0, border - window.start)
        last = window.stop - window.start - max(0, window.stop - (size - border))
        edges.append(slice(first, max(first, last)))
    return edges


@kernel
def correct_ipc(measured, corrected, kernel, height, width, y0, x0):
    """Convolve the planes, the centre of the kernel last."""
    nj, ni = kernel.shape[:2]
    centre = nj // 2, ni // 2
    total = np.zeros((len(measured), height, width), "f4")
    for j, i in [tap for tap in np.ndindex(nj, ni) if tap != centre] + [centre]:
        v, u = nj - 1 - j, ni - 1 - i
        tap = kernel[j, i].reshape(-1)[0] if kernel[j, i].size == 1 else kernel[j, i].reshape(corrected.shape[1:])
        if np.ndim(tap):
            tap = tap[y0 : y0 + height, x0 : x0 + width]
        total += tap * measured[:, v : v + height, u : u + width]
    corrected[:, y0 : y0 + height, x0 : x0 + width] = total
