"""Refpix: remove the readout electronics' drifts, as the reference pixels at the detector's edges show them.

Source: the JWST documentation of the reference pixel correction.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from gpucal import sirs
from gpucal.detector import Frame
from gpucal.device import array_module
from gpucal.errors import InputError, ReferenceFileError, Skip
from gpucal.irs2 import Readout, is_irs2
from gpucal.irs2.bad_samples import flag_bad_samples, replace_bad_samples, replace_listed_samples
from gpucal.irs2.correction import subtract_drifts
from gpucal.irs2.geometry import LINES
from gpucal.irs2.weights import weights
from gpucal.kernel import kernel
from gpucal.model.collate import collated
from gpucal.model.outline import with_rows
from gpucal.model.superstripes import SuperstripeRamp
from gpucal.reference_pixels import EDGE, four_outputs, interleaved, miri_full, one_output, stripes
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
    ovr_corr_mitigation_ftr: float = 3.0  # standard deviations; IRS2: from where on a reference sample is bad
    preserve_irs2_refpix: bool = False  # IRS2: leave the reference samples in the frames
    irs2_mean_subtraction: bool = False  # IRS2: subtract each output's reference level first
    refpix_algorithm: Literal["median", "sirs"] = "median"  # how the side pixels of full frames are smoothed
    sigreject: float = 4.0  # SIRS: standard deviations; clipping of the side pixels
    gaussmooth: float = 1.0  # SIRS: rows; standard deviation of the low-pass filter
    halfwidth: int = 30  # SIRS: rows; half the length of the kernels
    siglimit: float = 3.0  # standard deviations; clipping of the reference pixels

    scope: ClassVar = "integration"
    readouts: ClassVar = ("superstripes",)

    def uses(self, reftype, model):
        """Only IRS2 frames take a REFPIX reference, only full frames of the other readouts a SIRSKERNEL."""
        if reftype == "refpix":
            return is_irs2(model)
        full = "FULL" in model.need("subarray.name") and model.need("instrument.name") != "MIRI"
        return self.refpix_algorithm == "sirs" and full and not is_irs2(model)

    def scope_for(self, outline):
        """All IRS2 frames of an exposure together tell which reference samples are bad."""
        return "exposure" if is_irs2(outline) else self.scope

    def leaves(self, outline):
        """IRS2 frames lose their interleaved rows."""
        return with_rows(outline, LINES) if is_irs2(outline) and not self.preserve_irs2_refpix else outline

    def process(self, ramp, refpix=None, sirskernel=None):
        """Correct every group, and zero frames as exposures of one group; a zero frame that is 0 stays 0."""
        if Stripes.of(ramp):
            return self._correct_stripes(ramp)
        if is_irs2(ramp):
            return self._correct_irs2(ramp, refpix)
        frame = Frame.of(ramp)
        if frame.miri:
            self._correct_miri(ramp, frame)
            return ramp
        if not frame.contains_window:
            raise Skip("the subarray does not fit the detector")
        smoothing, kernels = 0, None
        if frame.is_full or ramp.need("exposure.noutputs") == 4:
            layout = four_outputs(ramp, frame, self.odd_even_columns)
            smoothing = self.side_smoothing_length if self.use_side_ref_pixels else 0
            if sirskernel is not None and smoothing and frame.is_full:
                detector = ramp.need("instrument.detector")
                kernels = sirs.kernels(sirskernel, detector, self.gaussmooth, self.halfwidth)
        else:
            layout = one_output(ramp, frame, self.odd_even_columns)
        # The official pipeline works in single precision until the first side correction has made its buffer double.
        everything = ramp.data.size
        self._correct(
            ramp.data,
            frame,
            layout,
            smoothing,
            single=everything if not smoothing else 0 if ramp.first else 1,
            kernels=kernels,
        )
        self._correct_zeroframe(ramp, frame, layout, smoothing, 0 if smoothing else everything, kernels)
        return ramp

    def _correct_stripes(self, ramp):
        """Correct every group of every stripe; then superstripes need not be apart any longer."""
        frame = Frame.of_stripes(ramp)
        layout = stripes(ramp, frame, self.odd_even_columns)
        self._correct(ramp.data, frame, layout, smoothing=0, single=ramp.data.size)
        self._correct_zeroframe(ramp, frame, layout, smoothing=0, single=ramp.data.size)
        return collated(ramp) if isinstance(ramp, SuperstripeRamp) else ramp

    def _correct_zeroframe(self, ramp, frame, layout, smoothing, single, kernels=None):
        if ramp.zeroframe is not None:
            blank = ramp.zeroframe == 0
            self._correct(ramp.zeroframe, frame, layout, smoothing, single, kernels=kernels)
            ramp.zeroframe[blank] = 0

    def _correct_irs2(self, ramp, refpix):
        """Follow the drifts by the interleaved reference samples; trim the frames to the normal rows."""
        if refpix is None:
            raise ReferenceFileError(f"no refpix reference for {ramp.source}, which the IRS2 readout needs")
        if ramp.zeroframe is not None:
            raise InputError(f"{ramp.source}: zero frames of the IRS2 readout cannot be corrected")
        readout = Readout.of(ramp)
        chosen = weights(refpix)  # complains before anything is changed
        bad = flag_bad_samples(ramp, readout, self.ovr_corr_mitigation_ftr)
        if self.irs2_mean_subtraction:
            self._subtract_levels(ramp, readout)
        replace_bad_samples(ramp, bad, readout)
        replace_listed_samples(ramp, refpix, readout)
        subtract_drifts(ramp, chosen, readout, self.preserve_irs2_refpix)
        return ramp

    def _subtract_levels(self, ramp, readout):
        """Subtract the level of each output of IRS2 frames, even and odd columns apart, in single precision."""
        xp = array_module(ramp.data)
        layout = interleaved(ramp, readout, self.odd_even_columns)
        planes = ramp.data.reshape(-1, *ramp.shape[2:])
        signals = self._signals(planes, layout, single=planes.size).astype("f4")
        planes -= signals[:, xp.asarray(readout.outputs * 2 + readout.odd)][:, :, None]

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

    def _signals(self, planes, layout, single):
        """Return the level of each amplifier and parity: (nplanes, namps * 2)."""
        xp = array_module(planes)
        pixels, bounds = xp.asarray(layout.pixels), xp.asarray(layout.bounds)
        means = xp.empty((len(planes), len(bounds) - 1))
        scratch = xp.empty((len(planes), len(pixels)))
        clip_means(planes, pixels, bounds, scratch, means, single=single, limit=self.siglimit)
        return average_edges(means.reshape(len(planes), layout.namps, 2, -1), single)

    def _correct(self, data, frame, layout, smoothing, single, kernels=None):
        """Correct (..., ny, nx) in place, the first `single` planes in single precision; kernels: of SIRS."""
        xp = array_module(data)
        planes = data.reshape(-1, *data.shape[-2:])
        if not layout.pixels.size or not len(planes):
            return
        signals = self._signals(planes, layout, single)
        side, gain = None, self.side_gain
        if kernels is not None:
            side, gain = (
                sirs.side_signals(_side_values(planes, frame, signals, layout, single), kernels, self.sigreject),
                1,
            )
        elif smoothing:
            side = xp.empty((len(planes), 1, frame.shape[0]))
            side_pixels, which = xp.asarray(layout.side_pixels), xp.asarray(layout.side_signals)
            box = xp.empty((len(planes), frame.shape[0], smoothing * side_pixels.shape[2]))
            smooth_sides(planes, side_pixels, signals, which, box, side[:, 0], smoothing=smoothing, single=single)
        subtract_references(
            planes, signals, side, **frame.places, width=layout.width, namps=layout.namps, by_row=layout.by_row,
            single=single, gain=gain,
        )  # fmt: skip


def _side_values(planes, frame, signals, layout, single):
    """Return all pixels at the left and right sides without their amplifier's signal: (nplanes, 2, nrows, 4)."""
    xp = array_module(planes)
    nrows, ncolumns = frame.shape
    columns = np.array([np.arange(EDGE), np.arange(ncolumns - EDGE, ncolumns)])
    places = xp.asarray(frame.pixel(np.arange(nrows)[None, :, None], columns[:, None, :]))
    values = planes.reshape(len(planes), -1)[:, places]
    levels = signals[:, xp.asarray(layout.side_signals)][:, :, None]
    exact = values - levels
    exact[:single] = values[:single] - levels[:single].astype("f4")
    return exact


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
        plane[...] = value if side is None else value - gain * side[i][column // width if side.shape[1] > 1 else 0, row]
