"""Saturation: flag groups that reached full well, or the floor of the A/D converter.

Source: the JWST documentation of the saturation step; for frame-averaged groups see kernels/flag_*_saturation.cu.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.irs2 import Readout, is_irs2
from gpucal.kernel import kernel
from gpucal.step import Step

ABOVE_CONVERTER = 65536.0  # DN; no 16-bit count reaches it


@dataclass(frozen=True)
class Saturation(Step):
    """Flag saturated groups and their neighbours; blank zero frames that are saturated or at the floor."""

    n_pix_grow_sat: int = 1  # pixels; how far saturation spills over
    use_readpatt: bool = True  # look for saturation hidden in frame-averaged groups

    scope: ClassVar = "integration"
    readouts: ClassVar = ("stripes",)

    def process(self, ramp, saturation, superbias=None):
        """Set the flags. The superbias, if any, is only used to judge frame-averaged groups."""
        threshold, flags = saturation.made("threshold", lambda: usable_threshold(saturation))
        if is_irs2(ramp):
            return self._flag_irs2(ramp, threshold, flags, superbias)
        xp = array_module(ramp.data)
        nints, ngroups, _, nx = ramp.shape
        nframes = ramp.need("exposure.nframes")
        first, grown, partial = (xp.empty((nints, *ramp.shape[2:]), "u2") for _ in range(3))
        dilution = dilution_factors(ngroups, nframes) if self.use_readpatt else np.ones(ngroups)
        grow = self.n_pix_grow_sat

        find_saturation(ramp.data, ramp.groupdq, threshold, first)
        flag_saturation(
            ramp.data, ramp.groupdq, threshold, xp.asarray(dilution), flags, first, grown, partial, nx=nx, grow=grow
        )
        if self.use_readpatt and nframes > 1:
            bias = superbias.data if superbias else None
            flag_partial_saturation(
                ramp.data, ramp.groupdq, threshold, bias, grown, partial, nx=nx, grow=grow, nframes=nframes
            )
        if ramp.zeroframe is not None:
            self._blank(ramp.zeroframe, threshold, flags, xp)
        ramp.pixeldq |= flags
        return ramp

    def _flag_irs2(self, ramp, threshold, flags, superbias):
        """Flag the normal rows alone; hidden jumps into saturation count as SATURATED, and partial saturation not."""
        xp = array_module(ramp.data)
        normal = xp.asarray(Readout.of(ramp).normal)
        nframes = ramp.need("exposure.nframes") if self.use_readpatt and ramp.shape[1] > 2 else 0
        first, hidden = (xp.empty((ramp.shape[0], *threshold.shape), kind) for kind in ("u2", "u1"))
        bias = superbias.data if superbias else None
        find_irs2_saturation(ramp.data, ramp.groupdq, threshold, bias, normal, first, hidden, nframes=nframes)
        flag_irs2_saturation(ramp.groupdq, normal, first, hidden, grow=self.n_pix_grow_sat)
        ramp.pixeldq[normal] |= flags
        return ramp

    def _blank(self, zeroframe, threshold, flags, xp):
        """Set a zero frame to 0 where it is saturated, next to saturation, or at the floor."""
        nints, ny, nx = zeroframe.shape
        frames = zeroframe.reshape(nints, 1, ny, nx)
        groupdq = xp.zeros(frames.shape, "u1")
        first, grown, partial = (xp.empty((nints, ny, nx), "u2") for _ in range(3))
        find_saturation(frames, groupdq, threshold, first)
        grow = self.n_pix_grow_sat
        flag_saturation(frames, groupdq, threshold, xp.ones(1), flags, first, grown, partial, nx=nx, grow=grow)
        zeroframe[groupdq[:, 0] != 0] = 0


def usable_threshold(saturation):
    """Return the thresholds and flags of a reference: what cannot be checked gets a threshold beyond reach."""
    threshold, flags = saturation.take("data"), saturation.take("dq")
    xp = array_module(threshold)
    flags |= xp.isnan(threshold) * xp.uint32(PIXEL.NO_SAT_CHECK)
    threshold[flags & PIXEL.NO_SAT_CHECK != 0] = ABOVE_CONVERTER
    return threshold, flags


def dilution_factors(ngroups, nframes):
    """Return, for each group, the mean number of its frames since the reset over the number of its last.

    The frames dropped between groups are not counted, as in the official pipeline.
    """
    last = np.arange(1, ngroups + 1) * float(nframes)
    return (last - (nframes - 1) / 2) / last


@kernel
def find_saturation(ramp, groupdq, threshold, first):
    """Write the first saturated group of every pixel; flag counts at the converter's floor."""
    nints, ngroups = ramp.shape[:2]
    first[...] = ngroups
    for g in reversed(range(ngroups)):
        first[(ramp[:, g] >= threshold) | (groupdq[:, g] & GROUP.SATURATED != 0)] = g
    groupdq |= (ramp <= 0) * np.uint8(GROUP.AD_FLOOR | GROUP.DO_NOT_USE)


@kernel
def flag_saturation(ramp, groupdq, threshold, dilution, flags, first, grown, partial, nx, grow):
    """Flag every group from the first saturated one of a pixel's neighbourhood on; note the group partly saturated."""
    ngroups = ramp.shape[1]
    bad = GROUP.DO_NOT_USE | GROUP.SATURATED
    grown[...] = neighbourhood(first, grow, np.minimum)
    partial[...] = ngroups
    for g in range(ngroups):
        groupdq[:, g] |= (grown <= g) * np.uint8(GROUP.SATURATED)
    for g in range(ngroups - 1):
        reach = np.where(flags & PIXEL.NO_SAT_CHECK != 0, 1.0, dilution[g])
        reached = ramp[:, g] >= threshold * reach
        partial[(grown == g + 1) & (dilution[g] != 1) & (groupdq[:, g] & bad == 0) & reached] = g


@kernel
def flag_partial_saturation(ramp, groupdq, threshold, bias, grown, partial, nx, grow, nframes):
    """Flag the partly saturated groups DO_NOT_USE with their neighbours, and hidden jumps into saturation."""
    ngroups = ramp.shape[1]
    for g in range(ngroups - 1):
        groupdq[:, g] |= neighbourhood(partial == g, grow, np.logical_or) * np.uint8(GROUP.DO_NOT_USE)
    if ngroups > 2:
        b = np.float32(0) if bias is None else bias
        d0, d1 = ramp[:, 0], ramp[:, 1]
        expected = (d0 - b) / np.float64((1 + nframes) / 2) * np.float64(3 * nframes) + b
        hidden = (grown == 2) & (expected < threshold) & (d1 - d0 > (threshold - d0) / np.float32(nframes))
        groupdq[:, 1] |= hidden * np.uint8(GROUP.DO_NOT_USE)


@kernel
def find_irs2_saturation(ramp, groupdq, threshold, bias, rows, first, hidden, nframes):
    """Do as find_saturation for some rows; find hidden jumps of the second group into saturation, if nframes."""
    ngroups = ramp.shape[1]
    first[...], hidden[...] = ngroups, 0
    for g in reversed(range(ngroups)):
        first[ramp[:, g, rows] >= threshold] = g
    groupdq[:, :, rows] |= (ramp[:, :, rows] <= 0) * np.uint8(GROUP.AD_FLOOR | GROUP.DO_NOT_USE)
    if nframes:
        b = np.float32(0) if bias is None else bias[rows]
        d0, d1, d2 = (ramp[:, g, rows] for g in range(3))
        expected = (d0 - b) / np.float64((1 + nframes) / 2) * np.float64(3 * nframes) + b
        jump = d1 - d0 > (threshold - d0) / np.float32(nframes)
        hidden[...] = (expected < threshold) & jump & (d2 >= threshold)


@kernel
def flag_irs2_saturation(groupdq, rows, first, hidden, grow):
    """Flag every group from the first saturated one of a pixel's neighbourhood on, and the second if it is hidden."""
    grown = neighbourhood(first, grow, np.minimum)
    for g in range(groupdq.shape[1]):
        groupdq[:, g, rows] |= (grown <= g) * np.uint8(GROUP.SATURATED)
    if groupdq.shape[1] > 1:
        groupdq[:, 1, rows] |= neighbourhood(hidden, grow, np.maximum) * np.uint8(GROUP.SATURATED)


def neighbourhood(planes, reach, combine):
    """Combine every pixel of (..., ny, nx) planes with those up to reach rows and columns away."""
    result = planes.copy()
    for axis in (-2, -1):
        line = result.copy()
        for shift in range(1, min(reach, planes.shape[axis] - 1) + 1):
            rest = (slice(None),) * (-1 - axis)
            ahead, behind = (..., slice(shift, None), *rest), (..., slice(None, -shift), *rest)
            combine(result[ahead], line[behind], out=result[ahead])
            combine(result[behind], line[ahead], out=result[behind])
    return result
