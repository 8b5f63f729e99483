"""Subtract what the reference output and the interleaved reference samples tell of the electronics' drifts.

The samples of a group are put in the order of time, gaps included. For each amplifier, the spectra of the reference
output and of its own reference samples are weighted frequency by frequency; their sum, back in time, is subtracted.

Source: B. J. Rauscher et al. 2017, PASP 129, 105003; the JWST documentation of the reference pixel correction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucal.device import array_module
from gpucal.irs2.geometry import LINES, OUTPUTS, REFERENCE, SAMPLES, SLOTS, Readout
from gpucal.irs2.reference_output import filtered, periods
from gpucal.irs2.spectrum import series, spectrum
from gpucal.irs2.weights import Weights
from gpucal.kernel import kernel

EDGE = 4  # lines of reference pixels at either end
OWN_SLOTS = slice(7, 15), [0, 2, 0, 2, 1, 3, 1, 3]  # of a period, and the reference samples that serve in them


def subtract_drifts(ramp, weights, readout, preserve):
    """Correct all groups; trim the frames to 2048 rows unless the reference samples are to be preserved.

    The trimmed arrays lie at the beginning of the memory of those before. Preserved reference samples lose the mean of
    their integration, those of the reference output are filtered.
    """
    xp = array_module(ramp.data)
    nints, ngroups, nrows, nx = ramp.shape
    kept = np.arange(nrows) if preserve else readout.normal
    plan = Plan.of(xp, readout, kept, weights)
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
    weights: Weights
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
        periods(spread)[:, to] = np.arange(own.shape[1] - 1).reshape(-1, REFERENCE)[:, taken]
        place = np.full(len(slots), -1, "i4")
        place[kept] = np.arange(len(kept))
        rows = np.array([[row for row in rows if place[row] >= 0] for rows in order[1:]], "i4")
        tables = {
            "source": source, "own": own, "spread": spread, "order": order, "slots": slots, "rows": rows,
            "places": place[rows], "with_mean": readout.is_normal[rows].astype("u1"),
        }  # fmt: skip
        filled = place[order[0]] if place[order[0]].min() >= 0 else None
        return cls(readout, weights, filled=filled, **{name: xp.asarray(table) for name, table in tables.items()})

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
    for into, rows, (offset, slope) in zip(in_time, source, line, strict=True):
        frame = _levelled(
            group[rows], mean[rows], offset, slope, _time(nx, per_line, at, slots[rows][:, None]), reverse
        )
        into[...] = np.where(rows < 0, np.float32(0), frame.T)


def _levelled(counts, mean, offset, slope, time, reverse):
    signal = (counts - mean).astype("f4")
    signal = signal[:, ::-1] if reverse else signal
    return np.where(signal == 0, signal, signal - (offset + time * slope))


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
