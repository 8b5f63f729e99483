"""Data-quality arrays of reference files, with a DQ_DEF table that gives each bit its meaning."""

import numpy as np

from gpucal.dq import BITS

# Not the standard order, and not all flags: who copies bits instead of mapping names gets it wrong.
TRICKY_ORDER = [
    "DO_NOT_USE",
    "HOT",
    "DEAD",
    "UNRELIABLE_BIAS",
    "REFERENCE_PIXEL",
    "NON_SCIENCE",
    "WARM",
    "RC",
    "TELEGRAPH",
    "OPEN",
    "ADJ_OPEN",
    "LOW_QE",
    "NO_LIN_CORR",
    "NO_SAT_CHECK",
    "UNRELIABLE_DARK",
    "NO_FLAT_FIELD",
    "UNRELIABLE_FLAT",
    "NONLINEAR",
    "OTHER_BAD_PIXEL",
]
UNKNOWN = "NOT_A_JWST_FLAG"  # to be ignored by whoever reads the file


class Bits:
    """The bits of a reference file's DQ array; plain: in the standard order, without the unknown flag."""

    def __init__(self, plain):
        self.values = dict(BITS) if plain else {name: 1 << bit for bit, name in enumerate([*TRICKY_ORDER, UNKNOWN])}

    def definitions(self, dtype):
        """Return the DQ_DEF table: bit, value, name, description."""
        rows = [(value.bit_length() - 1, value, name, name.lower()) for name, value in self.values.items()]
        return np.array(rows, dtype)

    def array(self, shape, *marks):
        """Return a DQ array (ny, nx) uint32; marks: pixels (anything that indexes the array), then their flags."""
        flags = np.zeros(shape, np.uint32)
        for pixels, *names in marks:
            flags[pixels] |= np.uint32(self.value(*names))
        return flags

    def value(self, *names):
        """Return the sum of the bits of some flags; the unknown flag is 0 in the standard order."""
        return sum(self.values.get(name, 0) if name == UNKNOWN else self.values[name] for name in names)
