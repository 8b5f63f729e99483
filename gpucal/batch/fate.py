"""Fate: what became of one exposure of a batch."""

from dataclasses import dataclass, field
from pathlib import Path

from gpucal.step import Outcome


@dataclass
class Fate:
    """One exposure: its products, or the reason why there are none."""

    source: str
    products: list[Path] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0  # on the device
    log: list[str] = field(default_factory=list)  # what the steps said
    error: str = ""

    @property
    def name(self):
        """The name of the exposure's file."""
        return Path(self.source).name
