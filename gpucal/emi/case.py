"""Case: which waves an exposure suffers from, and the clocks of its readout, as a reference file or a table tells."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gpucal.errors import ReferenceFileError, Skip

# Clocks (ten microseconds) from row to row and of the frame reset between integrations, where no reference tells.
CLOCKS = {
    "FULL_FAST": (271, 277504),
    "FULL_SLOW": (2333, 2388992),
    "BRIGHTSKY": (162, 86528),
    "SUB256": (96, 29952),
    "SUB128": (44, 11904),
    "SUB64": (28, 8512),
    "SLITLESSPRISM": (28, 15904),
    "MASKLYOT": (90, 32400),
    "MASK1065": (82, 23968),
    "MASK1140": (82, 23968),
    "MASK1550": (82, 23968),
}


class Wave(NamedTuple):
    """One frequency of interference."""

    name: str
    frequency: float  # Hz
    shape: np.ndarray | None  # one period, evenly sampled; None if the exposure itself has to tell

    @property
    def period(self):
        """The period in ten-microsecond clocks."""
        return (1.0 / self.frequency) / 10.0e-6


@dataclass(frozen=True)
class Case:
    """The waves to remove from an exposure, and its clocks."""

    rowclocks: float  # from row to row
    frameclocks: float  # of a frame reset
    waves: list[Wave]

    @classmethod
    def from_reference(cls, reference, subarray, readpatt, detector):
        """Look the exposure's case up in a reference; Skip if it has none."""
        tree = reference.made("emi", lambda: _contents(reference))
        speed = "SLOW" if "SLOW" in readpatt else "FAST"
        case = tree["subarray_cases"].get(f"{subarray}_{speed}" if "FULL" in subarray else subarray, {})
        names = case.get("freqs", {}).get(speed, [])
        if speed == "SLOW":
            names = names.get(detector, []) if names else []
        if not names or case.get("rowclocks") is None:
            raise Skip(f"{reference.path.name} has no case for {subarray} {readpatt} {detector}")
        missing = [name for name in names if name not in tree["frequencies"]]
        if missing:
            raise ReferenceFileError(f"{reference.path}: frequency {missing[0]} is missing")
        waves = [tree["frequencies"][name] for name in names]
        return cls(
            case["rowclocks"],
            case["frameclocks"],
            [
                Wave(name, wave["frequency"], np.array(wave["phase_amplitudes"]))
                for name, wave in zip(names, waves, strict=True)
            ],
        )

    @classmethod
    def without_reference(cls, frequencies, subarray, readpatt):
        """Take the clocks from the table, and the waves from the exposure; Skip if the subarray is not in the table."""
        speed = "SLOW" if "SLOW" in readpatt else "FAST"
        name = f"{subarray}_{speed}" if subarray == "FULL" else subarray
        if name not in CLOCKS or not frequencies:
            raise Skip(f"no clocks of {subarray} are known")
        return cls(*CLOCKS[name], [Wave(repr(frequency), frequency, None) for frequency in frequencies])


def _contents(reference):
    """The frequencies and the cases of a reference, as plain dictionaries."""
    from stdatamodels.jwst.datamodels import EmiModel

    try:
        with EmiModel(str(reference.path)) as model:
            return {name: _plain(model[name].instance) for name in ("frequencies", "subarray_cases")}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ReferenceFileError(f"{reference.path}: is no EMICORR reference: {error}") from error


def _plain(node):
    """A copy that does not depend on the open file."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return np.array(node) if hasattr(node, "__array__") else node  # asdf's read the file when needed
