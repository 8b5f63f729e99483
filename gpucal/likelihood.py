"""Rates of maximum likelihood, from differences between groups whose noise is known to be shared by neighbours.

Source: see kernels/maximize_likelihood.cu.
"""

from typing import NamedTuple

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import InputError
from gpucal.kernel import kernel
from gpucal.segments import BAD
from gpucal.slopes import FEW, empty_products, scratch_chunks
from gpucal.tridiagonal import Differences

FEWEST_GROUPS = 4
ARRAYS = 8  # numbers for each difference and one more, kept by a kernel; the same as in kernels/maximize_likelihood.cu


def fit(ramp, gain, readnoise):
    """Return the arrays of the exposure's rate and of its integrations, as fit_ramps writes them, and chi^2, (ny, nx).

    The groups in which jumps were found are flagged.
    """
    xp = array_module(ramp.data)
    pattern = read_pattern(ramp)
    zeroframe = ramp.zeroframe if len(pattern.interval) == ramp.shape[1] else None
    rate, ints = empty_products(ramp)
    chisq, ints_chisq = (xp.empty(a.shape, "f4") for a in (rate[0], ints[0]))
    constants = [xp.asarray(array) for array in pattern]
    for start, scratch in scratch_chunks(ramp, len(pattern.interval) + 1, few=FEW + 1, each=ARRAYS):
        maximize_likelihood(
            ramp.data, ramp.groupdq, ramp.pixeldq, gain.data, readnoise.data, ramp.average_dark_current, zeroframe,
            *constants, scratch, *ints, ints_chisq, start=start, nframes=ramp.need("exposure.nframes"),
        )  # fmt: skip
    if len(ints[0]) == 1:
        return [a[0].copy() for a in ints], ints, ints_chisq[0]
    for start, scratch in scratch_chunks(ramp, len(ints[0]), dtype="f4"):
        average_integrations(ints[0], *ints[2:], ints_chisq, scratch, *rate, chisq, start=start)
    return rate, ints, chisq


class Pattern(NamedTuple):
    """Times of the differences between groups, and what they make of the noise.

    The covariance of two differences is photon * rate / gain + read * (noise of one read)^2, (DN/s)^2.
    """

    interval: np.ndarray  # (ndiffs) s, between the mean times of two groups
    photon: np.ndarray  # (2, ndiffs) 1/s, of a difference with itself; with the next
    read: np.ndarray  # (2, ndiffs) 1/s^2
    averaged: np.ndarray  # (ndiffs) uint8: whether the group shared with the next difference averages reads


def read_pattern(ramp):
    """Return the Pattern of an exposure; a zero frame is a group of its own if it is one of several averaged reads.

    Source: Brandt 2024 (PASP 136, 045004), equations 4, 11, 28 and 29.
    """
    ngroups, exposure = ramp.shape[1], ramp.meta.exposure
    if exposure.read_times:
        reads = [np.asarray(times, float) for times in exposure.read_times]
        if len(reads) != ngroups:
            raise InputError(f"{ramp.source}: read times of {len(reads)} groups are given, but there are {ngroups}")
    else:
        nframes, gap = ramp.need("exposure.nframes"), ramp.need("exposure.groupgap")
        frames = np.arange(1, nframes + 1)
        frame_time = ramp.need("exposure.frame_time")
        reads = [(frames + g * (nframes + gap)) * frame_time for g in range(ngroups)]
    if ramp.zeroframe is not None and len(reads[0]) > 1:
        reads[:1] = [reads[0][:1], reads[0][1:]]
    mean = np.array([times.mean() for times in reads])
    # The mean time of the reads, each weighed by the photons that only it and those before it share.
    shared = np.array([np.sum((2 * len(t) + 1 - 2 * np.arange(1, len(t) + 1)) * t) / len(t) ** 2 for t in reads])
    n = np.array([len(times) for times in reads])
    interval = np.diff(mean)
    photon, read = np.zeros((2, 2, len(interval)))
    photon[0] = (shared[:-1] + shared[1:] - 2 * mean[:-1]) / interval**2
    photon[1, :-1] = (mean[1:-1] - shared[1:-1]) / (interval[1:] * interval[:-1])
    read[0] = (1 / n[:-1] + 1 / n[1:]) / interval**2
    read[1, :-1] = -1 / (n[1:-1] * interval[1:] * interval[:-1])
    return Pattern(interval, photon, read, (np.append(n[1:-1], 0) > 1).astype("u1"))


@kernel
def maximize_likelihood(
    ramp, groupdq, pixeldq, gain, readnoise, dark, zeroframe, interval, photon, read, averaged, scratch, ints, ints_err,
    ints_poisson, ints_noise, ints_dq, chisq, start, nframes,
):  # fmt: skip
    """Fit the pixels from start on: rates, errors, variances, flags, chi^2; flag the groups with jumps."""
    here = slice(start, start + len(scratch))
    data, flags = (a.reshape(*a.shape[:2], -1)[:, :, here] for a in (ramp, groupdq))
    outputs = [a.reshape(len(a), -1)[:, here] for a in (ints, ints_err, ints_poisson, ints_noise, ints_dq, chisq)]
    gain, noise = gain.reshape(-1)[here].astype("f8"), readnoise.reshape(-1)[here].astype("f8") / np.sqrt(2)
    dark = 0 if dark is None else dark.reshape(-1)[here].astype("f8")
    with np.errstate(all="ignore"):
        for k, (values, q) in enumerate(zip(data, flags, strict=True)):
            groups, rows = values, q
            if zeroframe is not None:
                zero = zeroframe.reshape(len(data), -1)[k, here]
                rest = (values[0] * np.float32(nframes) - zero) / np.float32(nframes - 1)
                groups, rows = np.concatenate([[zero, rest], values[1:]]), np.concatenate([q[:1], q])
            d = np.diff(groups, axis=0) / interval[:, None]
            differences = Differences(d, (rows[1:] | rows[:-1]) == 0, photon, read, noise * noise)
            found, left_out = _without_jumps(differences, gain, averaged)
            q[len(q) - len(d) :] |= left_out * np.uint8(GROUP.JUMP_DET)
            differences.fit((_not_negative(found) + dark) / gain)
            variance, poisson, read_noise = differences.variances()
            dq = pixeldq.reshape(-1)[here] | (np.bitwise_or.reduce(q, axis=0) & (GROUP.JUMP_DET | GROUP.SATURATED))
            dq = dq | (q & BAD != 0).all(axis=0) * np.uint32(PIXEL.DO_NOT_USE)
            results = differences.rate, np.sqrt(variance), poisson, read_noise, dq, differences.chisq
            for out, value in zip(outputs, results, strict=True):
                out[k] = value


def _not_negative(rate):
    return np.where(rate > 0, rate, rate * 0)  # NaN stays NaN


def _without_jumps(differences, gain, averaged):
    """Leave out what jumps spoil, one jump of each pixel at a time; return the rates and what was left out."""
    before = differences.used.copy()
    bright = _not_negative(np.median(differences.d, axis=0)) / gain
    differences.fit(bright)
    rate, looking = differences.rate, np.arange(bright.size)
    for _ in range(len(before)):
        part = differences.of(looking)
        part.fit(bright[looking])
        found = rate[looking]
        again = part.drop_worst(averaged, found)
        rate[looking], differences.used[:, looking] = found, part.used
        looking = looking[again]
        if not looking.size:
            break
    return rate, before & ~differences.used


@kernel
def average_integrations(
    ints, ints_poisson, ints_noise, ints_dq, ints_chisq, scratch, rate, rate_err, rate_poisson, rate_noise, rate_dq,
    chisq, start,
):  # fmt: skip
    """Average the rates of the integrations of the pixels from start on."""
    here = slice(start, start + len(scratch))
    values, poissons, noises, flags, chi = (
        a.reshape(len(a), -1)[:, here] for a in (ints, ints_poisson, ints_noise, ints_dq, ints_chisq)
    )
    with np.errstate(all="ignore"):
        mean = _median(values)
        for _ in range(2):
            scale = mean / values
            scale = np.where(np.isfinite(scale) & (scale >= 0), scale, np.float32(0))
            scaled = poissons * scale
            weight = 1 / (scaled + noises)
            weight = weight / _sum_of_known(weight, none=0)
            mean = _sum_of_known(values * weight)
        poisson, noise = _sum_of_known(scaled * (weight * weight)), _sum_of_known(noises * (weight * weight))
        dnu = np.uint32(PIXEL.DO_NOT_USE)
        dq = np.bitwise_or.reduce(flags, axis=0) & ~dnu | np.bitwise_and.reduce(flags, axis=0) & dnu
        results = mean, np.sqrt(poisson + noise), poisson, noise, dq, np.add.accumulate(chi, axis=0)[-1]
    for out, value in zip((rate, rate_err, rate_poisson, rate_noise, rate_dq, chisq), results, strict=True):
        out.reshape(-1)[here] = value


def _sum_of_known(values, none=np.nan):
    """The sum along the first axis of what is not NaN, in order."""
    known = ~np.isnan(values)
    total = np.add.accumulate(np.where(known, values, np.float32(0)), axis=0)[-1]
    return np.where(known.any(axis=0), total, np.float32(none))


def _median(values):
    """The median along the first axis of what is not NaN."""
    ordered = np.sort(values, axis=0)
    count = (~np.isnan(values)).sum(axis=0)
    lower, upper = (
        np.take_along_axis(ordered, np.clip(place, 0, len(values) - 1)[None], axis=0)[0]
        for place in ((count - 1) // 2, count // 2)
    )
    return np.where(count == 0, np.float32(np.nan), (lower + upper) / 2)
