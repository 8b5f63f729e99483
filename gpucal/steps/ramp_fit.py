"""Ramp fit: the slope of every ramp, its variances, and the flags that led to it.

Source: see kernels/fit_ramps.cu.
"""

import copy
import ctypes
import ctypes.util
import functools
import logging
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from gpucal import likelihood
from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import InputError
from gpucal.groups import unused_groups
from gpucal.kernel import kernel
from gpucal.model.base import Model
from gpucal.model.image import Cube, Image, Slopes
from gpucal.model.optional import ChiSquare, SegmentFits
from gpucal.optional_results import segment_fits
from gpucal.segments import BAD, TOO_LARGE, Lines, integrations, pieces
from gpucal.slopes import empty_products, scratch_chunks
from gpucal.step import Step
from gpucal.warned import logged

log = logging.getLogger(__name__)

POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)  # of the weights, for segments of growing signal-to-noise ratio


@dataclass(frozen=True)
class RampFit(Step):
    """Fit the slope of every clean segment and average them, per integration and per exposure."""

    algorithm: Literal["OLS_C", "LIKELY"] = "OLS_C"  # least squares, or maximum likelihood, which finds jumps itself
    int_name: str = ""  # accepted; the official step does not use it either
    save_opt: bool = False  # write more about the fits: `_fitopt`, for LIKELY `_likely_chisq`
    opt_name: str = ""  # in place of the exposure's name in that of this file
    suppress_one_group: bool = True  # give no slope to a ramp with one good group
    firstgroup: int | None = None  # leave out the groups before this one, counted from 0
    lastgroup: int | None = None  # leave out the groups after this one, counted from 0
    maximum_cores: str = "1"  # accepted; every core is used anyway

    required: ClassVar = ("readnoise", "gain")

    @property
    def scope(self):
        """Some rows of all integrations; the exposure, for what few ask for."""
        return "rows" if self.algorithm == "OLS_C" and not self.save_opt else "exposure"

    def process(self, ramp, readnoise, gain):
        """Return the slopes as new models; the ramp's flags are changed on the way."""
        self._leave_out(ramp)
        if self._by_likelihood(ramp):
            rate, ints, chisq = likelihood.fit(ramp, gain, readnoise)
            more: tuple[type[Model], dict] = (ChiSquare, {"data": chisq})
        else:
            rate, ints, segments = self._by_least_squares(ramp, gain, readnoise)
            more = SegmentFits, segments
        order = ("data", "err", "var_poisson", "var_rnoise", "dq")
        slopes = Slopes(
            *(_product(ramp, k, dict(zip(order, a, strict=True))) for k, a in ((Image, rate), (Cube, ints)))
        )
        for model in slopes:
            model.meta.bunit_data = model.meta.bunit_err = "DN/s"
        if self.save_opt:
            slopes.optional = _product(ramp, *more)
            slopes.optional.name = self.opt_name
        return slopes

    def _by_likelihood(self, ramp):
        """Tell which algorithm can fit this exposure: that for read times of its own, or that for few groups."""
        uneven = bool(ramp.meta.exposure.read_times)
        if uneven and self.algorithm != "LIKELY":
            log.warning("%s: groups at uneven times, fitted with algorithm LIKELY", ramp.source)
        wanted = uneven or self.algorithm == "LIKELY"
        if wanted and ramp.shape[1] < likelihood.FEWEST_GROUPS:
            log.warning("%s: too few groups for algorithm LIKELY, fitted with OLS_C", ramp.source)
            return False
        return wanted

    def _by_least_squares(self, ramp, gain, readnoise):
        xp = array_module(ramp.data)
        nints, ngroups, ny, nx = ramp.shape
        lone_groups = not self.suppress_one_group or ngroups == 1
        highest = ramp.whole.highest if ramp.whole else int(ramp.groupdq.max())
        migrated = highest >= GROUP.CHARGELOSS  # the highest bit
        original = None if not migrated else ramp.groupdq if lone_groups else ramp.groupdq.copy()
        if not lone_groups:
            suppress_lone_groups(ramp.groupdq)
        first, count = self._trim(ramp)
        lost = bool((ramp.groupdq[:, first] & GROUP.SATURATED != 0).all())
        if ramp.whole:
            lost = ramp.whole.add("bands not lost", not lost) == 0 and ramp.whole.last
        if lost:
            raise InputError(
                f"{ramp.source}: every pixel is saturated from the first group on, there is no slope to fit"
            )

        rate, ints = empty_products(ramp)
        nframes = ramp.need("exposure.nframes")
        # The official fit reads both times in single precision.
        group_time, frame_time = (float(np.float32(ramp.need(f"exposure.{t}"))) for t in ("group_time", "frame_time"))
        timing = {
            "nframes": nframes, "lone_groups": lone_groups, "group_time": group_time, "frame_time": frame_time,
            "one_group_time": (nframes + 1) * frame_time / 2,
        }  # fmt: skip
        zeroframe, table = ramp.zeroframe if lone_groups else None, xp.asarray(weights(count))
        for start, scratch in scratch_chunks(ramp, count):
            fit_ramps(
                ramp.data, ramp.groupdq, original, ramp.pixeldq, gain.data, readnoise.data, ramp.average_dark_current,
                zeroframe, table, scratch, *rate, *ints, start=start, first=first, ngroups=count, **timing,
            )  # fmt: skip
        if not self.save_opt:
            return rate, ints, {}
        chunks = scratch_chunks(ramp, count, few=0)
        return rate, ints, segment_fits(ramp, gain, readnoise, zeroframe, table, chunks, first, count, timing)

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
        unused = unused_groups(ramp).all(axis=0)
        first = next((g for g in range(ngroups) if not unused[g]), ngroups)
        count = ngroups - first - (1 if first < ngroups and unused[-1] else 0)
        if count < 2:
            raise InputError(f"{ramp.source}: fewer than two groups can be used, there is no slope to fit")
        return first, count


def _product(ramp, kind, arrays):
    """Return a model with these arrays and the ramp's metadata."""
    from stdatamodels.jwst import datamodels

    tree = getattr(datamodels, kind.tree_class)()
    with logged(ramp.source, log):
        tree.update(ramp.tree)
    for table in ("int_times", "int_times_stripe"):
        if kind is Cube and ramp.tree.hasattr(table):
            setattr(tree, table, getattr(ramp.tree, table))
    tree._instance["history"] = copy.deepcopy(ramp.tree._instance.get("history", {}))
    return kind(tree, ramp.source, **arrays)


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
        dq |= r.passed
        (slope, err, poisson, noise, int_dq), sums = lines.integrate(r, base)
        if before is not None:
            moved = r.any & GROUP.CHARGELOSS != 0
            weight = np.where(moved, _noise_weight(lines, r, before[k]), np.where(noise > 0, 1 / noise, 0.0))
            noise = np.where(moved, 1 / weight, noise)
            noise = np.where(moved & (noise >= TOO_LARGE), 0.0, noise)
            migrated |= moved
            restored += weight

        total += sums
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


def _noise_weight(lines, ramp, flags):
    """The sum of the inverse noise variances of the segments as they were before charge migration."""
    flags = flags ^ (flags & GROUP.CHARGELOSS != 0) * np.uint8(GROUP.CHARGELOSS | GROUP.DO_NOT_USE)
    weight = np.zeros(ramp.any.shape)
    for at, _, n in pieces(flags, np.ones(weight.shape, bool)):
        noise = lines.noise(at, n, lines.alone(ramp, at) if n == 1 else None)
        weight[at] += np.where(noise > 0, 1 / noise, 0.0)
    return weight
