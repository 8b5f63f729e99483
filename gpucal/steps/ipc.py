"""IPC: put back the charge signal that leaked into neighbouring pixels through interpixel capacitance."""

from dataclasses import dataclass

from gpucal.device import array_module
from gpucal.kernel import kernel
from gpucal.step import Step

CHUNK = 32 * 2**20  # bytes; planes convolved at a time, so that their copy stays small


@dataclass(frozen=True)
class Ipc(Step):
    """Convolve every group's science pixels with the reference kernel; reference pixels and zero frames stay."""

    def process(self, ramp, ipc):
        """Convolve in place, a few planes at a time."""
        per_pixel = len(ipc.shape()) == 4
        matrix = ipc.data if per_pixel else ipc.whole()[:, :, None]
        _, _, ny, nx = ramp.shape
        (y0, y1), (x0, x1) = science_area(ramp)
        planes = ramp.data.reshape(-1, ny, nx)
        step = max(1, CHUNK // planes[0].nbytes)
        copy = array_module(planes).empty_like(planes[:step])
        for first in range(0, len(planes), step):
            part = planes[first : first + step]
            measured = copy[: len(part)]
            measured[...] = part
            correct_ipc(measured, part, matrix, y0=y0, y1=y1, x0=x0, x1=x1)
        return ramp


def science_area(ramp):
    """Return ((y0, y1), (x0, x1)), the rows and columns of the ramp that are not reference pixels.

    Four columns at each side of the detector are reference pixels, and, but for MIRI, four rows at each end.
    """
    miri = ramp.need("instrument.name") == "MIRI"
    edges = []
    for window, size, border in zip(
        ramp.window, (1024, 1032) if miri else (2048, 2048), (0, 4) if miri else (4, 4), strict=True
    ):
        first = max(0, border - window.start)
        last = window.stop - window.start - max(0, window.stop - (size - border))
        edges.append((first, last))
    return edges


@kernel
def correct_ipc(measured, corrected, kernel, y0, y1, x0, x1):
    """Convolve the science area of every plane, the centre of the kernel last."""
    nplanes, ny, nx = measured.shape
    nj, ni = kernel.shape[:2]
    cj, ci = nj // 2, ni // 2
    import numpy as np

    padded = np.zeros((nplanes, y1 - y0 + 2 * cj, x1 - x0 + 2 * ci), "f4")
    padded[:, cj : cj + y1 - y0, ci : ci + x1 - x0] = measured[:, y0:y1, x0:x1]
    total = np.zeros((nplanes, y1 - y0, x1 - x0), "f4")
    taps = [(j, i) for j in range(nj) for i in range(ni) if (j, i) != (cj, ci)] + [(cj, ci)]
    for j, i in taps:
        v, u = 2 * cj - j, 2 * ci - i
        tap = kernel[j, i, 0] if kernel[j, i].size == 1 else kernel[j, i].reshape(ny, nx)[y0:y1, x0:x1]
        total += tap * padded[:, v : v + y1 - y0, u : u + x1 - x0]
    corrected[:, y0:y1, x0:x1] = total
