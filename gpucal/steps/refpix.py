"""Refpix: remove the readout electronics' drifts, as the reference pixels at the detector's edges show them.

Source: the JWST documentation of the reference pixel correction.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from gpucal.detector import Frame
from gpucal.device import array_module
from gpucal.errors import Skip
from gpucal.kernel import kernel
from gpucal.model.collate import collated
from gpucal.model.superstripes import SuperstripeRamp
from gpucal.reference_pixels import four_outputs, miri_full, one_output, stripes
from gpucal.step import Step
from gpucal.stripes import Stripes


@dataclass(frozen=True)
class Refpix(Step):
    """Subtract each amplifier's reference level, even and odd columns apart, and the drift along its rows."""

    odd_even_columns: bool = True  # near infrared: even and odd columns have levels of their own
    use_side_ref_pixels: bool = True  # near infrared, four outputs: follow the drift from row to row
    side_smoothing_length: int = 11  # rows
    side_gain: float = 1.0  # fraction of the side signal to subtract
    odd_even_rows: bool = True  # MIRI: even and odd rows have levels of their own
    refpix_algorithm: Literal["median"] = "median"  # how the side pixels are smoothed
    siglimit: float = 3.0  # standard deviations; clipping of the reference pixels

    readouts: ClassVar = ("superstripes",)

    def process(self, ramp):
        """Correct every group, and zero frames as exposures of one group; a zero frame that is 0 stays 0."""
        if Stripes.of(ramp):
            return self._correct_stripes(ramp)
        frame = Frame.of(ramp)
        if frame.miri:
            self._correct_miri(ramp, frame)
            return ramp
        if not frame.contains_window:
            raise Skip("the subarray does not fit the detector")
        smoothing = 0
        if frame.is_full or ramp.need("exposure.noutputs") == 4:
            layout = four_outputs(ramp, frame, self.odd_even_columns)
            smoothing = self.side_smoothing_length if self.use_side_ref_pixels else 0
        else:
            layout = one_output(ramp, frame, self.odd_even_columns)
        # The official pipeline works in single precision until the first side correction has made its buffer double.
        everything = ramp.data.size
        self._correct(ramp.data, frame, layout, smoothing, single=1 if smoothing else everything)
        self._correct_zeroframe(ramp, frame, layout, smoothing, single=0 if smoothing else everything)
        return ramp

    def _correct_stripes(self, ramp):
        """Correct every group of every stripe; then superstripes need not be apart any longer."""
        frame = Frame.of_stripes(ramp)
        layout = stripes(ramp, frame, self.odd_even_columns)
        self._correct(ramp.data, frame, layout, smoothing=0, single=ramp.data.size)
        self._correct_zeroframe(ramp, frame, layout, smoothing=0, single=ramp.data.size)
        return collated(ramp) if isinstance(ramp, SuperstripeRamp) else ramp

    def _correct_zeroframe(self, ramp, frame, layout, smoothing, single):
        if ramp.zeroframe is not None:
            blank = ramp.zeroframe == 0
            self._correct(ramp.zeroframe, frame, layout, smoothing, single)
            ramp.zeroframe[blank] = 0

    def _correct_miri(self, ramp, frame):
        """Measure and correct the levels of a group relative to the first group of its integration."""
        if not frame.is_full:
            raise Skip("MIRI subarrays have no correction")
        layout = miri_full(ramp, frame, self.odd_even_rows)
        if (np.diff(layout.bounds) == 0).any():
            return
        first = ramp.data[:, :1].copy()
        ramp.data -= first
        for integration in ramp.data:
            self._correct(integration[1:], frame, layout, smoothing=0, single=integration.size)
        ramp.data += first

    def _correct(self, data, frame, layout, smoothing, single):
        """Correct (..., ny, nx) in place, the first `single` planes in single precision."""
        xp = array_module(data)
        planes = data.reshape(-1, *data.shape[-2:])
        if not layout.pixels.size or not len(planes):
            return
        pixels, bounds = xp.asarray(layout.pixels), xp.asarray(layout.bounds)
        means = xp.empty((len(planes), len(bounds) - 1))
        scratch = xp.empty((len(planes), len(pixels)))
        clip_means(planes, pixels, bounds, scratch, means, single=single, limit=self.siglimit)
        signals = average_edges(means.reshape(len(planes), layout.namps, 2, -1), single)
        side = None
        if smoothing:
            side = xp.empty((len(planes), frame.shape[0]))
            side_pixels, which = xp.asarray(layout.side_pixels), xp.asarray(layout.side_signals)
            box = xp.empty((*side.shape, smoothing * side_pixels.shape[2]))
            smooth_sides(planes, side_pixels, signals, which, box, side, smoothing=smoothing, single=single)
        subtract_references(
            planes, signals, side, **frame.places, width=layout.width, namps=layout.namps, by_row=layout.by_row,
            single=single, gain=self.side_gain,
        )  # fmt: skip


def average_edges(means, single):
    """Average the two edges of each amplifier: (nplanes, namps, 2 edges, parities) to (nplanes, namps * 2) signals.

    An edge without good pixels (NaN) counts not; an amplifier that lacks one parity at both edges gets no correction.
    """
    xp = array_module(means)
    a, b = means[:, :, 0], means[:, :, 1]
    both = 0.5 * (a + b)
    both[:single] = 0.5 * (a[:single].astype("f4") + b[:single].astype("f4"))
    signals = xp.where(xp.isnan(a), b, xp.where(xp.isnan(b), a, both))
    signals = xp.where(xp.isnan(signals).any(axis=-1, keepdims=True), 0.0, signals)
    return xp.ascontiguousarray(xp.broadcast_to(signals, (*signals.shape[:2], 2))).reshape(len(means), -1)


@kernel
def clip_means(planes, pixels, bounds, scratch, means, single, limit):
    """Write the sigma-clipped mean of each set of pixels in each plane; NaN for an empty set."""
    flat = planes.reshape(len(planes), -1)
    for plane, values in enumerate(flat):
        values = values[pixels].astype("f4" if plane < single else "f8")
        for which in range(len(bounds) - 1):
            means[plane, which] = _clip_mean(values[bounds[which] : bounds[which + 1]], limit)


def _clip_mean(values, limit):
    if not values.size:
        return np.nan
    while True:
        mean, reach = values.mean(), values.std() * values.dtype.type(limit)
        kept = values[(values >= mean - reach) & (values <= mean + reach)]
        if kept.size in (0, values.size):
            return mean
        values = kept


@kernel
def smooth_sides(planes, pixels, signals, which, scratch, side, smoothing, single):
    """Write the running median of the side pixels, averaged over the sides; 0 where neither has a good pixel."""
    nsides, nrows, _ = pixels.shape
    rows = np.arange(nrows + smoothing - 1) - smoothing // 2
    rows = np.where(rows < 0, -rows, np.where(rows >= nrows, 2 * (nrows - 1) - rows, rows))
    flat = planes.reshape(len(planes), -1)
    for plane, values in enumerate(flat):
        dtype = "f4" if plane < single else "f8"
        medians = np.full((nsides, nrows), np.nan)
        for s in range(nsides):
            there = values[pixels[s]].astype(dtype) - signals[plane, which[s]].astype(dtype)
            there = np.where(pixels[s] >= 0, there, np.nan).astype(dtype)[rows]
            boxes = np.lib.stride_tricks.sliding_window_view(there, smoothing, axis=0).reshape(nrows, -1)
            some = ~np.isnan(boxes).all(axis=1)
            medians[s, some] = np.nanmedian(boxes[some], axis=1)
        good = ~np.isnan(medians)
        total = np.where(good, medians, 0).sum(axis=0)
        side[plane] = np.where(good.sum(axis=0) == 2, 0.5 * total, total)


@kernel
def subtract_references(
    planes, signals, side, r0, ry, rx, c0, cy, cx, width, namps, by_row, single, gain
):  # fmt: skip
    """Subtract from every pixel the signal of its amplifier and parity, and of its row."""
    _, ny, nx = planes.shape
    y, x = np.mgrid[:ny, :nx]
    row, column = r0 + ry * y + rx * x, c0 + cy * y + cx * x
    index = column // width % namps * 2 + (row if by_row else column) % 2
    for i, plane in enumerate(planes):
        if i < single:
            value = plane - signals[i].astype("f4")[index]
        else:
            value = plane - signals[i][index]
        plane[...] = value if side is None else value - gain * side[i][row]
