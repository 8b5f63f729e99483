"""What a REFPIX file says: how much of the reference signals to subtract at each frequency, and which are bad."""

from typing import NamedTuple

import numpy as np

from gpucal.errors import ReferenceFileError
from gpucal.irs2.geometry import LINES, NORMAL, PERIOD, SAMPLES, SLOTS
from gpucal.irs2.spectrum import arranged

AMPLIFIERS = 4


class Weights(NamedTuple):
    """Complex weights of the reference output and of an amplifier's own reference samples.

    output, own: (4, nlines / 2 + 1, nslots) complex64, in the arrangement of gpucal.irs2.spectrum.
    """

    output: np.ndarray
    own: np.ndarray


def weights(refpix):
    """Return the Weights in a REFPIX file, made once per run; ReferenceFileError if their number is wrong."""
    return refpix.made("weights", lambda: _weights(refpix))


def _weights(refpix):
    table = refpix.table("IRS2")
    expected = 2 * SLOTS * LINES
    if len(table) != expected:
        raise ReferenceFileError(f"{refpix.path}: IRS2 has {len(table)} rows, expected {expected}")
    return Weights(*(_of(refpix.device, table, name) for name in ("alpha", "beta")))


def _of(device, table, name):
    """Read the columns name_0 ... name_3: real and imaginary parts take turns.

    Signals are real, so only the part of the weights that has w[-k] = conj(w[k]) makes a difference.
    """
    xp = device.xp
    chosen = []
    for amplifier in range(AMPLIFIERS):
        column = np.ascontiguousarray(table[f"{name}_{amplifier}"], dtype="f4").view("c8")
        weight = device.upload(column)
        mirrored = xp.roll(weight[::-1], 1).conj()
        chosen.append(arranged(xp.float32(0.5) * (weight + mirrored), LINES))
    return xp.stack(chosen)


def listed_columns(refpix):
    """Yield, for each row of a file's DQ table, an output and the bad reference columns, in detector orientation."""
    if "DQ" not in refpix.tables:
        return
    for row in refpix.table("DQ"):
        output, parity, mask = (int(row[name]) for name in ("OUTPUT", "ODD_EVEN", "MASK"))
        pair = parity - 1 if output % 2 else 2 - parity  # even outputs are read the other way round
        first = output * SAMPLES + NORMAL // 2 + 2 * pair
        blocks = [block for block in range(32) if mask >> block & 1]
        yield output, [first + block * PERIOD + k for block in blocks for k in (0, 1)]
