"""Picture frame: subtract the glow of NIRSpec's detectors, brighter at their edges, that changes with temperature.

Source: the JWST documentation of the step.
"""

from dataclasses import dataclass

import numpy as np

from gpucal.device import array_module
from gpucal.errors import Failed, ReferenceFileError, Skip
from gpucal.flicker import scene
from gpucal.kernel import kernel
from gpucal.step import Step

CENTRE = slice(76, 1984)  # rows and columns
EDGES = slice(4, 75), slice(1985, 2043)
INSIDE = slice(4, 2043)  # of the reference pixels


@dataclass(frozen=True)
class PictureFrame(Step):
    """Scale the picture to the levels at the centre and the edges of each group, and subtract it; full frames only."""

    skip: bool = True  # leave the exposure as it is
    mask_science_regions: bool = True  # leave out where spectra lie
    n_sigma: float = 2.0  # sigma; background reaches so far from its median; 0: no limits
    save_mask: bool = False  # write the mask, with the suffix pctfrm_mask
    save_correction: bool = False  # write what was added, with the suffix pctfrm_correction

    def process(self, ramp, pictureframe, readnoise=None, gain=None):
        """Correct every group but the first."""
        xp = array_module(ramp.data)
        if ramp.need("instrument.name") != "NIRSPEC" or ramp.need("subarray.name").upper() != "FULL":
            raise Skip("only full frames of NIRSpec have a picture frame")
        if ramp.shape[1] == 1:
            raise Skip("a single group")
        if self.mask_science_regions:
            raise Failed(f"mask_science_regions {scene.NO_WCS}: switch it off to correct without")
        for reftype, reference in (("readnoise", readnoise), ("gain", gain)):
            if reference is None:
                raise ReferenceFileError(f"no {reftype} reference for {ramp.source}")
        mask = scene.background_mask(scene.draft_rate(ramp, readnoise, gain).rate.data, self.n_sigma)
        centre, edge = regions(mask)
        if not (centre.size and edge.size):
            raise Skip("no background at the centre or at the edges")

        slope = pictureframe.data
        reference_centre, reference_edge = _median(slope.ravel()[centre]), _median(slope.ravel()[edge])
        levels = [
            xp.stack([_levels(integration, pixels) for integration in ramp.data.reshape(*ramp.shape[:2], -1)])
            for pixels in (centre, edge)
        ]
        scale = (levels[0] - levels[1]) / (reference_centre - reference_edge)
        original = ramp.data.copy() if self.save_correction else None
        subtract_frame(ramp.data, slope - reference_edge, scale, levels[1])
        if self.save_mask:
            ramp.byproducts["pctfrm_mask"] = scene.like(ramp, mask.astype("f4"))
        if self.save_correction:
            ramp.byproducts["pctfrm_correction"] = scene.like(ramp, ramp.data - original)
        return ramp


def regions(mask):
    """Return the indices, in the flattened mask, of the background at the centre and at the edges."""
    xp = array_module(mask)
    centre, edge = xp.zeros_like(mask), xp.zeros_like(mask)
    centre[CENTRE, CENTRE] = True
    for part in EDGES:
        edge[part, INSIDE] = edge[INSIDE, part] = True
    return tuple(xp.flatnonzero(mask & region) for region in (centre, edge))


def _levels(groups, pixels):
    """Return the median of some pixels in each group but the first, relative to the first: (ngroups - 1) float32."""
    xp = array_module(groups)
    first = groups[0][pixels]
    return xp.stack([_median(group[pixels] - first) for group in groups[1:]])


def _median(values):
    xp = array_module(values)
    finite = values[~xp.isnan(values)]
    return xp.median(finite) if finite.size else xp.asarray(np.nan, "f4")


@kernel
def subtract_frame(ramp, frame, scale, offset):
    """Subtract the scaled and shifted picture."""
    nints, ngroups = ramp.shape[:2]
    data = ramp.reshape(nints, ngroups, -1)
    first = data[:, :1].copy()
    correction = scale[..., None] * frame.reshape(-1) + offset[..., None]
    data[:, 1:] = (data[:, 1:] - first) + (first - correction)
