"""Cleaning: the images of a ramp, some at a time, without their noise."""

from typing import Any

import numpy as np

from gpucal.device import array_module
from gpucal.flicker.background import background_plane
from gpucal.flicker.ordered import Ordered, sort_last_axis
from gpucal.flicker.stripes import find_stripes, gather_lines, remove_stripes

SCRATCH = 64 * 2**20  # bytes, roughly: two copies of the images that are worked on together
LEVEL_REACH = 3.0  # sigma; what counts for the background's level
CHANNEL = 512  # pixels of a full frame that share an amplifier
SIDE = 2048


class Cleaning:
    """How to clean the images of a ramp.

    mask: (1 or nints, ny, nx) uint8, 1 where there is background. axis: 1 if noise is common to columns (y runs along a
    line), 2 if to rows. flat: (ny, nx) float32 or None. template: (planes (ngroups, ny, nx), scale (nints)) or None.
    background: None, "median" or "model". noise_of: None, or a function that returns the noise (ny, nx) of an image and
    its mask in place of the medians of lines. background_to: an array in the shape of the ramp for what was subtracted.
    """

    def __init__(
        self, mask, axis, n_sigma, background, box_size, by_channel, flat=None, template=None, noise_of=None,
        background_to=None,
    ):  # fmt: skip
        self.mask, self.along_x, self.n_sigma = mask, axis == 2, n_sigma
        self.background, self.box_size, self.by_channel = background, box_size, by_channel
        self.flat, self.noise_of, self.background_to = flat, noise_of, background_to
        self.planes: Any = template and template[0]
        self.scale: Any = template and template[1]

    def run(self, ramp):
        """Clean all groups but the first (with a template, all), in place; return how many had no background."""
        nints, ngroups, ny, nx = ramp.shape
        step = 0 if self.planes is not None else 1
        together = max(1, SCRATCH // (8 * ny * nx))  # images
        several = max(1, together // max(ngroups - step, 1))  # integrations
        lost = 0
        for i in range(0, nints, several):
            ints, before = slice(i, i + several), None
            for g in range(0, ngroups - step, ngroups if several > 1 else together):
                groups = slice(g, ngroups if several > 1 else min(g + together, ngroups - step) + step)
                following = ramp.data[ints, groups.stop - 1].copy() if step and groups.stop < ngroups else None
                lost += self._clean(ramp, ints, groups, before)
                before = following
        return lost

    def _clean(self, ramp, ints, groups, before):
        """Clean some groups of some integrations; return how many images had no background."""
        data, groupdq = ramp.data[ints, groups], ramp.groupdq[ints, groups]
        xp = array_module(data)
        nints, ngroups, ny, nx = data.shape
        planes, scale = (None, None) if self.planes is None else (self.planes[groups], self.scale[ints])
        nimages = nints * (ngroups - 1 if planes is None else ngroups)
        mask = self.mask if len(self.mask) == 1 else self.mask[ints]
        images = (data, before, groupdq, mask, self.flat, planes, scale)
        nlines, npoints = (ny, nx) if self.along_x else (nx, ny)
        lines = xp.empty((nimages, nlines, npoints), "f4")
        gather_lines(*images, None, None, lines, along_x=self.along_x)
        values = Ordered(lines.reshape(nimages, -1).copy())
        usable, limits, plane = values.any, None, None
        if self.background is not None:
            values.clip(LEVEL_REACH, LEVEL_REACH, lower_half=True)
            if self.background == "model":
                limits = values.ends()
                plane = self._model(images, values, usable)
                gather_lines(*images, limits, plane, lines, along_x=self.along_x)
                values = Ordered(lines.reshape(nimages, -1).copy())
            else:
                values.offset = xp.where(usable, values.medians(), np.float32(0))
            if self.n_sigma > 0:
                values.clip(self.n_sigma, self.n_sigma, lower_half=True)
        if self.noise_of is None:
            stripes, noise = self._stripes(lines, values), None
        else:
            stripes, noise = None, self._noise(images, values, limits, plane, usable)
        if self.background_to is not None:
            self._save(self.background_to[ints, groups], values.offset, plane, usable, planes, scale)
        remove_stripes(
            data, before, self.flat, planes, scale, usable.astype("u1"), values.offset, plane, stripes, noise,
            length=npoints // (stripes.shape[2] if noise is None else 1), along_x=self.along_x,
        )  # fmt: skip
        return nimages - int(usable.sum())

    def _stripes(self, lines, values):
        """Return the noise of every line, of every amplifier's part of it: (nimages, nlines, nchannels) float32."""
        xp = array_module(lines)
        nimages, nlines, npoints = lines.shape
        nchannels = SIDE // CHANNEL if self.by_channel and npoints == SIDE else 1
        parts = lines.reshape(nimages, nlines * nchannels, -1)
        sort_last_axis(parts)
        stripes = xp.empty((nimages, nlines, nchannels), "f4")
        find_stripes(parts, values.ends(), values.offset, stripes.reshape(nimages, -1))
        return stripes

    def _model(self, images, values, usable):
        """Return the smooth background of every image, (nimages, ny, nx) float32."""
        planes = self._masked(images, values, values.ends(), None)
        for plane, median, any_ in zip(planes, values.medians(), usable, strict=True):
            plane[...] = background_plane(plane, self.box_size, median) if bool(any_) else 0
        return planes

    def _noise(self, images, values, limits, plane, usable):
        """Return the noise of every image, (nimages, ny, nx) float32, by noise_of."""
        planes = self._masked(images, values, values.ends() if plane is None else limits, plane)
        for image, offset, any_ in zip(planes, values.offset, usable, strict=True):
            image[...] = self.noise_of(image - offset) if bool(any_) else 0
        return planes

    def _masked(self, images, values, limits, plane):
        """Return what is background in all images, NaN elsewhere: (nimages, ny, nx) float32."""
        xp = array_module(values.values)
        masked = xp.empty((len(values.values), *images[0].shape[2:]), "f4")
        gather_lines(*images, limits, plane, masked, along_x=True)
        if plane is not None:
            low, high = values.ends()[:, :, None, None].swapaxes(0, 1)
            masked[~((masked >= low) & (masked <= high))] = np.nan
        return masked

    def _save(self, to, offset, plane, usable, planes, scale):
        """Note what is subtracted from the images besides the noise."""
        xp = array_module(to)
        if planes is not None:
            level = scale[:, None, None, None] * planes
        else:
            to = to[:, 1:]
            level = (offset[:, None, None] if plane is None else plane).reshape(*to.shape[:2], -1, 1)
            level = level.reshape(to.shape) if plane is not None else level
        to[...] = xp.where(usable.reshape(*to.shape[:2], 1, 1), level, to)
