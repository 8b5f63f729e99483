"""Showers: faint light over hundreds of pixels of MIRI's detectors after a cosmic ray, too faint in each of them.

Source: the JWST documentation of the jump step, "Large events".
"""

import functools
import math

import numpy as np

from gpucal.device import array_module
from gpucal.differences import clipping_limits, median_of, pixel_chunks
from gpucal.dq import GROUP, PIXEL
from gpucal.kernel import kernel
from gpucal.large_events.regions import Regions, pixels_where

HIT = GROUP.DO_NOT_USE | GROUP.SATURATED | GROUP.JUMP_DET
CLIPPING_THRESHOLD, CLIPPING_ROUNDS = 5.0, 5
BATCH = 16 * 2**20  # bytes; planes smoothed at a time
LARGEST_AMPLITUDE = 6.0  # electron/s; what the official pipeline takes, whatever max_shower_amplitude says


def find_showers(ramp, gain, readnoise, step, never):
    """Flag ellipses around showers as jumps, in their group and some time after it; return how many there were.

    step: a Jump, for its parameters. never: flags of groups that are not used at all. Pixels whose rate the flags would
    change by more than showers do are not flagged.
    """
    xp = array_module(ramp.data)
    nints, ngroups, ny, nx = ramp.shape
    group_time = ramp.need("exposure.group_time")
    showers = xp.zeros((nints, -(-ngroups // 32), ny, nx), "u4")
    found = 0
    for integration, g, ellipse in _ellipses(ramp, gain.data, readnoise.data, step, never):
        radii = ellipse.radii_times(step.extend_ellipse_expand_ratio, 2 * step.max_extended_radius)
        box, inside = ellipse.pixels(radii, (ny, nx))
        end = min(g + int(step.time_masked_after_shower // group_time) + 1, ngroups)
        inside = xp.asarray(inside) & (ramp.pixeldq[box] != PIXEL.REFERENCE_PIXEL)
        _note(showers[integration, :, *box], ramp.groupdq[integration, g:end, *box], inside, g)
        found += 1
    if found:
        most = np.float32(LARGEST_AMPLITUDE * group_time)
        flag_showers(ramp.data, ramp.groupdq, gain.data, showers, most=most)
    return found


def _ellipses(ramp, gain, readnoise, step, never):
    """Yield (integration, group, ellipse) for each shower. No flags may be set in between."""
    xp = array_module(ramp.data)
    nints, ngroups, ny, nx = ramp.shape
    expected, sigma = _expect(ramp, gain, readnoise, step, never)
    ring, margin = _ring(step.extend_inner_radius, step.extend_inner_radius + step.extend_outer_radius, nx)
    ring = xp.asarray(ring)

    # Some planes at a time, one above another with a margin between them; where rings reach, there are zeros.
    height, width, nplanes = ny + margin, nx + 2 * margin, nints * (ngroups - 1)
    batch = min(nplanes, max(1, BATCH // (4 * height * width)))
    excess = xp.zeros((batch * height + 2 * margin + 1, width), "f4")
    extended = xp.empty((batch, height, width), "u1")
    first_usable = functools.cache(lambda integration: _first_usable(ramp, integration))
    for first in range(0, nplanes, batch):
        count = min(batch, nplanes - first)
        judge_differences(
            ramp.data, ramp.groupdq, ramp.pixeldq, gain, expected, sigma, excess, first=first, nplanes=count,
            never=never, margin=margin,
        )  # fmt: skip
        find_extended(excess, ring, extended.reshape(-1, width), margin=margin, threshold=step.extend_snr_threshold)
        extended[count:] = extended[:, ny:] = extended[:, :, nx:] = 0
        regions = Regions(pixels_where(extended), extended.reshape(-1, width).shape)
        for k in regions.larger_than(step.extend_min_area):
            ellipse = regions.ellipse(k)
            plane = int(ellipse.y // height)
            integration, g = divmod(first + plane, ngroups - 1)
            if g + 1 > first_usable(integration):
                yield integration, g + 1, ellipse._replace(y=ellipse.y - plane * height)


def _expect(ramp, gain, readnoise, step, never):
    """Return what differences are expected to be and their scatter, (1 or ngroups - 1, ny, nx) each, electron."""
    nints, ngroups, ny, nx = ramp.shape
    long = nints >= step.minimum_sigclip_groups
    expected, sigma = array_module(ramp.data).empty((2, ngroups - 1 if long else 1, ny, nx), "f4")
    for start, scratch in pixel_chunks(ramp, few=0) if long else pixel_chunks(ramp):
        if long:
            clip_differences(
                ramp.data, ramp.groupdq, gain, scratch, expected, sigma, start=start, never=never,
                threshold=CLIPPING_THRESHOLD, rounds=CLIPPING_ROUNDS,
            )  # fmt: skip
        else:
            expect_differences(
                ramp.data, ramp.groupdq, gain, readnoise, scratch, expected, sigma, start=start,
                nframes=ramp.need("exposure.nframes"), never=never,
            )  # fmt: skip
    return expected, sigma


def _ring(inner, outer, nx):
    """Return the pixels of a ring relative to its centre, in a plane nx wide with a margin, and the margin."""
    margin = max(1, math.ceil(2 * outer) // 2)  # at least a row between planes
    y, x = np.mgrid[-margin : margin + 1, -margin : margin + 1]
    inside = (y**2 + x**2 >= inner**2) & (y**2 + x**2 <= outer**2)
    return y[inside] * (nx + 2 * margin) + x[inside], margin


def _first_usable(ramp, integration):
    """Return the first group in which some pixel but the reference pixels is to be used; 0 if there is none."""
    reference = ramp.pixeldq == PIXEL.REFERENCE_PIXEL
    for g, flags in enumerate(ramp.groupdq[integration]):
        if not bool(((flags & GROUP.DO_NOT_USE != 0) | reference).all()):
            return g
    return 0


def _note(showers, groupdq, inside, first):
    """Set the bits of the groups from the first on where inside, up to the group in which a pixel saturates."""
    xp = array_module(groupdq)
    usable = xp.cumsum(groupdq & GROUP.SATURATED != 0, axis=0, dtype="u2") == 0
    for word in range(first // 32, len(showers)):
        start = max(first, word * 32)
        some = usable[start - first : (word + 1) * 32 - first]
        bits = xp.uint32(1) << (xp.arange(start, start + len(some)) % 32).astype("u4")
        showers[word] |= (some * bits[:, None, None]).sum(axis=0, dtype="u4") * inside


@kernel
def expect_differences(ramp, groupdq, gain, readnoise, scratch, expected, sigma, start, nframes, never):
    """Find what differences are without a hit, the median, and their scatter, in single precision."""
    here = slice(start, start + len(scratch))
    gain = gain.reshape(-1)[here]
    difference = _quiet_differences(ramp, groupdq, gain, here, never)
    median = median_of(difference.reshape(-1, difference.shape[-1]))
    noise = readnoise.reshape(-1)[here] * gain
    expected.reshape(-1)[here] = median
    sigma.reshape(-1)[here] = np.sqrt(np.abs(median) + noise * noise / np.float32(nframes))


@kernel
def clip_differences(ramp, groupdq, gain, scratch, expected, sigma, start, never, threshold, rounds):
    """Find what each difference is without a hit, and its scatter, from what clipping over all integrations leaves."""
    here = slice(start, start + len(scratch))
    difference = _quiet_differences(ramp, groupdq, gain.reshape(-1)[here], here, never)
    low, high = clipping_limits(difference.astype("f8"), threshold, rounds)
    kept = np.isfinite(difference) & (difference >= low) & (difference <= high)
    count = kept.sum(axis=0)
    with np.errstate(invalid="ignore"):  # where nothing is left
        mean = _sum(np.where(kept, difference, np.float32(0))) / count
        squares = np.where(kept, difference - mean.astype("f4"), np.float32(0)) ** 2
        scatter = np.sqrt((_sum(squares) / count).astype("f4"))
    expected.reshape(len(expected), -1)[:, here] = median_of(np.where(kept, difference, np.nan))
    sigma.reshape(len(sigma), -1)[:, here] = scatter


@kernel
def judge_differences(ramp, groupdq, pixeldq, gain, expected, sigma, excess, first, nplanes, never, margin):
    """Express differences in units of their scatter, beyond what is expected; NaN where they cannot be judged."""
    ngroups, ny, nx = ramp.shape[1:]
    for plane in range(nplanes):
        integration, difference = divmod(first + plane, ngroups - 1)
        pair, which = slice(difference, difference + 2), difference % len(expected)
        unused = ((groupdq[integration, difference + 1] | pixeldq) & HIT != 0) | (pixeldq == PIXEL.REFERENCE_PIXEL)
        unused |= _left_out(groupdq[integration, pair], never).any(axis=0)
        before, now = ramp[integration, pair] * gain
        with np.errstate(divide="ignore", invalid="ignore"):  # pixels without a gain or a read noise
            ratio = np.abs(now - before - expected[which]) / sigma[which]
        y = margin + plane * (ny + margin)
        excess[y : y + ny, margin : margin + nx] = np.where(unused | ~np.isfinite(ratio), np.nan, ratio)


@kernel
def find_extended(excess, ring, extended, margin, threshold):
    """Find where the mean over a ring is above the threshold; NaN do not count, and are not found."""
    at = np.arange(extended.size).reshape(extended.shape) + margin * extended.shape[1] + margin
    values, total, count = excess.reshape(-1), np.zeros(extended.shape), np.zeros(extended.shape, int)
    for offset in ring:
        value = values[at + offset]
        total += np.nan_to_num(value)
        count += ~np.isnan(value)
    with np.errstate(invalid="ignore"):
        extended[...] = (total / count > threshold) & ~np.isnan(values[at])


@kernel
def flag_showers(ramp, groupdq, gain, showers, most):
    """Flag the groups in which a pixel is in a shower, unless that changes its rate too much."""
    nints, ngroups = groupdq.shape[:2]
    words = np.arange(ngroups) // 32
    bits = (1 << np.arange(ngroups) % 32).astype("u4")[:, None, None]
    shower = showers[:, words] & bits != 0
    electrons = ramp * gain
    before = groupdq & HIT != 0
    rates = []
    for flagged in (before, before | shower):
        difference = np.diff(np.where(flagged, np.float32(np.nan), electrons), axis=1).swapaxes(0, 1)
        known = ~np.isnan(difference)
        with np.errstate(invalid="ignore"):
            rates.append((_sum(np.where(known, difference, np.float32(0))) / known.sum(axis=0)).astype("f4"))
    change = np.abs(rates[0] - rates[1])
    possible = np.isfinite(change) & (change <= most)
    groupdq |= (shower & possible[:, None]) * np.uint8(GROUP.JUMP_DET)


def _left_out(flags, never):
    """Whether groups are left out for their flags: only these, for the official pipeline tests for each of them."""
    jump, unused, saturated = GROUP.JUMP_DET, GROUP.DO_NOT_USE, GROUP.SATURATED
    return (flags & never != 0) | np.isin(flags, [jump, unused, saturated, jump | unused, saturated | unused])


def _quiet_differences(ramp, groupdq, gain, here, never):
    """Differences of consecutive groups of some pixels, electron; NaN where one of the two is left out."""
    flags = groupdq.reshape(*groupdq.shape[:2], -1)[..., here]
    electrons = ramp.reshape(*ramp.shape[:2], -1)[..., here] * gain
    return np.diff(np.where(_left_out(flags, never), np.float32(np.nan), electrons), axis=1)


def _sum(values):
    """The sum along the first axis, in its order."""
    return np.add.accumulate(values, axis=0)[-1]
