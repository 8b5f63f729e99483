"""Snowballs: large round events of near-infrared detectors, a core that saturates within a disc of jumps.

Source: the JWST documentation of the jump step, "Large events".
"""

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.dq import GROUP
from gpucal.large_events.regions import Regions, pixels_where

JUMP, SATURATED = np.uint8(GROUP.JUMP_DET), np.uint8(GROUP.SATURATED)


def flag_snowballs(groupdq, step, group_time):
    """Flag an ellipse around each snowball as jumps and one around its core as saturated; return how many there were.

    groupdq: (nints, ngroups, ny, nx) uint8, with the jumps of single pixels, changed in place. step: a Jump, for its
    parameters. group_time: s. A core stays saturated to the end of its integration, and its pixels are flagged as jumps
    for some time in the next one.
    """
    nints, ngroups, *shape = groupdq.shape
    found, cores = 0, []
    for integration in range(nints):
        groups = groupdq[integration]
        coming = _newly_saturated(groups, 1)
        for g in range(1, ngroups):
            now = _not_yet_saturated(groups[g - 1], coming)  # a core may have grown over some of them
            coming = _newly_saturated(groups, g + 1) if g + 1 < ngroups else now[:0]
            jumps = Regions(pixels_where(groups[g] & JUMP), shape)
            large = jumps.larger_than(step.min_jump_area)
            if step.sat_required_snowball:
                now, later = Regions(now, shape), Regions(coming, shape)
                centres = [regions.centres[regions.larger_than(step.min_sat_area)] for regions in (now, later)]
                snowballs = _around(jumps, large, np.concatenate(centres), step.edge_size)
                grown = _large_cores(now, step)
                cores += [(integration, core) for core in grown]
                for core in grown:
                    _flag_core(groups[g:], core, step)
            else:
                snowballs = [jumps.ellipse(k) for k in large]
            for snowball in snowballs:
                _flag_disc(groups[g], snowball, step)
            found += len(snowballs)
    if step.mask_snowball_core_next_int:
        last = min(int(step.snowball_time_masked_next_int // group_time), ngroups)
        for integration, core in cores:
            if integration + 1 < nints:
                _flag_afterglow(groupdq[integration + 1, 1:last], core)
    return found


def _newly_saturated(groups, g):
    return pixels_where(groups[g] & ~groups[g - 1] & SATURATED)


def _not_yet_saturated(flags, pixels):
    """Return those of the pixels that are not saturated in a plane of flags."""
    at = array_module(flags).asarray(pixels)
    return pixels[to_host(flags.reshape(-1)[at] & SATURATED) == 0]


def _around(jumps, large, centres, edge):
    """Return ellipses of jumps with the centre of a saturated region inside, or so near an edge that it may be outside.

    As in the official pipeline, the number of rows is taken for that of columns too.
    """
    low, high = edge, max(0, jumps.shape[0] - edge)
    middle = jumps.centres[large]
    at_edge = ((middle < low) | (middle > high)).any(axis=1)
    snowballs = [jumps.ellipse(k) for k in large[at_edge]]
    inside = large[~at_edge]
    for k in inside[_near(jumps.centres[inside], jumps.reach[inside], centres)]:
        ellipse = jumps.ellipse(k)
        if ellipse.contains(centres).any() and ellipse not in snowballs:
            snowballs.append(ellipse)
    return snowballs


def _near(points, distances, others):
    """Tell which of the points are within their distance of one of the others."""
    from scipy.spatial import KDTree

    if not len(points) or not len(others):
        return np.zeros(len(points), bool)
    return KDTree(others).query(points)[0] <= distances


def _large_cores(saturated, step):
    """Return the ellipses of saturated regions that are large enough to grow."""
    large = saturated.larger_than(step.min_sat_area)
    large = large[saturated.widest[large] > step.min_sat_radius_extend]
    ellipses = [saturated.ellipse(k) for k in large]
    return [ellipse for ellipse in ellipses if ellipse.minor > step.min_sat_radius_extend]


def _flag_core(groups, core, step):
    """Flag a core, somewhat wider, as saturated; whatever was flagged there is forgotten."""
    radii = core.radii_wider_by(2 * step.sat_expand, 2 * step.max_extended_radius)
    box, inside = core.pixels(radii, groups.shape[1:])
    view = groups[:, *box]
    xp = array_module(view)
    view[...] = xp.where(xp.asarray(inside), SATURATED, view)


def _flag_disc(flags, snowball, step):
    """Flag what is in reach of a snowball as jumps, unless it is saturated."""
    radii = snowball.radii_times(step.expand_factor, 2 * step.max_extended_radius)
    box, inside = snowball.pixels(radii, flags.shape)
    view = flags[box]
    xp = array_module(view)
    view |= (xp.asarray(inside) & (view & SATURATED == 0)) * JUMP


def _flag_afterglow(groups, core):
    """Flag the pixels of a core as jumps."""
    box, inside = core.pixels(core.radii_wider_by(0, np.inf), groups.shape[1:])
    view = groups[:, *box]
    view |= array_module(view).asarray(inside * JUMP)
