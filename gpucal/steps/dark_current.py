"""Dark current: subtract what the detector collects without light."""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from gpucal.dark_file import write_dark
from gpucal.device import array_module, nan_to_zero, to_host
from gpucal.errors import ReferenceFileError, Skip
from gpucal.kernel import kernel
from gpucal.step import Step


@dataclass(frozen=True)
class DarkCurrent(Step):
    """Subtract a dark ramp, its frames averaged like the exposure's; keep the mean dark current for the noise."""

    dark_output: str | None = None  # FITS file that takes the dark as it was subtracted
    average_dark_current: float | None = None  # electron/s; replaces the reference's own value

    status: ClassVar[str] = "dark_sub"

    def process(self, ramp, dark):
        """Subtract group by group in place; zero frames stay."""
        nints, ngroups, _, _ = ramp.shape
        pattern = ramp.need("exposure.nframes"), ramp.need("exposure.groupgap")
        if any(d > s for d, s in zip(_pattern(dark), pattern, strict=True)):
            raise Skip(f"NFRAMES or GROUPGAP of {dark.path.name} exceeds the exposure's")
        several = len(dark.shape()) == 4  # MIRI: one dark for each of the first integrations
        used = dark.shape()[0] if several else 1
        # As in the official pipeline darks are averaged for as many integrations as the exposure has; the rest is 0.
        made = used if _pattern(dark) == pattern else min(used, ramp.nints)
        first = ramp.meta.exposure.integration_start or 1
        for integration in range(nints):
            number = ramp.first + integration
            which = number if number < used and first == 1 else used - 1
            if which < made:
                ramp.data[integration] -= matched(dark, which, ngroups, *pattern)
        for flags in dark.dq[:, 0] if several else [dark.dq]:
            ramp.pixeldq |= flags
        ramp.average_dark_current = self._mean_current(ramp, dark)
        if self.dark_output:
            whole = max(ngroups, dark.shape()[-3]) if _pattern(dark) == pattern else ngroups
            planes = [to_host(matched(dark, which, whole, *pattern)) for which in range(made)]
            data = np.zeros((used, *planes[0].shape), "f4")
            data[:made] = planes
            write_dark(self.dark_output, dark, data if several else data[0], *pattern)
        return ramp

    @property
    def scope(self):
        """An integration; the exposure, if the dark is to be written."""
        return "exposure" if self.dark_output else "integration"

    def _mean_current(self, ramp, dark):
        """Return the mean dark current of every pixel, electron/s.

        As in the official pipeline a two-dimensional AVDRKCUR is not used: its check of the shapes, which
        compares with an array that is never there, fails for every exposure (jwst 3.0.0).
        """
        xp = array_module(ramp.data)
        scalar = self.average_dark_current
        if scalar is None and not (dark.has("average_dark_current") and bool(dark.average_dark_current.sum() != 0)):
            scalar = dark.keyword("AVDRKCUR", 0.0)
        if scalar is None:
            return ramp.average_dark_current
        return xp.full(ramp.shape[2:], scalar, "f4")


def matched(dark, integration, ngroups, nframes, groupgap):
    """Return the dark of an integration with the exposure's groups: (ngroups, ny, nx) DN, made once per run.

    NaN counts as 0. A dark that is too short is continued with the difference of its last two groups.
    """
    key = ("matched", integration, ngroups, nframes, groupgap)
    return dark.made(key, lambda: _match(dark, integration, ngroups, nframes, groupgap))


def _match(dark, integration, ngroups, nframes, groupgap):
    xp = dark.device.xp
    stored = dark.shape()[-3]
    its_frames, its_gap = _pattern(dark)
    offset = integration * stored
    if ngroups * nframes + (ngroups - 1) * groupgap > stored * its_frames + (stored - 1) * its_gap:
        return _extrapolated(dark, offset, ngroups, nframes, groupgap)
    if (its_frames, its_gap) == (nframes, groupgap):
        return nan_to_zero(dark.planes("data", offset, ngroups))
    groups = None
    for group in range(ngroups):
        frames = dark.planes("data", offset + group * (nframes + groupgap), nframes)
        if groups is None:
            groups = xp.empty((ngroups, *frames.shape[1:]), "f4")
        average_frames(frames, groups[group])
    return groups


def _extrapolated(dark, offset, ngroups, nframes, groupgap):
    """Continue a short dark in double precision, then average it; all of it at once, for it is rare."""
    xp = dark.device.xp
    stored = dark.shape()[-3]
    its_frames, its_gap = _pattern(dark)
    if stored < 2:
        raise ReferenceFileError(f"{dark.path}: has too few groups to be extrapolated")
    missing = ngroups * nframes + (ngroups - 1) * groupgap - (stored * its_frames + (stored - 1) * its_gap)
    more = ceil((missing + its_gap) / (its_frames + its_gap))
    known = dark.planes("data", offset, stored)
    rate = known[-1] - known[-2]
    steps = xp.arange(1, more + 1).reshape(-1, 1, 1)
    whole = nan_to_zero(xp.concatenate([known, steps * rate.astype("f8") + known[-1]]))
    if (its_frames, its_gap) == (nframes, groupgap):
        return whole[:ngroups]
    groups = xp.empty((ngroups, *whole.shape[1:]), "f4")
    for group in range(ngroups):
        begin = group * (nframes + groupgap)
        groups[group] = whole[begin : begin + nframes].mean(axis=0)
    return groups


def _pattern(dark):
    """The frames per group of a dark, and the frames dropped between groups."""
    values = dark.keyword("NFRAMES"), dark.keyword("GROUPGAP")
    if None in values:
        raise ReferenceFileError(f"{dark.path}: keyword {'NFRAMES' if values[0] is None else 'GROUPGAP'} is missing")
    return values


@kernel
def average_frames(frames, group):
    """Write the mean of the frames, NaN counting as 0."""
    total = np.zeros(group.shape, "f4")
    for frame in frames:
        total += np.where(np.isnan(frame), np.float32(0), frame)
    group[...] = total / np.float32(len(frames))
