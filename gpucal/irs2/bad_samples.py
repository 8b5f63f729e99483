"""Bad reference samples of the IRS2 readout: found by their statistics or listed, and replaced by their neighbours'."""

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.dq import PIXEL
from gpucal.irs2.geometry import OUTPUTS, PERIOD, SAMPLES
from gpucal.irs2.weights import listed_columns
from gpucal.kernel import kernel


def flag_bad_samples(ramp, readout, limit):
    """Flag rows of reference samples whose two reads of a pixel differ, or which are high or noisy.

    limit: standard deviations above the mean of the output's other pairs. A row that is flagged BAD_REF_PIXEL anywhere
    is bad as a whole. Returns the bad rows: (3200) bool.
    """
    before = _flagged_rows(ramp)
    xp = array_module(ramp.data)
    pairs = readout.pairs
    statistics = [xp.empty((ramp.shape[0], pairs.size), "f4") for _ in range(3)]
    measure_pairs(ramp.data, xp.asarray(pairs.ravel()), *statistics)
    bad = before.copy()
    for values in np.stack([to_host(s) for s in statistics], axis=1).reshape(-1, OUTPUTS, SAMPLES // PERIOD * 2):
        for first, mine in zip(pairs, values, strict=True):
            good = ~(before[first] | before[first + 1])
            high = first[good][_stand_out(mine[good], limit)]
            bad[high] = bad[high + 1] = True
    ramp.pixeldq[xp.asarray(np.flatnonzero(bad))] |= xp.uint32(PIXEL.BAD_REF_PIXEL | PIXEL.DO_NOT_USE)
    return bad


def _stand_out(values, limit):
    """Tell which values are too far above the clipped mean of all."""
    if not values.size:
        return np.zeros(0, bool)
    from astropy.stats import sigma_clipped_stats

    mean, _, deviation = sigma_clipped_stats(values, sigma=limit)
    return values - mean > limit * deviation


def replace_bad_samples(ramp, bad, readout):
    """Replace the bad rows, (3200) bool, in all groups."""
    for output in range(OUTPUTS):
        first, last = output * SAMPLES, (output + 1) * SAMPLES
        for row in first + np.flatnonzero(bad[first:last]):
            _replace(ramp.data, row, bad, readout.is_interleaved, first, last)


def replace_listed_samples(ramp, refpix, readout):
    """Replace the reference samples that a REFPIX file lists as bad, where that has not been done yet."""
    turn = slice(None, None, -1) if readout.reverse else slice(None)
    data = ramp.data[:, :, turn]  # rows in the order of the columns in detector orientation
    bad = _flagged_rows(ramp)[turn].copy()
    for output, columns in listed_columns(refpix):
        fresh = [column for column in columns if not bad[column]]
        bad[fresh] = True
        for column in fresh:
            _replace(data, column, bad, readout.is_interleaved, output * SAMPLES, (output + 1) * SAMPLES)


def _flagged_rows(ramp):
    return to_host((ramp.pixeldq & PIXEL.BAD_REF_PIXEL != 0).any(axis=1))


def _replace(data, row, bad, interleaved, first, last):
    """Put in for a row the mean of the same samples one period before and after, as far as they are good.

    If neither is, the good pixel next to it in the same interruption; or 0, which is interpolated later. Only rows of
    the same output count, from first to last.
    """
    near = [r for r in (row - PERIOD, row + PERIOD) if first <= r < last and not bad[r]]
    if not near:
        near = [r for r in (row - 2, row + 2) if first <= r < last and interleaved[r] and not bad[r]][:1]
    if len(near) == 2:
        data[:, :, row] = (data[:, :, near[0]] + data[:, :, near[1]]) / 2
    else:
        data[:, :, row] = data[:, :, near[0]] if near else 0


@kernel
def measure_pairs(ramp, pairs, differences, means, deviations):
    """Write, for each integration and pair of rows, the mean size of the differences, the mean, and the scatter."""
    for integration, groups in enumerate(ramp):
        for i, row in enumerate(pairs):
            both = groups[:, row : row + 2]
            differences[integration, i] = np.abs(both[:, 1] - both[:, 0]).mean()
            means[integration, i] = both.mean()
            deviations[integration, i] = both.std()
