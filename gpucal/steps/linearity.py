"""Linearity: undo the detector's non-linear response with a per-pixel polynomial."""

import logging
from dataclasses import dataclass

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.kernel import kernel
from gpucal.step import Step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Linearity(Step):
    """Correct every unsaturated group; flag the pixels that cannot be corrected."""

    def process(self, ramp, linearity):
        """Correct groups and zero frames in place."""
        if linearity.has("inv_coeffs") and ramp.need("exposure.nframes") > 1:
            log.warning("%s: INV_COEFFS of %s are not used", ramp.source, linearity.path.name)
        coeffs, flags = linearity.made("usable", lambda: usable_coefficients(linearity))
        ramp.pixeldq |= flags
        linearize(ramp.data, ramp.groupdq, coeffs)
        if ramp.zeroframe is not None:
            linearize(ramp.zeroframe[:, None], None, coeffs)
        return ramp


def usable_coefficients(linearity):
    """Return the coefficients and flags of a reference: what cannot be corrected gets the polynomial s, and a flag.

    That is a pixel flagged NO_LIN_CORR, with a NaN among its coefficients, or without a linear term.
    """
    coeffs, flags = linearity.take("coeffs"), linearity.take("dq")
    xp = array_module(coeffs)
    unusable = (flags & PIXEL.NO_LIN_CORR != 0) | (coeffs[1] == 0)
    for term in coeffs:
        unusable |= xp.isnan(term)
    coeffs[:, unusable] = 0
    coeffs[1, unusable] = 1
    flags |= unusable * xp.uint32(PIXEL.NO_LIN_CORR)
    return coeffs, flags


@kernel
def linearize(ramp, groupdq, coeffs):
    """Replace each count s by c0 + c1 s + c2 s^2 + ... in place, except where it is saturated."""
    value = coeffs[-1] * ramp
    for c in coeffs[-2:0:-1]:
        value = (value + c) * ramp
    value += coeffs[0]
    keep = ramp == 0 if groupdq is None else groupdq & GROUP.SATURATED != 0
    np.copyto(ramp, value, where=~keep)
