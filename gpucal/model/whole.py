"""Whole: what a part of an exposure must know of the rest, where an exposure is larger than memory."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Whole:
    """The exposure that a ramp is a part of: some of its integrations, or some of the rows of all of them.

    shape: (nints, ngroups, ny, nx) of the exposure. first: the part's first integration. rows: those of the part's rows
    that are its own; the others are there as neighbours. last: whether this is the last part. unused: (nints, ngroups)
    bool, groups that every pixel flags DO_NOT_USE, and highest: the highest number in GROUPDQ, both known once all
    integrations have been seen.
    """

    shape: tuple[int, int, int, int]
    first: int = 0
    rows: slice | None = None
    last: bool = False
    unused: Any = None
    highest: int = 0
    masks: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, Any] = field(default_factory=dict)

    def unite(self, name, mask):
        """Return where this part's mask or that of a part before is True."""
        self.masks[name] = mask | self.masks[name] if name in self.masks else mask
        return self.masks[name]

    def add(self, name, value):
        """Return the sum of this part's value and those of the parts before."""
        self.sums[name] = self.sums.get(name, 0) + value
        return self.sums[name]
