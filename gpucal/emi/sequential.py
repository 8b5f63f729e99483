"""Find the wave in what is left of the ramps without their slopes, then remove it: the older of the two ways.

The residuals of all pixels, four amplifiers averaged, are binned by their phase; the bins' clipped means are the wave
as this exposure shows it. It is subtracted itself, or tells the phase (and scale) at which a reference wave is.
Source: E. Bergeron's IDL procedure fix_miri_emi, in the JWST documentation of the emicorr step.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.kernel import kernel

MOST_BINS = 501
TOO_MANY = 500  # bins instead, where more would be asked for
CLIP, ROUNDS = 3.0, 5  # standard deviations; how often
LANES = 1 << 14  # quads whose groups are sorted at a time
LAST_QUAD_PUSHED = 3 + 2**32  # clocks; see Sequential._clock


@dataclass(frozen=True)
class Sequential:
    """The parameters of the step that concern this way."""

    nints_to_phase: int | None = None
    nbins: int | None = None
    scale_reference: bool = True
    use_n_cycles: int | None = 3

    def remove(self, ramp, case):
        """Subtract the waves of a case in place, one after the other; return each as the exposure shows it."""
        clock, starts = self._clock(ramp, case)
        quads = ramp.data.reshape(*ramp.shape[:2], -1, 4)
        xp, shown, nints = array_module(quads), [], self.nints_to_phase
        for wave in case.waves:
            nints = self._nints(nints, wave.period, case.frameclocks, ramp.shape)
            amplitudes = self._measured(quads, ramp.shape[3] // 4, clock, starts, wave, nints)
            noise = self._noise(amplitudes, wave)
            noise[~np.isfinite(noise)] = 0
            subtract_noise(quads, clock, starts, xp.asarray(noise), period=wave.period)
            shown.append(amplitudes)
        return shown

    def _clock(self, ramp, case):
        """Return when each quad of a frame, (nquads), and each frame, (nints, ngroups), is read, in clocks.

        As in the official pipeline the last quad of a full frame's rows, reference pixels, is late by 2^32 clocks more
        than it is.
        """
        xp = array_module(ramp.data)
        nints, ngroups, ny, nx = ramp.shape
        again = str(ramp.need("exposure.readpatt")).upper() in ("FASTR1", "SLOWR1")
        clock = np.arange(ny)[:, None] * float(case.rowclocks) + np.arange(nx // 4) * ramp.need("exposure.nsamples")
        if int(ramp.need("subarray.xsize") / 4 + ramp.need("subarray.xstart") - 1) == 258:
            clock[:, -1] += LAST_QUAD_PUSHED
        frame = ny * case.rowclocks + (1024.0 - ny) * 7.0
        starts = np.arange(nints * ngroups).reshape(nints, ngroups) * frame
        starts += np.arange(nints)[:, None] * float(case.frameclocks if again else 0)
        return xp.asarray(clock.ravel()), xp.asarray(starts)

    def _nints(self, before, period, frameclocks, shape):
        """The number of integrations to look at; before: that of the wave before, which then holds for all."""
        if before is None and self.use_n_cycles is None:
            return shape[0]
        if before is None:
            return ceil(self.use_n_cycles * period / (frameclocks * shape[1]))
        return min(before, shape[0]) if self.use_n_cycles == 3 else before

    def _measured(self, quads, width, clock, starts, wave, nints):
        """The clipped means of the residuals by phase: (nbins) DN, relative to their median."""
        xp = array_module(quads)
        nbins = int(wave.period / 2.0) if self.nbins is None else self.nbins
        nbins = TOO_MANY if nbins > MOST_BINS else nbins
        residuals = xp.empty((min(nints, len(quads)), *quads.shape[1:3]), "f4")
        for integration, left in zip(quads, residuals, strict=False):
            _find_residuals(integration, left, width)
        keys = xp.empty(residuals.shape, "i8")
        sort_by_phase(residuals.view("i4"), clock, starts[: len(residuals)], keys, period=wave.period, nbins=nbins)
        keys = xp.sort(keys.reshape(-1))
        bounds = xp.searchsorted(keys, xp.asarray(np.arange(nbins + 1) << 32))
        means = xp.empty(nbins)
        clip_bins(keys, bounds, means, limit=CLIP, rounds=ROUNDS)
        amplitudes = to_host(means).copy()
        return amplitudes - np.median(amplitudes)

    def _noise(self, amplitudes, wave):
        """What to subtract at each clock of a period: the wave of the exposure, or that of the reference aligned."""
        noise = resampled(amplitudes, wave.period)
        if wave.shape is None:
            return noise
        size = len(wave.shape)
        rolled = wave.shape[(np.arange(size) - np.arange(size)[:, None]) % size]
        there = resampled(amplitudes, size)
        shift = int(np.argmax(rolled @ (there - there.mean())))  # where the correlation is largest
        reference = resampled(rolled[shift], wave.period)
        return reference * np.polyfit(reference, noise, 1)[0] if self.scale_reference else reference


def _find_residuals(data, residuals, width):
    """Write what is left of one integration, (ngroups, nquads, 4), without slopes and bias: (ngroups, nquads) DN.

    width: quads in a row. Every group loses its median.
    """
    xp = array_module(data)
    ngroups, nquads, _ = data.shape
    scratch = xp.empty((min(nquads, LANES), ngroups - 2), "f4")
    for start in range(0, nquads, len(scratch)):
        find_residuals(data, scratch[: nquads - start], residuals, start=start)
    rows = residuals.reshape(ngroups, -1, width)
    # Two columns of reference pixels do not follow the others.
    rows[:, :, 1] = rows[:, :, 2] = (rows[:, :, 0] + rows[:, :, 3]) / 2
    residuals -= xp.median(residuals, axis=1).astype("f4")[:, None]


def resampled(values, length):
    """Return values at about `length` places (which need not be whole): at each, the one at or before it."""
    return values[np.mgrid[slice(0, len(values), float(len(values)) / length)].astype("i")]


@kernel
def find_residuals(data, scratch, residuals, start):
    """Write the mean of four amplifiers' counts without slope and bias, which all but the end groups tell."""
    ngroups = len(data)
    here = slice(start, start + len(scratch))
    part = data[:, here]
    inner = part[1 : ngroups - 1].astype("f8")
    t = np.arange(ngroups - 2.0)
    n, sx, sxx = ngroups - 2, t.sum(), (t * t).sum()
    with np.errstate(all="ignore"):
        sxy, sy = (np.add.accumulate(v, axis=0)[-1] for v in (t[:, None, None] * inner, inner))
        slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
        left = (part - slope * np.arange(ngroups)[:, None, None]).astype("f4")
        bias = left[1 : ngroups - 1].min(axis=0) if n <= 2 else np.median(left[1 : ngroups - 1], axis=0)
        left -= bias
        residuals[:, here] = (((left[..., 0] + left[..., 1]) + left[..., 2]) + left[..., 3]) / np.float32(4)


@kernel
def sort_by_phase(bits, clock, starts, keys, period, nbins):
    """Write numbers that sort by the bin of the phase, then by the residual; what is in no bin comes last."""
    at = _fraction((starts[:, :, None] + clock) / period)
    index = np.ceil(at * nbins).astype("i8") - 1
    index -= at <= index / nbins
    index += at > (index + 1) / nbins
    finite = np.isfinite(bits.view("f4"))
    index = np.where(finite & (index >= 0), index, nbins)
    order = np.where(bits < 0, ~bits.astype("i8") & 0xFFFFFFFF, (bits.astype("i8") & 0xFFFFFFFF) | 0x80000000)
    keys[...] = index << 32 | order


@kernel
def clip_bins(keys, bounds, means, limit, rounds):
    """Write the mean of each bin's residuals, clipped around the median; NaN for an empty bin."""
    order = (keys & 0xFFFFFFFF).astype("u4")
    bits = np.where(order & 0x80000000 != 0, order ^ np.uint32(0x80000000), ~order)
    values = bits.astype("u4").view("f4").astype("f8")
    for k in range(len(means)):
        kept = values[bounds[k] : bounds[k + 1]]
        for _ in range(rounds):
            if not len(kept):
                break
            middle = (kept[(len(kept) - 1) // 2] + kept[len(kept) // 2]) / 2
            mean = np.add.accumulate(kept)[-1] / len(kept)
            reach = limit * np.sqrt(np.add.accumulate((kept - mean) * (kept - mean))[-1] / len(kept))
            inside = kept[(kept >= middle - reach) & (kept <= middle + reach)]
            done, kept = len(inside) == len(kept), inside
            if done:
                break
        means[k] = np.add.accumulate(kept)[-1] / len(kept) if len(kept) else np.nan


@kernel
def subtract_noise(ramp, clock, starts, noise, period):
    """Subtract from the four amplifiers what the table says for the clock within a period."""
    for i, g in np.ndindex(ramp.shape[:2]):
        at = _fraction((starts[i, g] + clock) / period)
        ramp[i, g] = ramp[i, g] - noise[(at * period).astype("i8")][:, None]


def _fraction(phase):
    return phase - np.floor(phase)
