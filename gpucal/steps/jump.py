"""Jump: find the cosmic rays that hit during a ramp, as steps between groups that are too large.

Source: Anderson & Gordon 2011 (PASP 123, 1237), the two-point difference method; the JWST documentation of the step.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import Skip
from gpucal.kernel import kernel
from gpucal.step import Step

FEW = 64  # differences that a kernel keeps without scratch memory; the same as in kernels/differences.cuh
SCRATCH = 64 * 2**20  # bytes
CLIPPING_ROUNDS = 5
BAD = GROUP.DO_NOT_USE | GROUP.SATURATED


@dataclass(frozen=True)
class Jump(Step):
    """Flag JUMP_DET the group after each hit, and where the hit was large its neighbours and the groups that follow."""

    rejection_threshold: float = 4.0  # sigma
    three_group_rejection_threshold: float = 6.0  # sigma; for two differences
    four_group_rejection_threshold: float = 5.0  # sigma; for three differences
    maximum_cores: str = "1"  # accepted; every core is used anyway
    flag_4_neighbors: bool = True  # flag the four pixels beside a large jump
    max_jump_to_flag_neighbors: float = 1000.0  # sigma
    min_jump_to_flag_neighbors: float = 10.0  # sigma
    after_jump_flag_dn1: float = 0.0  # DN; jumps this large ...
    after_jump_flag_time1: float = 0.0  # s; ... flag the groups within this time after them
    after_jump_flag_dn2: float = 0.0  # DN; a second such setting
    after_jump_flag_time2: float = 0.0  # s
    min_diffs_single_pass: int = 10  # differences per integration from which all jumps are found at once
    minimum_groups: int = 3  # accepted; the official pipeline always takes 3
    minimum_sigclip_groups: int = 100  # integrations (or groups) from which outliers are clipped instead
    only_use_ints: bool = True  # clip the same difference of all integrations, not all differences

    required: ClassVar = ("gain", "readnoise")

    def process(self, ramp, gain, readnoise):
        """Set the flags, and note the rate of hits."""
        nints, ngroups, ny, nx = ramp.shape
        if ngroups <= 2:
            raise Skip("two groups or fewer")
        ramp.pixeldq |= unusable_gain(gain)
        unused = flagged_throughout(ramp.groupdq, GROUP.DO_NOT_USE)
        usable = ngroups - unused.sum(axis=1).max()
        total = nints * ngroups - unused.sum()

        clipped = (nints if self.only_use_ints else total) >= self.minimum_sigclip_groups
        if usable < 3 and not clipped:
            found = -99  # what the official pipeline counts when it does not look
        else:
            shared = (ramp.data, ramp.groupdq, gain.data)
            nframes = ramp.need("exposure.nframes")
            if clipped:
                self._clip(ramp, gain.data)
            elif usable - 1 >= self.min_diffs_single_pass:
                for start, scratch in pixel_chunks(ramp):
                    flag_jumps_at_once(
                        *shared,
                        readnoise.data,
                        scratch,
                        start=start,
                        nframes=nframes,
                        threshold=self.rejection_threshold,
                    )
            else:
                for start, scratch in pixel_chunks(ramp):
                    flag_jumps(
                        *shared, readnoise.data, scratch, start=start, nframes=nframes, four=self.rejection_threshold,
                        three=self.four_group_rejection_threshold, two=self.three_group_rejection_threshold,
                    )  # fmt: skip
            found = self._flag_around(ramp, gain, readnoise, nframes)

        groups = total - nints
        if groups >= 1:
            seconds = ramp.need("exposure.group_time") * groups
            ramp.meta.exposure.primary_cosmic_rays = float(1000 * found / (seconds * ny * nx))
            ramp.meta.exposure.extended_emission_events = 0.0
        return ramp

    def _clip(self, ramp, gain):
        xp = array_module(ramp.data)
        nints, ngroups, _, _ = ramp.shape
        nsets = ngroups - 1 if self.only_use_ints else 1
        for start, scratch in pixel_chunks(ramp, few=0):
            clip_jumps(
                ramp.data, ramp.groupdq, gain, scratch, start=start, nsets=nsets, threshold=self.rejection_threshold,
                rounds=CLIPPING_ROUNDS,
            )  # fmt: skip
        # As in the official pipeline: where a whole group is jumps, they are taken back.
        for i, g in zip(*np.nonzero(flagged_throughout(ramp.groupdq, GROUP.JUMP_DET | GROUP.DO_NOT_USE)), strict=True):
            plane = ramp.groupdq[i, g]
            plane[...] = xp.where(plane == GROUP.JUMP_DET, xp.uint8(0), plane)

    def _flag_around(self, ramp, gain, readnoise, nframes):
        """Flag the neighbours of large jumps and the groups after them; return how many jumps there were before."""
        xp = array_module(ramp.data)
        nints, ngroups, ny, nx = ramp.shape
        spreading = xp.empty((nints, -(-ngroups // 32), ny, nx), "u4")
        jumps = xp.zeros(1, "u4")
        for start, scratch in pixel_chunks(ramp):
            find_spreading(
                ramp.data, ramp.groupdq, gain.data, readnoise.data, scratch, spreading, jumps, start=start,
                nframes=nframes, least=self.min_jump_to_flag_neighbors, most=self.max_jump_to_flag_neighbors,
            )  # fmt: skip
        if self.flag_4_neighbors:
            flag_neighbors(ramp.groupdq, spreading, nx=nx)

        group_time = ramp.need("exposure.group_time")
        groups = [int(time // group_time) for time in (self.after_jump_flag_time1, self.after_jump_flag_time2)]
        if any(groups):
            middle = gain.made("median", lambda: np.float32(float(xp.nanmedian(gain.data))))
            sizes = [float(np.float32(dn) * middle) for dn in (self.after_jump_flag_dn1, self.after_jump_flag_dn2)]
            for start, scratch in pixel_chunks(ramp):
                flag_after_jumps(
                    ramp.data, ramp.groupdq, gain.data, scratch, start=start, size1=sizes[0], groups1=groups[0],
                    size2=sizes[1], groups2=groups[1],
                )  # fmt: skip
        return int(jumps[0])


def unusable_gain(gain):
    """Return flags, (ny, nx) uint32, for the pixels whose gain is NaN or not positive."""
    xp = array_module(gain.data)
    flag = xp.uint32(PIXEL.NO_GAIN_VALUE | PIXEL.DO_NOT_USE)
    return gain.made("unusable", lambda: ~(gain.data > 0) * flag)


def flagged_throughout(groupdq, flag):
    """Tell, for each integration and group, whether every pixel has one of the bits of flag: (nints, ngroups) bool."""
    from gpucal.device import to_host

    nints, ngroups, ny, nx = groupdq.shape
    result = to_host(groupdq[:, :, ny // 2, nx // 2] & flag != 0).copy()  # one pixel spares looking at most groups
    for i, g in zip(*np.nonzero(result), strict=True):
        result[i, g] = bool((groupdq[i, g] & flag).all())
    return result


def pixel_chunks(ramp, few=FEW):
    """Yield (first pixel, scratch memory for the differences of some pixels) until all pixels are served.

    Up to `few` differences need no scratch memory, and all pixels come at once.
    """
    xp = array_module(ramp.data)
    nints, ngroups, ny, nx = ramp.shape
    differences = nints * (ngroups - 1)
    if differences <= few:
        yield 0, xp.empty((ny * nx, 0), "f4")
        return
    count = min(ny * nx, max(1, SCRATCH // (4 * differences)))
    scratch = xp.empty((count, differences), "f4")
    for start in range(0, ny * nx, count):
        yield start, scratch[: ny * nx - start]


@kernel
def flag_jumps(ramp, groupdq, gain, readnoise, scratch, start, nframes, four, three, two):
    """Flag the largest outlier among the sizes of a pixel's differences, again and again until none is left."""
    here = _part(groupdq, start, scratch)
    size = np.abs(_differences(ramp, groupdq, gain, start, scratch)).astype("f8")
    shape, size = size.shape, size.reshape(-1, size.shape[-1])
    noise = _noise(gain, readnoise, start, scratch)
    flagged = np.zeros(size.shape, bool)
    active, again = np.arange(size.shape[1]), False
    while active.size:
        s = size[:, active]
        left = (~np.isnan(s)).sum(axis=0)
        largest = np.fmax.reduce(s, axis=0)
        median = _median(np.where((left >= 4) & (s == largest), np.nan, s))
        median = np.where(left == 2, np.fmin.reduce(s, axis=0), np.where(left < 2, np.nan, median))
        if again:
            median = median.astype("f4").astype("f8")
        excess = np.abs((s - median).astype("f4"))
        largest = np.fmax.reduce(excess, axis=0)
        ratio = largest / _scatter(median, noise[active], nframes)
        hit = ratio > np.where(left >= 4, four, np.where(left == 3, three, two))
        new = hit & (excess == largest)
        flagged[:, active] |= new
        size[:, active] = np.where(new, np.nan, s)
        active, again = active[hit], True
    here[:, 1:] |= flagged.reshape(shape) * np.uint8(GROUP.JUMP_DET)


@kernel
def flag_jumps_at_once(ramp, groupdq, gain, readnoise, scratch, start, nframes, threshold):
    """Flag every difference that is too far from the pixel's median difference."""
    here = _part(groupdq, start, scratch)
    difference, ratio = _ratio(ramp, groupdq, gain, readnoise, scratch, start, nframes)
    here[:, 1:] |= ((ratio > threshold) & np.isfinite(difference)) * np.uint8(GROUP.JUMP_DET)


@kernel
def clip_jumps(ramp, groupdq, gain, scratch, start, nsets, threshold, rounds):
    """Flag outliers among the same difference of all integrations (or all differences), clipped a few times."""
    here = _part(groupdq, start, scratch)
    difference = _differences(ramp, groupdq, gain, start, scratch).astype("f8")
    nints, ndiffs, npix = difference.shape
    values = difference if nsets > 1 else difference.reshape(nints * ndiffs, 1, npix)
    kept = np.isfinite(values)
    low, high = np.full(values.shape[1:], -np.inf), np.full(values.shape[1:], np.inf)
    done = ~kept.any(axis=0)
    for _ in range(rounds):
        count = np.maximum(kept.sum(axis=0), 1)
        inside = np.where(kept, values, 0.0)
        mean = np.add.accumulate(inside, axis=0)[-1] / count
        squares = np.where(kept, (values - mean) * (values - mean), 0.0)
        reach = threshold * np.sqrt(np.add.accumulate(squares, axis=0)[-1] / count)
        middle = _median(np.where(kept, values, np.nan))
        low, high = np.where(done, low, middle - reach), np.where(done, high, middle + reach)
        still = kept & (values >= low) & (values <= high)
        done |= (still.sum(axis=0) == kept.sum(axis=0)) | ~still.any(axis=0)
        kept = np.where(done, kept, still)
    outside = np.isfinite(values) & ((values < low) | (values > high))
    usable = here[:, 1:] & BAD == 0
    here[:, 1:] |= (outside.reshape(difference.shape) & usable) * np.uint8(GROUP.JUMP_DET)


@kernel
def find_spreading(ramp, groupdq, gain, readnoise, scratch, spreading, jumps, start, nframes, least, most):
    """Set one bit for each jump that reaches its neighbours; count all jumps; drop those of unused groups."""
    here, bits = _part(groupdq, start, scratch), _part(spreading, start, scratch)
    is_jump = here & GROUP.JUMP_DET != 0
    jumps += np.uint32(is_jump.sum())
    _, ratio = _ratio(ramp, groupdq, gain, readnoise, scratch, start, nframes)
    here[is_jump & (here & BAD != 0)] &= np.uint8(~GROUP.JUMP_DET & 0xFF)
    reaches = is_jump[:, 1:] & (ratio > least) & (ratio < most)
    bits[...] = 0
    for g in range(1, here.shape[1]):
        bits[:, g // 32] |= reaches[:, g - 1] * np.uint32(1 << g % 32)


@kernel
def flag_neighbors(groupdq, spreading, nx):
    """Flag the groups in which one of the four neighbours has a spreading jump."""
    nints, ngroups = groupdq.shape[:2]
    planes = spreading.reshape(*spreading.shape[:2], -1, nx)
    hit = np.zeros_like(planes)
    hit[..., 1:, :] |= planes[..., :-1, :]
    hit[..., :-1, :] |= planes[..., 1:, :]
    hit[..., 1:] |= planes[..., :-1]
    hit[..., :-1] |= planes[..., 1:]
    flags = groupdq.reshape(nints, ngroups, -1, nx)
    for g in range(ngroups):
        now = hit[:, g // 32] >> np.uint32(g % 32) & 1 != 0
        flags[:, g] |= (now & (flags[:, g] & BAD == 0)) * np.uint8(GROUP.JUMP_DET)


@kernel
def flag_after_jumps(ramp, groupdq, gain, scratch, start, size1, groups1, size2, groups2):
    """Flag the groups that follow a large jump."""
    here = _part(groupdq, start, scratch)
    difference = _differences(ramp, groupdq, gain, start, scratch).astype("f8")
    size = difference - _median(difference.reshape(-1, difference.shape[-1]))
    until = np.zeros(size[:, 0].shape, int)
    for g in range(1, here.shape[1]):
        for least, groups in ((size1, groups1), (size2, groups2)):
            large = (here[:, g] & GROUP.JUMP_DET != 0) & (size[:, g - 1] >= least)
            until = np.where(large, np.maximum(until, g + groups), until)
        here[:, g] |= ((g <= until) & (here[:, g] & BAD == 0)) * np.uint8(GROUP.JUMP_DET)


def _part(array, start, scratch):
    """The pixels that scratch serves, as a view with one pixel axis."""
    return array.reshape(*array.shape[:2], -1)[..., start : start + len(scratch)]


def _differences(ramp, groupdq, gain, start, scratch):
    """Differences of consecutive groups, electron, float32; NaN where one of the two is not used."""
    electrons = _part(ramp, start, scratch) * gain.reshape(-1)[start : start + len(scratch)]
    electrons[_part(groupdq, start, scratch) & BAD != 0] = np.nan
    return np.diff(electrons, axis=1)


def _noise(gain, readnoise, start, scratch):
    """The square of the read noise of the difference of two frames, electron^2."""
    noise = readnoise.reshape(-1)[start : start + len(scratch)] * gain.reshape(-1)[start : start + len(scratch)]
    return (noise * noise).astype("f8")


def _scatter(median, noise, nframes):
    sigma = np.sqrt(np.abs(median) + noise / nframes)
    return np.where(sigma == 0, np.nan, sigma)


def _ratio(ramp, groupdq, gain, readnoise, scratch, start, nframes):
    """The differences, and how far they are from their pixel's median in units of the expected scatter."""
    difference = _differences(ramp, groupdq, gain, start, scratch).astype("f8")
    median = _median(difference.reshape(-1, difference.shape[-1]))
    return difference, np.abs(difference - median) / _scatter(median, _noise(gain, readnoise, start, scratch), nframes)


def _median(values):
    """The median along the first axis of what is not NaN; NaN where nothing is left."""
    ordered = np.sort(values, axis=0)
    count = (~np.isnan(values)).sum(axis=0)
    upper = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1)[None], axis=0)[0]
    lower = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.where(count == 0, np.nan, (lower + upper) / 2)
