"""Jump: find the cosmic rays that hit during a ramp, as steps between groups that are too large.

Source: Anderson & Gordon 2011 (PASP 123, 1237), the two-point difference method; the JWST documentation of the step.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module
from gpucal.differences import (
    BAD,
    clipping_limits,
    differences,
    median_of,
    noise_of,
    part,
    pixel_chunks,
    ratio_of,
    scatter,
)  # fmt: skip
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import Skip
from gpucal.groups import flagged_throughout, unused_groups
from gpucal.kernel import kernel
from gpucal.large_events.showers import find_showers
from gpucal.large_events.snowballs import flag_snowballs
from gpucal.step import Step

CLIPPING_ROUNDS = 5
FEWEST_FOR_SHOWERS = 10  # differences


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
    expand_large_events: bool = False  # look for snowballs, in near-infrared detectors
    min_sat_area: float = 1.0  # pixels; of the saturated core of a snowball
    min_jump_area: float = 5.0  # pixels; of its jumps
    expand_factor: float = 2.0  # the minor axis of the ellipse that is flagged, relative to that of the jumps
    use_ellipses: bool = False  # accepted; they always are
    sat_required_snowball: bool = True  # False: all large jumps are snowballs
    min_sat_radius_extend: float = 2.5  # pixels; the minor axis of a core from which on it is flagged, and widened
    sat_expand: int = 2  # pixels; on each side of a core
    edge_size: int = 25  # pixels; so near an edge of the detector no core is needed
    mask_snowball_core_next_int: bool = True  # flag cores in the next integration too
    snowball_time_masked_next_int: int = 4000  # s; for so long
    find_showers: bool = False  # look for showers, in MIRI
    max_shower_amplitude: float = 4.0  # DN/s; accepted, the official pipeline always takes 6, and electrons
    extend_snr_threshold: float = 1.2  # sigma; smoothed differences from which on they may be a shower
    extend_min_area: int = 90  # pixels; of a shower
    extend_inner_radius: float = 1.0  # pixels; of the ring over which differences are averaged
    extend_outer_radius: float = 2.6  # pixels; by how much its outer radius is larger
    extend_ellipse_expand_ratio: float = 1.1  # the minor axis of the ellipse that is flagged, relative to the shower's
    time_masked_after_shower: float = 15.0  # s; groups so long after a shower are flagged too
    min_diffs_single_pass: int = 10  # differences per integration from which all jumps are found at once
    max_extended_radius: int = 200  # pixels; the largest semi-axis that is flagged
    minimum_groups: int = 3  # accepted; the official pipeline always takes 3
    minimum_sigclip_groups: int = 100  # integrations (or groups) from which outliers are clipped instead
    only_use_ints: bool = True  # clip the same difference of all integrations, not all differences

    required: ClassVar = ("gain", "readnoise")

    @property
    def scope(self):
        """Some rows of all integrations; the exposure, where regions or the median gain matter."""
        wide = self.expand_large_events or self.find_showers or self.after_jump_flag_time1 or self.after_jump_flag_time2
        return "exposure" if wide else "rows"

    def process(self, ramp, gain, readnoise):
        """Set the flags, and note the rates of hits and of large events."""
        nints, ngroups, ny, nx = ramp.shape
        if ngroups <= 2:
            raise Skip("two groups or fewer")
        group_time = ramp.need("exposure.group_time")
        ramp.pixeldq |= unusable_gain(gain)
        unused = unused_groups(ramp)
        usable = ngroups - unused.sum(axis=1).max()
        total = nints * ngroups - unused.sum()

        clipped = (nints if self.only_use_ints else total) >= self.minimum_sigclip_groups
        judged = usable >= 3 or clipped
        if judged:
            self._flag_hits(ramp, gain, readnoise, usable, clipped)
            found = self._flag_around(ramp, gain, readnoise, group_time)
            if ramp.whole:  # the other rows' jumps count too
                found = ramp.whole.add("jumps", found)
        else:
            found = -99  # what the official pipeline counts when it does not look
            drop_unused_jumps(ramp.groupdq)

        events = 0
        if self.expand_large_events:
            events = flag_snowballs(ramp.groupdq, self, group_time)
            total = nints * ngroups - flagged_throughout(ramp.groupdq, GROUP.DO_NOT_USE).sum()
        if self.find_showers:
            enough = total - nints >= FEWEST_FOR_SHOWERS
            events = find_showers(ramp, gain, readnoise, self, BAD if judged else 0) if enough else 0

        groups = total - nints
        if groups >= 1:
            rate = group_time * groups * ((ramp.whole.shape[2] if ramp.whole else ny) * nx)
            ramp.meta.exposure.primary_cosmic_rays = float(1000 * found / rate)
            ramp.meta.exposure.extended_emission_events = float(1e6 * events / rate)
        return ramp

    def _flag_hits(self, ramp, gain, readnoise, usable, clipped):
        """Flag the differences that are too large, by the method for so many usable groups."""
        nframes = ramp.need("exposure.nframes")
        shared = (ramp.data, ramp.groupdq, gain.data, readnoise.data)
        if clipped:
            self._clip(ramp, gain.data)
        elif usable - 1 >= self.min_diffs_single_pass:
            for start, scratch in pixel_chunks(ramp):
                flag_jumps_at_once(
                    *shared, scratch, start=start, nframes=nframes, threshold=self.rejection_threshold
                )  # fmt: skip
        else:
            for start, scratch in pixel_chunks(ramp):
                flag_jumps(
                    *shared, scratch, start=start, nframes=nframes, four=self.rejection_threshold,
                    three=self.four_group_rejection_threshold, two=self.three_group_rejection_threshold,
                )  # fmt: skip

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
        if ramp.whole:
            return
        for i, g in zip(*np.nonzero(flagged_throughout(ramp.groupdq, GROUP.JUMP_DET | GROUP.DO_NOT_USE)), strict=True):
            plane = ramp.groupdq[i, g]
            plane[...] = xp.where(plane == GROUP.JUMP_DET, xp.uint8(0), plane)

    def _flag_around(self, ramp, gain, readnoise, group_time):
        """Flag the neighbours of large jumps and the groups after them; return how many jumps there were before."""
        xp = array_module(ramp.data)
        nints, ngroups, ny, nx = ramp.shape
        nframes = ramp.need("exposure.nframes")
        spreading = xp.empty((nints, -(-ngroups // 32), ny, nx), "u4")
        jumps = xp.zeros(1, "u4")
        neighbours = 0  # jumps in rows that are there for their neighbours only
        if ramp.whole:
            rows = ramp.whole.rows
            beside = ramp.groupdq[:, :, : rows.start], ramp.groupdq[:, :, rows.stop :]
            neighbours = sum(int(xp.count_nonzero(part & GROUP.JUMP_DET)) for part in beside)
        for start, scratch in pixel_chunks(ramp):
            find_spreading(
                ramp.data, ramp.groupdq, gain.data, readnoise.data, scratch, spreading, jumps, start=start,
                nframes=nframes, least=self.min_jump_to_flag_neighbors, most=self.max_jump_to_flag_neighbors,
            )  # fmt: skip
        if self.flag_4_neighbors:
            flag_neighbors(ramp.groupdq, spreading, nx=nx)

        groups = [int(time // group_time) for time in (self.after_jump_flag_time1, self.after_jump_flag_time2)]
        if any(groups):
            middle = gain.made("median", lambda: np.float32(float(xp.nanmedian(gain.data))))
            sizes = [float(np.float32(dn) * middle) for dn in (self.after_jump_flag_dn1, self.after_jump_flag_dn2)]
            for start, scratch in pixel_chunks(ramp):
                flag_after_jumps(
                    ramp.data, ramp.groupdq, gain.data, scratch, start=start, size1=sizes[0], groups1=groups[0],
                    size2=sizes[1], groups2=groups[1],
                )  # fmt: skip
        return int(jumps[0]) - neighbours


def unusable_gain(gain):
    """Return flags, (ny, nx) uint32, for the pixels whose gain is NaN or not positive."""
    xp = array_module(gain.data)
    flag = xp.uint32(PIXEL.NO_GAIN_VALUE | PIXEL.DO_NOT_USE)
    return gain.made("unusable", lambda: ~(gain.data > 0) * flag)


def drop_unused_jumps(groupdq):
    """Take the jump flags back from groups that are not used anyway, in place."""
    xp = array_module(groupdq)
    for flags in groupdq:
        flags &= xp.where(flags & BAD != 0, xp.uint8(~GROUP.JUMP_DET & 0xFF), xp.uint8(0xFF))


@kernel
def flag_jumps(ramp, groupdq, gain, readnoise, scratch, start, nframes, four, three, two):
    """Flag the largest outlier among the sizes of a pixel's differences, again and again until none is left."""
    here = part(groupdq, start, scratch)
    size = np.abs(differences(ramp, groupdq, gain, start, scratch)).astype("f8")
    shape, size = size.shape, size.reshape(-1, size.shape[-1])
    noise = noise_of(gain, readnoise, start, scratch)
    flagged = np.zeros(size.shape, bool)
    active, again = np.arange(size.shape[1]), False
    while active.size:
        s = size[:, active]
        left = (~np.isnan(s)).sum(axis=0)
        largest = np.fmax.reduce(s, axis=0)
        median = median_of(np.where((left >= 4) & (s == largest), np.nan, s))
        median = np.where(left == 2, np.fmin.reduce(s, axis=0), np.where(left < 2, np.nan, median))
        if again:
            median = median.astype("f4").astype("f8")
        excess = np.abs((s - median).astype("f4"))
        largest = np.fmax.reduce(excess, axis=0)
        ratio = largest / scatter(median, noise[active], nframes)
        hit = ratio > np.where(left >= 4, four, np.where(left == 3, three, two))
        new = hit & (excess == largest)
        flagged[:, active] |= new
        size[:, active] = np.where(new, np.nan, s)
        active, again = active[hit], True
    here[:, 1:] |= flagged.reshape(shape) * np.uint8(GROUP.JUMP_DET)


@kernel
def flag_jumps_at_once(ramp, groupdq, gain, readnoise, scratch, start, nframes, threshold):
    """Flag every difference that is too far from the pixel's median difference."""
    here = part(groupdq, start, scratch)
    difference, ratio = ratio_of(ramp, groupdq, gain, readnoise, scratch, start, nframes)
    here[:, 1:] |= ((ratio > threshold) & np.isfinite(difference)) * np.uint8(GROUP.JUMP_DET)


@kernel
def clip_jumps(ramp, groupdq, gain, scratch, start, nsets, threshold, rounds):
    """Flag outliers among the same difference of all integrations (or all differences), clipped a few times."""
    here = part(groupdq, start, scratch)
    difference = differences(ramp, groupdq, gain, start, scratch).astype("f8")
    nints, ndiffs, npix = difference.shape
    values = difference if nsets > 1 else difference.reshape(nints * ndiffs, 1, npix)
    low, high = clipping_limits(values, threshold, rounds)
    outside = np.isfinite(values) & ((values < low) | (values > high))
    usable = here[:, 1:] & BAD == 0
    here[:, 1:] |= (outside.reshape(difference.shape) & usable) * np.uint8(GROUP.JUMP_DET)


@kernel
def find_spreading(ramp, groupdq, gain, readnoise, scratch, spreading, jumps, start, nframes, least, most):
    """Set one bit for each jump that reaches its neighbours; count all jumps; drop those of unused groups."""
    here, bits = part(groupdq, start, scratch), part(spreading, start, scratch)
    is_jump = here & GROUP.JUMP_DET != 0
    jumps += np.uint32(is_jump.sum())
    _, ratio = ratio_of(ramp, groupdq, gain, readnoise, scratch, start, nframes)
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
    here = part(groupdq, start, scratch)
    difference = differences(ramp, groupdq, gain, start, scratch).astype("f8")
    size = difference - median_of(difference.reshape(-1, difference.shape[-1]))
    until = np.zeros(size[:, 0].shape, int)
    for g in range(1, here.shape[1]):
        for least, groups in ((size1, groups1), (size2, groups2)):
            large = (here[:, g] & GROUP.JUMP_DET != 0) & (size[:, g - 1] >= least)
            until = np.where(large, np.maximum(until, g + groups), until)
        here[:, g] |= ((g <= until) & (here[:, g] & BAD == 0)) * np.uint8(GROUP.JUMP_DET)
