"""Ramp fit: the slope of every ramp, its variances, and the flags that led to it.

Source: see kernels/fit_ramps.cu.
"""

import copy
import ctypes
import ctypes.util
import functools
import logging
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import InputError
from gpucal.kernel import kernel
from gpucal.model.image import Cube, Image, Slopes
from gpucal.step import Step
from gpucal.steps.jump import flagged_throughout
from gpucal.warned import logged

log = logging.getLogger(__name__)

FEW = 64  # groups that a kernel handles without scratch memory; the same as in kernels/fit_ramps.cu
SCRATCH = 64 * 2**20  # bytes
BAD = GROUP.DO_NOT_USE | GROUP.SATURATED
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)  # of the weights, for segments of growing signal-to-noise ratio
SNR_LIMITS = (5, 10, 20, 50, 100)
UNEVEN = 4  # groups from which the official pipeline fits LIKELY those that are not evenly spaced
TOO_LARGE = 1e6  # (DN/s)^2


@dataclass(frozen=True)
class RampFit(Step):
    """Fit the slope of every clean segment and average them, per integration and per exposure."""

    algorithm: Literal["OLS_C"] = "OLS_C"  # least squares
    suppress_one_group: bool = True  # give no slope to a ramp with one good group
    firstgroup: int | None = None  # leave out the groups before this one, counted from 0
    lastgroup: int | None = None  # leave out the groups after this one, counted from 0
    maximum_cores: str = "1"  # accepted; every core is used anyway

    required: ClassVar = ("readnoise", "gain")

    def process(self, ramp, readnoise, gain):
        """Return the slopes as a new pair of models; the ramp's flags are changed on the way."""
        xp = array_module(ramp.data)
        nints, ngroups, ny, nx = ramp.shape
        nframes, group_time = ramp.need("exposure.nframes"), ramp.need("exposure.group_time")
        frame_time = ramp.need("exposure.frame_time")
        if ramp.meta.exposure.read_times and ngroups >= UNEVEN:
            raise InputError(f"{ramp.source}: groups at uneven times (repeated stripes) need the fit LIKELY")
        self._leave_out(ramp)
        lone_groups = not self.suppress_one_group or ngroups == 1
        if not lone_groups:
            suppress_lone_groups(ramp.groupdq)
        first, count = self._trim(ramp)
        if bool((ramp.groupdq[:, first] & GROUP.SATURATED != 0).all()):
            raise InputError(
                f"{ramp.source}: every pixel is saturated from the first group on, there is no slope to fit"
            )

        rate = [xp.empty((ny, nx), "f4") for _ in range(4)] + [xp.empty((ny, nx), "u4")]
        ints = [xp.empty((nints, ny, nx), "f4") for _ in range(4)] + [xp.empty((nints, ny, nx), "u4")]
        group_time, frame_time = np.float32(group_time), np.float32(frame_time)  # the official fit reads them so
        one_group_time = np.float32(nframes + 1) * frame_time / np.float32(2)
        for start, scratch in _pixel_chunks(ramp, count):
            fit_ramps(
                ramp.data, ramp.groupdq, ramp.pixeldq, gain.data, readnoise.data, ramp.average_dark_current,
                ramp.zeroframe if lone_groups else None, xp.asarray(weights(count)), scratch, *rate, *ints,
                start=start, first=first, ngroups=count, nframes=nframes, lone_groups=lone_groups,
                group_time=group_time, frame_time=frame_time, one_group_time=one_group_time,
            )  # fmt: skip
        return _products(ramp, rate, ints, gain)

    def _leave_out(self, ramp):
        """Flag the groups before firstgroup and after lastgroup."""
        ngroups = ramp.shape[1]
        first = max(self.firstgroup or 0, 0)
        last = ngroups - 1 if self.lastgroup is None else self.lastgroup
        if first >= last and (self.firstgroup is not None or self.lastgroup is not None):
            log.warning("%s: firstgroup %d is not before lastgroup %d: both ignored", ramp.source, first, last)
            return
        ramp.groupdq[:, :first] |= GROUP.DO_NOT_USE
        ramp.groupdq[:, last + 1 :] |= GROUP.DO_NOT_USE

    def _trim(self, ramp):
        """Return the first group to fit and the number of groups: MIRI's leading and last unused groups are cut off."""
        ngroups = ramp.shape[1]
        if ramp.need("instrument.name") != "MIRI" or ngroups == 1:
            return 0, ngroups
        unused = flagged_throughout(ramp.groupdq, GROUP.DO_NOT_USE).all(axis=0)
        first = next((g for g in range(ngroups) if not unused[g]), ngroups)
        count = ngroups - first - (1 if first < ngroups and unused[-1] else 0)
        if count < 2:
            raise InputError(f"{ramp.source}: fewer than two groups can be used, there is no slope to fit")
        return first, count


def _products(ramp, rate, ints, gain):
    from stdatamodels.jwst import datamodels

    order = ("data", "err", "var_poisson", "var_rnoise", "dq")
    models = []
    for kind, arrays in ((Image, rate), (Cube, ints)):
        tree = getattr(datamodels, kind.tree_class)()
        with logged(ramp.source, log):
            tree.update(ramp.tree)
        for table in ("int_times", "int_times_stripe"):
            if kind is Cube and ramp.tree.hasattr(table):
                setattr(tree, table, getattr(ramp.tree, table))
        tree._instance["history"] = copy.deepcopy(ramp.tree._instance.get("history", {}))
        tree.meta.bunit_data = tree.meta.bunit_err = "DN/s"
        models.append(kind(tree, ramp.source, **dict(zip(order, arrays, strict=True))))
    return Slopes(*models)


def _pixel_chunks(ramp, ngroups):
    """Yield (first pixel, scratch memory for some pixels); short ramps need none and come all at once."""
    xp = array_module(ramp.data)
    npix = ramp.pixeldq.size
    if ngroups <= FEW:
        yield 0, xp.empty((npix, 0))
        return
    count = min(npix, max(1, SCRATCH // (8 * ngroups)))
    scratch = xp.empty((count, ngroups))
    for start in range(0, npix, count):
        yield start, scratch[: npix - start]


@functools.lru_cache(maxsize=8)
def weights(ngroups):
    """Return |(i - m) / m|^P for every power, segment length n and place i: (6, ngroups + 1, ngroups) float32.

    The powers are the C library's powf, which the official fit uses and which no two other libraries round alike.
    """
    table = np.zeros((len(POWERS), ngroups + 1, ngroups), np.float32)
    powf = _powf()
    for n in range(3, ngroups + 1):
        middle = (n - 1) / 2
        bases = np.abs((np.arange(n) - middle) * (1 / middle)).astype(np.float32)
        table[0, n, :n], table[2, n, :n] = 1, bases
        for which in (1, 3, 4, 5):
            half = [powf(base, POWERS[which]) for base in bases[: n // 2 + 1].tolist()]
            table[which, n, : len(half)] = half
            table[which, n, n - len(half) : n] = half[::-1]
    return table


def _powf():
    try:
        powf = ctypes.CDLL(ctypes.util.find_library("m")).powf
    except (OSError, AttributeError, TypeError):
        return lambda base, power: np.float32(base) ** np.float32(power)
    powf.restype, powf.argtypes = ctypes.c_float, (ctypes.c_float, ctypes.c_float)
    return powf


@kernel
def suppress_lone_groups(groupdq):
    """Flag all groups DO_NOT_USE where an integration has a single good one."""
    lone = (groupdq & np.uint8(~GROUP.PERSISTENCE & 0xFF) == 0).sum(axis=1, keepdims=True) == 1
    groupdq |= lone * np.uint8(GROUP.DO_NOT_USE)


@kernel
def fit_ramps(
    ramp, groupdq, pixeldq, gain, readnoise, dark, zeroframe, weights, scratch, rate, rate_err, rate_poisson,
    rate_noise, rate_dq, ints, ints_err, ints_poisson, ints_noise, ints_dq, start, first, ngroups, nframes, lone_groups,
    group_time, frame_time, one_group_time,
):  # fmt: skip
    """Fit and average the slopes of the pixels from start on; write rates, errors, variances and flags."""
    here = slice(start, start + len(scratch))
    fit = _Fit(group_time, frame_time, one_group_time, weights)
    with np.errstate(all="ignore"):
        g = gain.reshape(-1)[here].astype("f8")
        noise = (readnoise.reshape(-1)[here] * (g / np.sqrt(2.0 * nframes))).astype("f4").astype("f8")
        dark_rate = np.zeros(g.shape) if dark is None else dark.reshape(-1)[here].astype("f8")
        base = pixeldq.reshape(-1)[here] | ~(g > 0) * np.uint32(PIXEL.NO_GAIN_VALUE | PIXEL.DO_NOT_USE)
        data, flags = (a.reshape(*a.shape[:2], -1)[:, first : first + ngroups, here] for a in (ramp, groupdq))
        zero = None if zeroframe is None else zeroframe.reshape(len(zeroframe), -1)[:, here]
        ramps = [
            _Ramp(d, q, first > 0, lone_groups, None if zero is None else zero[k])
            for k, (d, q) in enumerate(zip(data, flags, strict=True))
        ]
        fit.set_pixel(g, noise, dark_rate, sum(fit.median_rate(r) for r in ramps) / len(ramps))
        _combine(
            fit, ramps, base,
            [a.reshape(-1)[here] for a in (rate, rate_err, rate_poisson, rate_noise, rate_dq)],
            [a.reshape(len(a), -1)[:, here] for a in (ints, ints_err, ints_poisson, ints_noise, ints_dq)],
        )  # fmt: skip


def _combine(fit, ramps, base, rate, ints):
    """Average the segments' slopes of each integration, then of all."""
    dq = base.copy()
    total = np.zeros((3, base.size))  # sums of slope / noise variance, 1 / Poisson variance, 1 / noise variance
    unusable, saturated, partly = np.zeros(base.shape, int), np.zeros(base.shape, int), np.zeros(base.shape, bool)
    for k, r in enumerate(ramps):
        passed = (r.any & (GROUP.JUMP_DET | GROUP.PERSISTENCE)).astype("u4")
        int_dq = base | passed
        dq |= passed
        lost = r.flags[0] & GROUP.SATURATED != 0
        int_dq |= lost * np.uint32(BAD)
        unused = r.unused == r.ngroups
        int_dq |= unused * np.uint32(PIXEL.DO_NOT_USE)
        int_dq |= (unused & (r.saturated == r.ngroups)) * np.uint32(PIXEL.SATURATED)
        (slope_sum, poisson_sum, noise_sum, err_sum), fitted = fit.segments(r, ~(lost | unused))

        bad = int_dq & BAD != 0
        poisson = np.where(fitted & (poisson_sum > 0), 1 / poisson_sum, 0.0)
        poisson = np.where((poisson >= TOO_LARGE) | bad, 0.0, poisson)
        noise = np.where(fitted, 1 / noise_sum, 0.0)
        noise = np.where((noise >= TOO_LARGE) | bad, 0.0, noise)
        variance = 1 / err_sum
        err = np.where(fitted & ~bad & ~(variance > TOO_LARGE), np.sqrt(variance), 0.0)
        slope = np.where(bad, np.nan, np.where(fitted, slope_sum * noise, 0.0))

        positive = np.where(poisson_sum > 0, poisson_sum, 0.0)
        total += np.where(fitted, [slope_sum, positive, noise_sum], 0.0)
        unusable += int_dq & PIXEL.DO_NOT_USE != 0
        saturated += int_dq & PIXEL.SATURATED != 0
        partly |= r.saturated > 0
        int_dq |= (r.saturated > 0) * np.uint32(PIXEL.SATURATED)
        for out, value in zip(ints, (slope, err, poisson, noise, int_dq), strict=True):
            out[k] = value

    dq |= (unusable == len(ramps)) * np.uint32(PIXEL.DO_NOT_USE)
    dq |= (saturated == len(ramps)) * np.uint32(PIXEL.SATURATED)
    slope, poisson, noise = total[0], *(np.where(s > 0, 1 / s, s) for s in total[1:])
    poisson = np.where((poisson >= TOO_LARGE) | (poisson < 0), 0.0, poisson)
    noise = np.where(noise >= TOO_LARGE, 0.0, noise)
    bad = dq & BAD != 0
    err = np.where(bad, 0.0, np.sqrt(poisson + noise))
    slope = np.where(bad, np.nan, slope * noise)
    dq |= partly * np.uint32(PIXEL.SATURATED)
    results = (slope, err, np.where(bad, 0.0, poisson), np.where(bad, 0.0, noise), dq)
    for out, value in zip(rate, results, strict=True):
        out[...] = value


class _Ramp:
    """One integration of many pixels, (ngroups, npix), with what its flags amount to."""

    def __init__(self, data, flags, after_cut, lone_groups, zeroframe):
        self.flags = flags.copy()
        if after_cut:
            self.flags[0] &= np.uint8(~GROUP.JUMP_DET & 0xFF)
        self.ngroups = len(flags)
        good = (self.flags == 0).sum(axis=0)
        self.unused = (self.flags & BAD != 0).sum(axis=0)
        self.saturated = (self.flags & GROUP.SATURATED != 0).sum(axis=0)
        self.any = np.bitwise_or.reduce(self.flags, axis=0)
        self.values = np.where(self.flags & GROUP.SATURATED != 0, np.nan, data.astype("f8"))
        none = np.zeros(good.shape, bool)
        self.lone = (good == 1) & (self.flags[0] == 0) if lone_groups else none
        self.zero = (good == 0) & (zeroframe != 0) if lone_groups and zeroframe is not None else none
        if self.zero.any():
            self.flags[0, self.zero] = 0
            self.values[0, self.zero] = zeroframe[self.zero]
            self.saturated = self.saturated - (self.zero & (self.saturated == self.ngroups))
            self.unused = self.unused - self.zero
        self.clean = self.flags & np.uint8(~GROUP.PERSISTENCE & 0xFF)


class _Fit:
    """The arithmetic of fit_ramps.cu on arrays of pixels."""

    def __init__(self, group_time, frame_time, one_group_time, weights):
        self.group, self.frame, self.one_group = (float(t) for t in (group_time, frame_time, one_group_time))
        self.weights = weights

    def set_pixel(self, gain, readnoise, dark, rate):
        self.gain, self.readnoise, self.dark, self.rate = gain, readnoise, dark, rate

    def median_rate(self, ramp):
        if ramp.ngroups == 1:
            return ramp.values[0] / self.one_group
        values = np.where(ramp.flags & GROUP.DO_NOT_USE != 0, np.nan, ramp.values / self.group)
        steps = np.where(ramp.flags[1:] & GROUP.JUMP_DET != 0, np.nan, np.diff(values, axis=0))
        ordered = np.sort(steps, axis=0)
        count = (~np.isnan(steps)).sum(axis=0)
        lower = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
        upper = np.take_along_axis(ordered, np.minimum(count // 2, len(steps) - 1)[None], axis=0)[0]
        rate = np.where(count > 0, np.where(count % 2, upper, (lower + upper) / 2), values[0])
        rate = np.where(ramp.zero, ramp.values[0] / self.frame, rate)
        rate = np.where(ramp.lone, ramp.values[0] / self.one_group, rate)
        return np.where(np.isnan(rate), 0.0, rate)

    def segments(self, ramp, wanted):
        """Sum over the segments of each pixel; return the four sums and which pixels had a segment."""
        sums = np.zeros((4, wanted.size))
        clean = ramp.clean
        starts, lengths = [], []
        begin = np.full(wanted.shape, -1)
        for g in range(ramp.ngroups + 1):
            good = clean[g] == 0 if g < ramp.ngroups else np.zeros(wanted.shape, bool)
            ends = (begin >= 0) & ~good
            starts.append(np.where(ends, begin, -1))
            lengths.append(np.where(ends, g - begin, 0))
            opens = good & (begin < 0)
            led = clean[g - 1] == GROUP.JUMP_DET if g else np.zeros(wanted.shape, bool)
            begin = np.where(opens, np.where(led, g - 1, g), np.where(good, begin, -1))
        longest = np.max(lengths, axis=0)
        taken = np.zeros(wanted.shape, bool)
        for start, length in zip(starts, lengths, strict=True):
            use = wanted & (length > 0) & ~((longest > 1) & (length == 1)) & ~((longest == 1) & taken)
            for n in np.unique(length[use]):
                at = np.flatnonzero(use & (length == n))
                slope, poisson, noise = self._one(ramp, start[at], int(n), at)
                sums[0, at] += slope / noise
                sums[1, at] += np.where(poisson > 0, 1 / poisson, 0.0)
                sums[2, at] += 1 / noise
                sums[3, at] += 1 / (poisson + noise)
            taken |= use
        return sums, taken

    def _one(self, ramp, start, n, at):
        """Slope, Poisson variance and noise variance of the segments of length n of the pixels `at`."""
        gain, values = self.gain[at], ramp.values[:, at]
        columns = np.arange(at.size)
        signal = np.where(self.rate[at] > 0, self.rate[at] + self.dark[at], self.dark[at])
        if n <= 2:
            time: Any = self.group
            if n == 1:
                time = np.where(ramp.lone[at], self.one_group, np.where(ramp.zero[at], self.frame, self.group))
            first, last = values[start, columns], values[start + n - 1, columns]
            rise = first if n == 1 else last - first
            return rise / time, signal / (time * gain), self._noise(at, time, 6.0)
        rise = values[start + n - 1, columns] - values[start, columns]
        noise2 = self.readnoise[at] * self.readnoise[at] + rise * gain
        snr = np.where((noise2 <= 0) | (gain == 0), 0.0, rise * gain / np.sqrt(noise2))
        power = np.select([snr < limit for limit in SNR_LIMITS], range(len(SNR_LIMITS)), len(SNR_LIMITS))
        scale = 1 / (self.readnoise[at] * self.readnoise[at])
        sw, sx, sxx, sy, sxy = np.zeros((5, at.size))
        for i in range(n):
            w, x = self.weights[power, n, i].astype("f8") * scale, (start + i).astype("f8")
            y = np.nan_to_num(values[start + i, columns], nan=0.0, posinf=np.inf, neginf=-np.inf)
            xw = x * w
            sw, sx, sxx, sy, sxy = sw + w, sx + xw, sxx + x * xw, sy + y * w, sxy + y * xw
        slope = (sw * sxy - sx * sy) * (1 / (sw * sxx - sx * sx)) / self.group
        length = float(n)
        noise = np.where(gain > 0, self._noise(at, self.group, length * length * length - length), 0.0)
        return slope, signal / (self.group * gain * (length - 1)), noise

    def _noise(self, at, time, cubed):
        r = self.readnoise[at] / time
        return 12.0 * r * r / (cubed * self.gain[at] * self.gain[at])
