"""Room for slopes and for the work on them: what the algorithms of ramp_fit share."""

from gpucal.device import array_module

FEW = 64  # groups (or integrations) that a kernel handles without scratch memory; the same as in the kernels
SCRATCH = 64 * 2**20  # bytes
LANES = 16  # pixels that a kernel may work on together; the same as in kernels/gpucal.cuh


def empty_products(ramp):
    """Return two lists of arrays, for the exposure and its integrations: rate, err, two variances, flags."""
    xp = array_module(ramp.data)
    nints, _, ny, nx = ramp.shape
    return [[xp.empty(shape, dtype) for dtype in ("f4",) * 4 + ("u4",)] for shape in ((ny, nx), (nints, ny, nx))]


def scratch_chunks(ramp, length, few=FEW, each=1, dtype="f8"):
    """Yield (first pixel, scratch memory for some pixels), `each` numbers for each of the `length` groups of a pixel.

    Up to `few` groups need no scratch memory, and all pixels come at once. Behind the last pixel's there is memory for
    as many as fill a tile of the kernel.
    """
    xp = array_module(ramp.data)
    npix = ramp.pixeldq.size
    if length <= few:
        yield 0, xp.empty((npix, 0), dtype)
        return
    count = -(-min(npix, max(1, SCRATCH // (8 * each * length))) // LANES) * LANES
    scratch = xp.empty((count, each * length), dtype)
    for start in range(0, npix, count):
        yield start, scratch[: npix - start]
