"""Subtract what the reference output and the interleaved reference samples tell of the electronics' drifts.

The samples of a group are put in the order of time, gaps included. For each amplifier, the spectra of the reference
output and of its own reference samples are weighted frequency by frequency; their sum, back in time, is subtracted.

Source: B. J. Rauscher et al. 2017, PASP 129, 105003; the JWST documentation of the reference pixel correction.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucal.device import array_module
from gpucal.irs2.geometry import LINES, OUTPUTS, REFERENCE, SAMPLES, SLOTS, SLOTS_OF_PERIOD, Readout
from gpucal.irs2.spectrum import arranged, series, spectrum
from gpucal.irs2.weights import weights
from gpucal.kernel import kernel

EDGE = 4  # lines of reference pixels at either end
FULL, TAPER = 30268, 5000  # frequencies that pass whole, and those over which a filter's edge extends
ROUNDS = 3  # of filtering
WINDOW = 31  # samples; of the weighted mean that fills gaps at first
NORMAL_SLOTS = slice(0, 8), slice(14, 22)  # of a period
OWN_SLOTS = slice(7, 15), [0, 2, 0, 2, 1, 3, 1, 3]  # of a period, and the reference samples that serve in them


def subtract_drifts(ramp, refpix, readout, preserve):
    """Correct all groups; trim the frames to 2048 rows unless the reference samples are to be preserved.

    The trimmed arrays lie at the beginning of the memory of those before. Preserved reference samples lose the mean of
    their integration, those of the reference output are filtered.
    """
    xp = array_module(ramp.data)
    nints, ngroups, nrows, nx = ramp.shape
    kept = np.arange(nrows) if preserve else readout.normal
    plan = Plan.of(xp, readout, kept, weights(refpix))
    mean = xp.empty((nrows, nx))
    lines = xp.empty((ngroups, OUTPUTS, 2), "f4")
    frame = xp.empty((len(kept), nx), "f4")
    corrected = ramp.data.reshape(-1)[: nints * ngroups * frame.size].reshape(nints, ngroups, *frame.shape)
    for integration, target in zip(ramp.data, corrected, strict=True):
        average_groups(integration, mean)
        values, times = xp.empty((2, ngroups, OUTPUTS, 2 * EDGE * SAMPLES), "f4")
        fit_lines(
            integration, mean, plan.order, plan.slots, values, times, lines,
            nslots=SLOTS, edge=EDGE, reverse=readout.reverse,
        )  # fmt: skip
        for group, line, place in zip(integration, lines, target, strict=True):
            plan.correct(group, mean, line, frame)
            place[...] = frame  # what lies there has been corrected
    ramp.data = corrected
    if not preserve:
        ramp.groupdq = trimmed(ramp.groupdq, readout)
        ramp.pixeldq = ramp.pixeldq[xp.asarray(readout.normal)]


def trimmed(planes, readout):
    """Return the normal rows of (nints, ngroups, 3200, nx) planes, at the beginning of their memory."""
    xp = array_module(planes)
    normal = xp.asarray(readout.normal)
    *several, _, nx = planes.shape
    packed = planes.reshape(-1)[: planes.size // planes.shape[-2] * len(normal)].reshape(*several, len(normal), nx)
    for old, new in zip(planes.reshape(-1, *planes.shape[-2:]), packed.reshape(-1, len(normal), nx), strict=True):
        new[...] = old[normal]
    return packed


@dataclass(frozen=True)
class Plan:
    """The tables of a readout on the device, and what is used for group after group."""

    readout: Readout
    weights: Any
    source: Any  # (1, 712) the row of the reference output whose sample goes into a slot; -1 for none
    own: Any  # (4, 129) the rows of an amplifier's reference samples; -1 at the end
    spread: Any  # (712) which of them goes into a slot
    order: Any  # (5, 640) the rows in the order of time
    slots: Any  # (3200)
    rows: Any  # (noutputs, n) the rows to correct, of each output but the reference output
    places: Any  # (noutputs, n) where they are in the corrected frame
    with_mean: Any  # (noutputs, n) whether they get back the mean of the groups
    filled: Any  # rows of the reference output in the corrected frame, or None

    @classmethod
    def of(cls, xp, readout, kept, weights):
        """Prepare to correct the rows that are kept."""
        slots, order = readout.slots, readout.order
        source = np.full((1, SLOTS), -1, "i4")
        source[0, slots[order[0]]] = order[0]
        own = np.array([[row for row in rows if readout.is_interleaved[row]] + [-1] for rows in order[1:]], "i4")
        spread = np.full(SLOTS, own.shape[1] - 1, "i4")
        to, taken = OWN_SLOTS
        _periods(spread)[:, to] = np.arange(own.shape[1] - 1).reshape(-1, REFERENCE)[:, taken]
        place = np.full(len(slots), -1, "i4")
        place[kept] = np.arange(len(kept))
        rows = np.array([[row for row in rows if place[row] >= 0] for rows in order[1:]], "i4")
        tables = (source, own, spread, order, slots, rows, place[rows], readout.is_normal[rows].astype("u1"))
        filled = place[order[0]] if place[order[0]].min() >= 0 else None
        return cls(readout, weights, *(xp.asarray(table) for table in tables), filled)

    def correct(self, group, mean, line, frame):
        """Write the corrected frame of one group, given as (3200, nx)."""
        xp = array_module(group)
        reverse = self.readout.reverse
        samples = []
        for coefficients, rows in ((line[:1], self.source), (line[1:], self.own)):
            in_time = xp.empty((len(rows), LINES, rows.shape[1]), "f4")
            order_in_time(
                group, mean, coefficients, rows, self.slots, in_time, per_line=SLOTS, reverse=reverse
            )  # fmt: skip
            samples.append(in_time)
        reference_output = filtered(samples[0][0])
        own = spectrum(samples[1], self.spread)
        parts = (*own.shape, 2)
        mix_spectra(
            own.view("f4").reshape(parts), spectrum(reference_output).view("f4").reshape(parts[1:]),
            self.weights.own.view("f4").reshape(parts), self.weights.output.view("f4").reshape(parts),
        )  # fmt: skip
        subtract_series(
            group, mean, line, self.slots, series(own, LINES), self.rows, self.places, self.with_mean, frame,
            reverse=reverse,
        )  # fmt: skip
        if self.filled is not None:
            rows = self.order[0]
            samples = reference_output[:, self.slots[rows]].T[:, :: -1 if reverse else 1]
            frame[xp.asarray(self.filled)] = samples + mean[rows]


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
        samples, true = _periods(result), _periods(known)
        for slots in NORMAL_SLOTS:
            samples[..., slots] = true[..., slots]
    return result


def _periods(slots):
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


# -- the twins of the kernels


@kernel
def average_groups(ramp, mean):
    """Write the mean of the groups in double precision."""
    mean[...] = ramp.sum(axis=0, dtype="f8") / float(len(ramp))


@kernel
def fit_lines(ramp, mean, order, slots, values, times, lines, nslots, edge, reverse):
    """Fit a straight line to each output's samples in the first and last lines of a group."""
    nx = ramp.shape[2]
    read = np.r_[:edge, nx - edge : nx]
    for group, line in zip(ramp, lines, strict=True):
        for output, rows in enumerate(order):
            at = np.ix_(rows, nx - 1 - read if reverse else read)
            signal = (group[at] - mean[at]).astype("f4").T
            time = _time(nx, nslots, read[:, None], slots[rows])
            there = signal != 0
            line[output] = _line(time[there], signal[there])


def _line(x, y):
    """The intercept and the slope of the least-squares line, in single precision."""
    if not x.size:
        return 0, 0
    n = np.float32(x.size)
    mean_x, mean_y = x.mean(), y.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = ((x * y).sum() - n * mean_x * mean_y) / ((x * x).sum() - n * (mean_x * mean_x))
        return mean_y - slope * mean_x, slope


def _time(nlines, nslots, line, slot):
    """The time of a sample from the middle of the frame, in samples."""
    return (line * nslots + slot).astype("f4") - np.float32((nlines * nslots - 1) / 2)


@kernel
def order_in_time(group, mean, line, source, slots, in_time, per_line, reverse):
    """Put samples of a group, their mean and line subtracted, into each output's lines; 0 where there is none."""
    nx = in_time.shape[1]
    at = np.arange(nx)
    for series, rows, (offset, slope) in zip(in_time, source, line, strict=True):
        frame = _levelled(group[rows], mean[rows], offset, slope, _time(nx, per_line, at, slots[rows][:, None]), reverse)
        series[...] = np.where(rows < 0, np.float32(0), frame.T)


def _levelled(counts, mean, offset, slope, time, reverse):
    signal = (counts - mean).astype("f4")
    signal = signal[:, ::-1] if reverse else signal
    return np.where(signal == 0, signal, signal - (offset + time * slope))


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


@kernel
def mix_spectra(own, output, own_weights, output_weights):
    """Replace spectra by weight * own + weight * that of the reference output; real and imaginary parts take turns."""
    a, b = _times(own_weights, own), _times(output_weights, output)
    own[...] = a + b


def _times(u, v):
    product = np.empty(u.shape, "f4")
    product[..., 0] = u[..., 0] * v[..., 0] - u[..., 1] * v[..., 1]
    product[..., 1] = u[..., 0] * v[..., 1] + u[..., 1] * v[..., 0]
    return product


@kernel
def subtract_series(group, mean, line, slots, series, rows, places, with_mean, frame, reverse):
    """Write each row's samples, less their line and their amplifier's drift, plus, if they have it, their mean."""
    nx, nslots = series.shape[1:]
    at = np.arange(nx)
    for k, drift in enumerate(series):
        mine, (offset, slope) = rows[k], line[k + 1]
        time = _time(nx, nslots, at, slots[mine][:, None])
        value = _levelled(group[mine], mean[mine], offset, slope, time, reverse) - drift[:, slots[mine]].T
        value = value[:, ::-1] if reverse else value
        frame[places[k]] = np.where(with_mean[k][:, None] != 0, value + mean[mine], value)
