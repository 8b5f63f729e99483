"""RSCD: leave out the first groups of a MIRI integration, which remember the one before (reset switch charge decay)."""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.errors import Skip
from gpucal.step import Step

RENAMED = {"SUBPRISM": "SLITLESSPRISM"}  # what old exposures call a subarray


@dataclass(frozen=True)
class Rscd(Step):
    """Flag the first groups DO_NOT_USE, fewer of them where a pixel saturates too soon to lose them."""

    scope: ClassVar = "integration"

    def process(self, ramp, rscd):
        """Flag the groups that the reference names for the subarray, the read pattern and the integration."""
        nints, ngroups = ramp.shape[:2]
        if not str(ramp.need("instrument.detector")).startswith("MIR"):
            raise Skip("only for MIRI")
        skips = _groups_to_skip(ramp, rscd)
        if ngroups < 3:
            raise Skip("fewer than three groups")
        first, later = (_limited(skip, ngroups) for skip in skips)
        starts_exposure = (ramp.meta.exposure.integration_start or 1) + ramp.first == 1
        counts = ramp.meta.rscd
        if starts_exposure:
            lowered, only_one = _flag(ramp, "int1", slice(0, 1), first)
            counts.keep_groups_saturation_int1, counts.keep_bright_firstgroup_int1 = lowered, only_one
            counts.ngroups_skip_int1 = first
        if (ramp.meta.exposure.nints or ramp.nints) > 1:
            lowered, only_one = _flag(ramp, "int2p", slice(1 if starts_exposure else 0, nints), later)
            counts.keep_groups_saturation_int2p, counts.keep_bright_firstgroup_int2p = lowered, only_one
            counts.ngroups_skip_int2p = later
        return ramp


def _groups_to_skip(ramp, rscd):
    """The reference's numbers for the first and for later integrations."""
    subarray = ramp.need("subarray.name")
    wanted = RENAMED.get(subarray, subarray), ramp.need("exposure.readpatt")
    for row in rscd.table("RSCD_GROUP_SKIP"):
        if tuple(_text(row[name]) for name in ("subarray", "readpatt")) == wanted:
            first = int(row["group_skip1"])
            return (first if first >= 0 else 1), int(row["group_skip"])
    raise Skip(f"{rscd.path.name} has no row for {' '.join(wanted)}")


def _text(value):
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _limited(skip, ngroups):
    """Leave at least three groups, of which the last is not used either."""
    if ngroups <= 5:
        skip = 1
    return max(0, ngroups - 3) if ngroups < skip + 3 else skip


def _flag(ramp, name, integrations, skip):
    """Flag the first `skip` groups; return how many pixels lose fewer, and how many of these lose none.

    A pixel that is saturated in the group after the next keeps one group more for each earlier group in which it is
    saturated too, unless it is saturated from the first group on.
    """
    xp = array_module(ramp.data)
    flags = ramp.groupdq[integrations]
    skips = xp.full((len(flags), *flags.shape[2:]), skip)
    lost = flags[:, 0] & GROUP.SATURATED != 0
    fewer = none = xp.zeros(ramp.pixeldq.shape, bool)
    group = skip + 1
    saturated = (flags[:, group] & GROUP.SATURATED != 0) & ~lost
    if bool(saturated.any()):
        while bool(saturated.any()) and group > 0:
            skips = xp.where(saturated, xp.maximum(skips - 1, 0), skips)
            group -= 1
            saturated = (flags[:, group] & GROUP.SATURATED != 0) & ~lost
        fewer, none = (skips < skip).any(axis=0), (skips == 0).any(axis=0)
        ramp.pixeldq |= fewer * xp.uint32(PIXEL.FLUX_ESTIMATED)
    for group in range(skip):
        flags[:, group] |= (group < skips) * xp.uint8(GROUP.DO_NOT_USE)
    if ramp.whole:
        fewer, none = ramp.whole.unite(f"fewer, {name}", fewer), ramp.whole.unite(f"none, {name}", none)
    return int(fewer.sum()), int(none.sum())
