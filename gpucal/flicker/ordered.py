"""Levels of images: median and scatter without outliers, found on values in ascending order.

Once values are sorted every median is one of them, every clip a pair of indices and every sum that of some blocks.
Source: Stetson 1987 (PASP 99, 191) for the clipping; the JWST documentation of clean_flicker_noise for the lower half.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gpucal.device import array_module
from gpucal.kernel import kernel

BLOCK = 2048  # values whose sums are kept
ROUNDS = 5  # of clipping
REACH = 3.0  # sigma
MEDIAN, SIGMA, MEAN, COUNT, LOW, HIGH = range(6)  # the columns of levels


class Ordered:
    """Sets of values in ascending order, (nsets, nvalues) float32, NaN behind, with a range in use of each."""

    def __init__(self, values):
        """Sort the values, in place."""
        xp = array_module(values)
        sort_last_axis(values)
        self.values = values
        self.offset = xp.zeros(len(values), "f4")
        self.range = xp.zeros((len(values), 2), "i8")
        self.range[:, 1] = values.shape[1] - xp.isnan(values).sum(axis=1)

    @property
    def any(self):
        """Which sets have a value in use: (nsets,) bool."""
        return self.range[:, 0] < self.range[:, 1]

    def clip(self, below, above, lower_half=False):
        """Narrow the range to what lies within so many sigma of the median; return the levels, (nsets, 6) float64.

        The columns are MEDIAN, SIGMA, MEAN, COUNT of what is left without outliers, and the limits LOW and HIGH.
        """
        xp = array_module(self.values)
        nsets, nvalues = self.values.shape
        sums = xp.empty((nsets, nvalues // BLOCK, 2))
        levels = xp.empty((nsets, 6))
        sum_blocks(self.values, self.offset, self.range, sums, length=BLOCK)
        clip_values(
            self.values, sums, self.offset, self.range, levels, length=BLOCK, rounds=ROUNDS, reach=REACH,
            lower_half=lower_half, below=below, above=above,
        )  # fmt: skip
        return levels

    def medians(self):
        """Return the median of each set's range, without the offset: (nsets,) float32; NaN where it is empty."""
        xp = array_module(self.values)
        first, last = self.range[:, 0], self.range[:, 1]
        inner = xp.clip(xp.stack([(first + last - 1) // 2, (first + last) // 2], 1), 0, self.values.shape[1] - 1)
        lower, upper = xp.take_along_axis(self.values, inner, 1).T
        return xp.where(self.any, (lower + upper) / np.float32(2), np.float32(np.nan))

    def ends(self):
        """Return the smallest and the largest value of each range, (nsets, 2) float32; (inf, -inf) of an empty one."""
        xp = array_module(self.values)
        at = xp.clip(self.range - xp.asarray([0, 1]), 0, max(self.values.shape[1] - 1, 0))
        ends = xp.take_along_axis(self.values, at, 1)
        return xp.where(self.any[:, None], ends, xp.asarray([np.inf, -np.inf], "f4"))


def sort_last_axis(values):
    """Sort an array upwards along its last axis, in place, NaN behind; on the CPU with all cores."""
    rows = values.reshape(-1, values.shape[-1])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = min(cores, len(rows), rows.size >> 16)
    if array_module(values) is not np or parts < 2:
        rows.sort(axis=-1)
        return
    with ThreadPoolExecutor(parts) as pool:  # NumPy sorts without holding Python's lock
        list(pool.map(lambda part: part.sort(axis=-1), np.array_split(rows, parts)))


@kernel
def sum_blocks(ordered, offset, range, sums, length):
    """Sum blocks of values, and their squares, as distances to the middle of the range in use."""
    for values, shift, (first, last), mine in zip(ordered, offset, range, sums, strict=True):
        middle = np.float64(values[(first + last) // 2] - shift) if first < last else 0.0
        distance = (values[: len(mine) * length] - shift).astype("f8").reshape(-1, length) - middle
        mine[:, 0], mine[:, 1] = distance.sum(axis=1), (distance * distance).sum(axis=1)


@kernel
def clip_values(ordered, sums, offset, range, levels, length, rounds, reach, lower_half, below, above):
    """Clip outliers off each set; write its levels, and keep the range within the limits."""
    levels[...] = np.nan
    for values, blocks, shift, mine, out in zip(ordered, sums, offset, range, levels, strict=True):
        if mine[0] >= mine[1]:
            continue
        whole = _Set(values, blocks, shift, length, *mine)
        found = _clipped(whole, rounds, reach)
        if lower_half:
            found = _clipped(_Mirrored(whole, found[MEDIAN]), rounds, reach)
        low, high = found[MEDIAN] - below * found[SIGMA], found[MEDIAN] + above * found[SIGMA]
        out[:6] = (*found, low, high)
        mine[:] = whole.kept(low, high).ends


def _clipped(whole, rounds, reach):
    left, low, high = whole, 0.0, 0.0
    for _ in range(rounds):
        median, sigma, _, count = left.level()
        low, high = median - reach * sigma, median + reach * sigma
        left = left.kept(low, high)
        if left.size in (count, 0):
            break
    return whole.kept(low, high).level()


def _root(variance):
    return np.sqrt(variance) if variance > 0 else variance if np.isnan(variance) else 0.0


class _Set:
    """A range of a set of values."""

    def __init__(self, values, blocks, shift, length, first, last, middle=None):
        self.rest = values, blocks, shift, length
        self.values, self.blocks, self.shift, self.length = self.rest
        self.ends = int(first), int(last)
        self.size = self.ends[1] - self.ends[0]
        self.middle = self.at((self.ends[0] + self.ends[1]) // 2) if middle is None else middle

    def at(self, i):
        """Values, float64."""
        return (self.values[i] - self.shift).astype("f8")

    def kept(self, low, high):
        """The part of the range within [low, high]."""
        here = self.at(slice(*self.ends))
        a = np.searchsorted(here, low) if low == low else here.size
        b = np.searchsorted(here, high, "right") if high == high else here.size
        return _Set(*self.rest, self.ends[0] + a, self.ends[0] + max(a, b), self.middle)

    def sums(self, a, b):
        """Sums over [a, b) of the distances to the middle, and of their squares, one after the other."""
        block, behind = -(-a // self.length), b // self.length
        head, tail = (block * self.length, behind * self.length) if block <= behind else (b, b)
        for k, power in ((0, 1), (1, 2)):
            parts = [self.at(slice(a, head)), self.at(slice(tail, b))]
            parts = [(p - self.middle) * (p - self.middle if power == 2 else 1.0) for p in parts]
            all_of_it = np.concatenate([[0.0], parts[0], self.blocks[block:behind, k], parts[1]])
            yield np.add.accumulate(all_of_it)[-1]

    def level(self):
        """Median, sigma, mean and count."""
        n, (first, last) = self.size, self.ends
        one, two = self.sums(first, last)
        with np.errstate(all="ignore"):
            mean = one / np.float64(n)
            sigma = _root(two / np.float64(n) - mean * mean)
        upper = self.at(min(first + n // 2, len(self.values) - 1))
        return upper if n % 2 else 0.5 * (upper + self.at(first + n // 2 - 1)), sigma, self.middle + mean, n


class _Mirrored:
    """The lower half of a set of values and its mirror image."""

    def __init__(self, whole, centre, low=None, high=None, end=None):
        self.whole, self.centre = whole, centre
        self.end = whole.kept(-np.inf, centre).ends[1] if end is None else end
        self.low, self.high = (whole.ends[0],) * 2 if low is None else (low, high)
        self.size = (self.end - self.low) + (self.end - self.high)

    def values(self):
        """What is left of both halves, in ascending order."""
        below = (self.whole.at(slice(self.low, self.end)) - self.centre) + self.centre
        above = (self.centre - self.whole.at(slice(self.high, self.end))) + self.centre
        return np.concatenate([below, above[::-1]])

    def kept(self, low, high):
        """The parts of both halves within [low, high]."""
        below = (self.whole.at(slice(self.low, self.end)) - self.centre) + self.centre
        above = (self.centre - self.whole.at(slice(self.high, self.end))) + self.centre
        a, b = np.searchsorted(below, low), np.searchsorted(-above, -high)
        return _Mirrored(self.whole, self.centre, self.low + int(a), self.high + int(b), self.end)

    def level(self):
        """Median, sigma, mean and count."""
        n, apart = np.float64(self.size), self.whole.middle - self.centre
        parts = []
        for first in (self.low, self.high):
            count = np.float64(self.end - first)
            one, two = self.whole.sums(first, self.end)
            parts.append((one + count * apart, (two + 2 * apart * one) + count * apart * apart))
        with np.errstate(all="ignore"):
            mean = (parts[0][0] - parts[1][0]) / n
            sigma = _root((parts[0][1] + parts[1][1]) / n - mean * mean)
        values, half = self.values(), self.size // 2
        median = values[half] if self.size % 2 else 0.5 * (values[half] + values[half - 1])
        return median, sigma, self.centre + mean, self.size
