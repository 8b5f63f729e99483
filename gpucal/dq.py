"""Data-quality flags: the bits of DQ, PIXELDQ and GROUPDQ, and the mapping of a reference file's own bits.

Source: the JWST documentation, "Data quality flags".
"""

import numpy as np

from gpucal.kernel import kernel

NAMES = (
    "DO_NOT_USE SATURATED JUMP_DET DROPOUT OUTLIER PERSISTENCE AD_FLOOR CHARGELOSS RESERVED NON_SCIENCE DEAD HOT WARM "
    "LOW_QE RC TELEGRAPH NONLINEAR BAD_REF_PIXEL NO_FLAT_FIELD NO_GAIN_VALUE NO_LIN_CORR NO_SAT_CHECK UNRELIABLE_BIAS "
    "UNRELIABLE_DARK UNRELIABLE_SLOPE UNRELIABLE_FLAT OPEN ADJ_OPEN FLUX_ESTIMATED MSA_FAILED_OPEN OTHER_BAD_PIXEL "
    "REFERENCE_PIXEL"
).split()

BITS = {name: 1 << bit for bit, name in enumerate(NAMES)}


class PIXEL:
    """Flags of a pixel, uint32."""

    DO_NOT_USE = 1 << 0
    SATURATED = 1 << 1
    JUMP_DET = 1 << 2
    BAD_REF_PIXEL = 1 << 17
    NO_FLAT_FIELD = 1 << 18
    NO_GAIN_VALUE = 1 << 19
    NO_LIN_CORR = 1 << 20
    NO_SAT_CHECK = 1 << 21
    FLUX_ESTIMATED = 1 << 28
    REFERENCE_PIXEL = 1 << 31


class GROUP:
    """Flags of one group of one pixel, uint8: the lowest eight bits of the pixel's."""

    DO_NOT_USE = 1 << 0
    SATURATED = 1 << 1
    JUMP_DET = 1 << 2
    PERSISTENCE = 1 << 5
    AD_FLOOR = 1 << 6
    CHARGELOSS = 1 << 7


def meaning(definitions):
    """Return the standard flags of each of the 32 bits that a reference file's DQ_DEF table defines.

    definitions: rows with VALUE and NAME. Bits that the table does not list, and names that JWST does not know, mean
    nothing, as in the official data models.
    """
    table = np.zeros(32, np.uint32)
    for row in definitions:
        name = row["NAME"]
        flag = BITS.get((name.decode() if isinstance(name, bytes) else str(name)).strip())
        if flag is not None:
            table[[bool(int(row["VALUE"]) >> bit & 1) for bit in range(32)]] |= np.uint32(flag)
    return table


@kernel
def remap_flags(stored, meaning, standard):
    """Replace every stored bit by the standard flags it means."""
    standard[...] = 0
    for bit, flags in enumerate(meaning):
        standard[stored >> np.uint32(bit) & 1 != 0] |= flags
