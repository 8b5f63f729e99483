"""Differences: the steps of a ramp from group to group, in electrons, as the kernels' twins work with them.

The same as in kernels/differences.cuh.
"""

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP

FEW = 64  # differences that a kernel keeps without scratch memory
SCRATCH = 64 * 2**20  # bytes
BAD = GROUP.DO_NOT_USE | GROUP.SATURATED


def pixel_chunks(ramp, few=FEW):
    """Yield (first pixel, scratch memory for the differences of some pixels) until all pixels are served.

    Up to `few` differences need no scratch memory, and all pixels come at once.
    """
    xp = array_module(ramp.data)
    nints, ngroups, ny, nx = ramp.shape
    differences = nints * (ngroups - 1)
    if differences <= few:
        yield 0, xp.empty((ny * nx, 0), "f4")
        return
    count = min(ny * nx, max(1, SCRATCH // (4 * differences)))
    scratch = xp.empty((count, differences), "f4")
    for start in range(0, ny * nx, count):
        yield start, scratch[: ny * nx - start]


def part(array, start, scratch):
    """Return the pixels that scratch serves, as a view with one pixel axis."""
    return array.reshape(*array.shape[:2], -1)[..., start : start + len(scratch)]


def differences(ramp, groupdq, gain, start, scratch):
    """Return the differences of consecutive groups, electron, float32; NaN where one of the two is not used."""
    electrons = part(ramp, start, scratch) * gain.reshape(-1)[start : start + len(scratch)]
    electrons[part(groupdq, start, scratch) & BAD != 0] = np.nan
    return np.diff(electrons, axis=1)


def noise_of(gain, readnoise, start, scratch):
    """Return the square of the read noise of the difference of two frames, electron^2."""
    noise = readnoise.reshape(-1)[start : start + len(scratch)] * gain.reshape(-1)[start : start + len(scratch)]
    return (noise * noise).astype("f8")


def scatter(median, noise, nframes):
    """Return the expected scatter of a difference, electron; NaN instead of 0."""
    sigma = np.sqrt(np.abs(median) + noise / nframes)
    return np.where(sigma == 0, np.nan, sigma)


def ratio_of(ramp, groupdq, gain, readnoise, scratch, start, nframes):
    """Return the differences, and how far they are from their pixel's median in units of the expected scatter."""
    difference = differences(ramp, groupdq, gain, start, scratch).astype("f8")
    median = median_of(difference.reshape(-1, difference.shape[-1]))
    return difference, np.abs(difference - median) / scatter(median, noise_of(gain, readnoise, start, scratch), nframes)


def clipping_limits(values, threshold, rounds):
    """Return the limits, median +- threshold * standard deviation, that clipping along the first axis ends with."""
    kept = np.isfinite(values)
    low, high = np.full(values.shape[1:], -np.inf), np.full(values.shape[1:], np.inf)
    done = ~kept.any(axis=0)
    for _ in range(rounds):
        count = np.maximum(kept.sum(axis=0), 1)
        inside = np.where(kept, values, 0.0)
        mean = np.add.accumulate(inside, axis=0)[-1] / count
        squares = np.where(kept, (values - mean) * (values - mean), 0.0)
        reach = threshold * np.sqrt(np.add.accumulate(squares, axis=0)[-1] / count)
        middle = median_of(np.where(kept, values, np.nan))
        low, high = np.where(done, low, middle - reach), np.where(done, high, middle + reach)
        still = kept & (values >= low) & (values <= high)
        done |= (still.sum(axis=0) == kept.sum(axis=0)) | ~still.any(axis=0)
        kept = np.where(done, kept, still)
    return low, high


def median_of(values):
    """Return the median along the first axis of what is not NaN; NaN where nothing is left."""
    ordered = np.sort(values, axis=0)
    count = (~np.isnan(values)).sum(axis=0)
    upper = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1)[None], axis=0)[0]
    lower = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.where(count == 0, np.nan, (lower + upper) / 2)
