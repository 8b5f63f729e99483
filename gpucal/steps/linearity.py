"""Linearity: undo the detector's non-linear response with a per-pixel polynomial."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.kernel import kernel
from gpucal.step import Step
from gpucal.stripes import Stripes


@dataclass(frozen=True)
class Linearity(Step):
    """Correct every unsaturated group; flag the pixels that cannot be corrected."""

    scope: ClassVar = "integration"

    def process(self, ramp, linearity):
        """Correct groups and zero frames in place; groups that average frames read by read, if the reference can."""
        by_read = linearity.has("inv_coeffs") and ramp.need("exposure.nframes") > 1
        by_read &= not len(ramp.meta.exposure.read_times or ()) and not Stripes.of(ramp)
        coeffs, inverse, flags = linearity.made(("usable", by_read), lambda: usable_coefficients(linearity, by_read))
        ramp.pixeldq |= flags
        if by_read and ramp.shape[1] > 1:
            linearize_reads(ramp.data, ramp.groupdq, coeffs, inverse, nframes=ramp.need("exposure.nframes"))
        else:
            linearize(ramp.data, ramp.groupdq, coeffs)
        if ramp.zeroframe is not None:
            linearize(ramp.zeroframe[:, None], None, coeffs)
        return ramp


def usable_coefficients(linearity, with_inverse=False):
    """Return the coefficients, those of the inverse or None, and the flags of a reference.

    What cannot be corrected gets the polynomial s, and a flag: a pixel flagged NO_LIN_CORR, with a NaN among its
    coefficients, or without a linear term.
    """
    flags = linearity.take("dq")
    unusable = flags & PIXEL.NO_LIN_CORR != 0
    coeffs, more = _without(unusable, linearity.take("coeffs"))
    inverse, still_more = _without(unusable, linearity.take("inv_coeffs")) if with_inverse else (None, more)
    flags |= (more | still_more) * array_module(flags).uint32(PIXEL.NO_LIN_CORR)
    return coeffs, inverse, flags


def _without(unusable, coeffs):
    """Replace, in place, what is unusable or cannot be used; return the coefficients and where that was."""
    xp = array_module(coeffs)
    unusable = unusable | (coeffs[1] == 0)
    for term in coeffs:
        unusable |= xp.isnan(term)
    coeffs[:, unusable] = 0
    coeffs[1, unusable] = 1
    return coeffs, unusable


@kernel
def linearize(ramp, groupdq, coeffs):
    """Replace each count s by c0 + c1 s + c2 s^2 + ... in place, except where it is saturated."""
    value = polynomial(coeffs, ramp)
    keep = ramp == 0 if groupdq is None else groupdq & GROUP.SATURATED != 0
    np.copyto(ramp, value, where=~keep)


@kernel
def linearize_reads(ramp, groupdq, coeffs, inverse, nframes):
    """Predict the reads that each group averages, correct them and average them, except where it is saturated."""
    ngroups = ramp.shape[1]
    centre = np.arange(ngroups) * nframes + (nframes + 1) / 2
    for data, saturated in zip(ramp, groupdq & GROUP.SATURATED != 0, strict=True):
        last = np.maximum((~saturated).sum(axis=0) - 1, 2) - 1
        first = np.where(saturated[0], data[0], polynomial(coeffs, data[0]))
        second = np.take_along_axis(data, last[None], axis=0)[0]
        kept = np.take_along_axis(saturated, last[None], axis=0)[0]
        second = np.where(kept, second, polynomial(coeffs, second))
        rate = (second - first) / (centre[last] - centre[0])
        for g in range(ngroups):
            reads = [g * nframes + 1 + read - centre[0] for read in range(nframes)]
            raw = [polynomial(inverse, first + rate * since) for since in reads]
            offset = data[g] - sum(raw[1:], raw[0]) / nframes
            true = [polynomial(coeffs, counts + offset) for counts in raw]
            np.copyto(data[g], sum(true[1:], true[0]) / nframes, where=~saturated[g], casting="same_kind")


def polynomial(coeffs, counts):
    """Evaluate c0 + c1 s + c2 s^2 + ..., Horner from the top, in the precision of the counts."""
    value = coeffs[-1] * counts
    for c in coeffs[-2:0:-1]:
        value = (value + c) * counts
    return value + coeffs[0]
