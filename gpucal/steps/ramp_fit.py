"""Ramp fit: the slope of every ramp, its variances, and the flags that led to it.

Source: see kernels/fit_ramps.cu.
"""

import ctypes
import ctypes.util
import functools
import logging
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import InputError
from gpucal.kernel import kernel
from gpucal.model.image import Cube, Image, Slopes
from gpucal.segments import BAD, Lines, integrations, pieces
from gpucal.step import Step
from gpucal.steps.jump import flagged_throughout
from gpucal.warned import logged

log = logging.getLogger(__name__)

FEW = 64  # groups that a kernel handles without scratch memory; the same as in kernels/fit_ramps.cu
SCRATCH = 64 * 2**20  # bytes
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)  # of the weights, for segments of growing signal-to-noise ratio
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
        self._leave_out(ramp)
        lone_groups = not self.suppress_one_group or ngroups == 1
        migrated = int(ramp.groupdq.max()) >= GROUP.CHARGELOSS  # the highest bit
        original = None if not migrated else ramp.groupdq if lone_groups else ramp.groupdq.copy()
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
        one_group_time = (nframes + 1) * float(frame_time) / 2
        for start, scratch in _pixel_chunks(ramp, count):
            fit_ramps(
                ramp.data, ramp.groupdq, original, ramp.pixeldq, gain.data, readnoise.data, ramp.average_dark_current,
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
        if kind is Cube and ramp.tree.hasattr("int_times"):
            tree.int_times = ramp.tree.int_times
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
    ramp, groupdq, original, pixeldq, gain, readnoise, dark, zeroframe, weights, scratch, rate, rate_err, rate_poisson,
    rate_noise, rate_dq, ints, ints_err, ints_poisson, ints_noise, ints_dq, start, first, ngroups, nframes, lone_groups,
    group_time, frame_time, one_group_time,
):  # fmt: skip
    """Fit and average the slopes of the pixels from start on; write rates, errors, variances and flags."""
    here = slice(start, start + len(scratch))
    lines = Lines(group_time, frame_time, one_group_time, weights)
    with np.errstate(all="ignore"):
        gain = gain.reshape(-1)[here]
        base = pixeldq.reshape(-1)[here] | ~(gain > 0) * np.uint32(PIXEL.NO_GAIN_VALUE | PIXEL.DO_NOT_USE)
        ramps = integrations(ramp, groupdq, zeroframe, here, first, ngroups, lone_groups)
        dark = None if dark is None else dark.reshape(-1)[here]
        lines.set_pixels(gain, readnoise.reshape(-1)[here], nframes, dark, ramps)
        before = None
        if original is not None:
            before = original.reshape(*original.shape[:2], -1)[:, first : first + ngroups, here]
        _combine(
            lines, ramps, before, base,
            [a.reshape(-1)[here] for a in (rate, rate_err, rate_poisson, rate_noise, rate_dq)],
            [a.reshape(len(a), -1)[:, here] for a in (ints, ints_err, ints_poisson, ints_noise, ints_dq)],
        )  # fmt: skip


def _combine(lines, ramps, before, base, rate, ints):
    """Average the segments' slopes of each integration, then of all."""
    dq = base.copy()
    total = np.zeros((3, base.size))  # sums of slope / noise variance, 1 / Poisson variance, 1 / noise variance
    unusable, saturated, partly = np.zeros(base.shape, int), np.zeros(base.shape, int), np.zeros(base.shape, bool)
    migrated, restored = np.zeros(base.shape, bool), np.zeros(base.shape)
    for k, r in enumerate(ramps):
        passed = (r.any & (GROUP.JUMP_DET | GROUP.PERSISTENCE)).astype("u4")
        int_dq = base | passed
        dq |= passed
        lost = r.flags[0] & GROUP.SATURATED != 0
        int_dq |= lost * np.uint32(BAD)
        unused = r.unused == r.ngroups
        int_dq |= unused * np.uint32(PIXEL.DO_NOT_USE)
        int_dq |= (unused & (r.saturated == r.ngroups)) * np.uint32(PIXEL.SATURATED)
        (slope_sum, poisson_sum, noise_sum, err_sum), fitted = _sums(lines, r, ~(lost | unused))

        bad = int_dq & BAD != 0
        poisson = np.where(fitted & (poisson_sum > 0), 1 / poisson_sum, 0.0)
        poisson = np.where((poisson >= TOO_LARGE) | bad, 0.0, poisson)
        noise = np.where(fitted, 1 / noise_sum, 0.0)
        noise = np.where((noise >= TOO_LARGE) | bad, 0.0, noise)
        variance = 1 / err_sum
        err = np.where(fitted & ~bad & ~(variance > TOO_LARGE), np.sqrt(variance), 0.0)
        slope = np.where(bad, np.nan, np.where(fitted, slope_sum * noise, 0.0))
        if before is not None:
            moved = r.any & GROUP.CHARGELOSS != 0
            weight = np.where(moved, _noise_weight(lines, r, before[k]), np.where(noise > 0, 1 / noise, 0.0))
            noise = np.where(moved, 1 / weight, noise)
            noise = np.where(moved & (noise >= TOO_LARGE), 0.0, noise)
            migrated |= moved
            restored += weight

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
    noise = np.where(bad, 0.0, noise)
    noise = np.where(migrated & (restored > 0), 1 / restored, noise)
    noise = np.where(migrated & (noise >= TOO_LARGE), 0.0, noise)
    for out, value in zip(rate, (slope, err, np.where(bad, 0.0, poisson), noise, dq), strict=True):
        out[...] = value


def _sums(lines, ramp, wanted):
    """Sum over the segments of each pixel; return the four sums and which pixels had a segment."""
    sums, fitted = np.zeros((4, wanted.size)), np.zeros(wanted.size, bool)
    for piece in lines.fits(ramp, wanted):
        at, poisson, noise = piece.at, piece.poisson, piece.noise
        sums[0, at] += piece.slope / noise
        sums[1, at] += np.where(poisson > 0, 1 / poisson, 0.0)
        sums[2, at] += 1 / noise
        sums[3, at] += 1 / (poisson + noise)
        fitted[at] = True
    return sums, fitted


def _noise_weight(lines, ramp, flags):
    """The sum of the inverse noise variances of the segments as they were before charge migration."""
    flags = flags ^ (flags & GROUP.CHARGELOSS != 0) * np.uint8(GROUP.CHARGELOSS | GROUP.DO_NOT_USE)
    weight = np.zeros(ramp.any.shape)
    for at, _, n in pieces(flags, np.ones(weight.shape, bool)):
        noise = lines.noise(at, n, lines.alone(ramp, at) if n == 1 else None)
        weight[at] += np.where(noise > 0, 1 / noise, 0.0)
    return weight
