"""The reference output's samples, filtered where another was read or none: what its drift was at every moment."""

import functools

import numpy as np

from gpucal.device import array_module
from gpucal.irs2.geometry import LINES, SLOTS, SLOTS_OF_PERIOD
from gpucal.irs2.spectrum import arranged, series, spectrum
from gpucal.kernel import kernel

FULL, TAPER = 30268, 5000  # frequencies that pass whole, and those over which a filter's edge extends
ROUNDS = 3  # of filtering
WINDOW = 31  # samples; of the weighted mean that fills gaps at first
NORMAL_SLOTS = slice(0, 8), slice(14, 22)  # of a period


def filtered(output):
    """Return the (nlines, nslots) samples of the reference output with what is not a normal sample interpolated.

    First by a weighted mean of the neighbours, then by passing only the lowest and the highest frequencies, with the
    normal samples put back after each of three rounds.
    """
    xp = array_module(output)
    known = xp.empty_like(output)
    fill_gaps(output.reshape(-1), xp.asarray(bell()), known.reshape(-1))
    passing = _passing(xp)
    result = known
    for _ in range(ROUNDS):
        frequencies = spectrum(result)
        parts = frequencies.view("f4")
        parts *= passing
        result = series(frequencies, LINES)
        samples, true = periods(result), periods(known)
        for slots in NORMAL_SLOTS:
            samples[..., slots] = true[..., slots]
    return result


def periods(slots):
    """A view of the last axis as periods, without the slots between two lines."""
    return slots[..., : SLOTS // SLOTS_OF_PERIOD * SLOTS_OF_PERIOD].reshape(*slots.shape[:-1], -1, SLOTS_OF_PERIOD)


def bell():
    """Return the weights, float64, of the mean that first fills a gap: half a period of a sine, rounded to single."""
    places = np.arange(1, WINDOW + 1, dtype="f4") / np.float32(WINDOW + 1)
    return np.sin(places * np.float32(np.pi)).astype("f8")


@functools.lru_cache(maxsize=2)
def _passing(xp):
    """Return how much of each frequency passes the filter, float32, in a spectrum's arrangement of pairs of parts."""
    half = LINES * SLOTS // 2
    down = (np.cos(np.arange(TAPER) * (np.pi / TAPER)) + 1) / 2
    edge = np.concatenate([np.ones(FULL), down])
    lower = np.concatenate([edge, np.zeros(half - 2 * edge.size), edge[::-1]])
    upper = np.concatenate([lower[:1], lower[:0:-1]])
    return xp.asarray(np.repeat(arranged(np.concatenate([lower, upper]), LINES).astype("f4"), 2, axis=-1))


@kernel
def fill_gaps(samples, weights, filled):
    """Replace samples that are 0 by the weighted mean of those around that are not."""
    half = len(weights) // 2
    total, weight = np.zeros(samples.shape), np.zeros(samples.shape)
    for shift in [half, *range(-half, half)]:
        there = np.roll(samples, -shift)
        total += there * weights[half - shift]
        weight += (there != 0) * weights[half - shift]
    total, weight = total.astype("f4"), weight.astype("f4")
    mean = np.where(weight == 0, 0, total) / np.where(weight == 0, np.float32(1), weight)
    filled[...] = np.where(samples != 0, samples, mean)
