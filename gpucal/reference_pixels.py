"""Reference pixels: which of an exposure's pixels tell an amplifier's level, and which the drift along the rows."""

from dataclasses import dataclass

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.dq import PIXEL
from gpucal.errors import InputError

EDGE = 4  # rows or columns of reference pixels at each edge of a detector
# Windows of NIRSpec without reference pixels, whose outermost columns serve as such.
WITHOUT = {"SUB512", "SUB512S", "SUB32"}


@dataclass(frozen=True)
class Layout:
    """Sets of reference pixels, as indices into the window's flattened pixels.

    pixels: (nrefs) the good ones, set after set; bounds: (nsets + 1) where each set begins. The sets run over
    amplifiers, two edges, and one or two parities. Amplifiers are `width` columns wide and repeat after `namps`; the
    parity is that of the row if by_row, else of the column. side_pixels: (2, nrows, 4), -1 for a bad one;
    side_signals: (2, 4), the place of a column's signal among the (amplifier, parity) pairs.
    """

    pixels: np.ndarray
    bounds: np.ndarray
    namps: int
    width: int
    by_row: bool = False
    side_pixels: np.ndarray | None = None
    side_signals: np.ndarray | None = None


def four_outputs(ramp, frame, by_parity):
    """Four amplifiers side by side, with the first and last four rows, and the first and last four columns."""
    nrows, ncolumns = frame.shape
    width = ncolumns // 4
    edges = [np.arange(nrows - EDGE, nrows), np.arange(EDGE)]
    parities = (0, 1) if by_parity else (slice(None),)
    sets = []
    for amplifier in range(4):
        columns = np.arange(amplifier * width, (amplifier + 1) * width)
        for rows in edges:
            for parity in parities:
                some = columns[parity::2] if by_parity else columns
                sets.append(frame.pixel(rows[:, None], some[None, :]).ravel())
    sides = np.array([np.arange(EDGE), np.arange(ncolumns - EDGE, ncolumns)])
    side_pixels = frame.pixel(np.arange(nrows)[None, :, None], sides[:, None, :])
    good = _good(ramp, side_pixels)
    side_signals = (sides // width * 2 + sides % 2).astype("i4")
    return _layout(ramp, sets, 4, width, side_pixels=np.where(good, side_pixels, -1), side_signals=side_signals)


def one_output(ramp, frame, by_parity):
    """One amplifier for the whole window, with all pixels that the mask calls reference pixels, at one "edge".

    Of some windows that have none, the first and last four columns in science orientation.
    """
    rows, columns = frame.detector_window
    row, column = np.mgrid[rows, columns]
    pixels, columns = frame.pixel(row, column).ravel(), column.ravel()
    flags = to_host(ramp.pixeldq).ravel()[pixels]
    reference = flags & PIXEL.REFERENCE_PIXEL != 0
    if ramp.need("subarray.name") in WITHOUT:
        nx = ramp.shape[3]
        reference |= (pixels % nx < EDGE) | (pixels % nx >= nx - EDGE)
    pixels, columns = pixels[reference], columns[reference]
    sets = [pixels[columns % 2 == parity] for parity in (0, 1)] if by_parity else [pixels]
    nothing = [np.empty(0, np.int64)] * len(sets)  # there is no second edge
    layout = _layout(ramp, [*sets, *nothing], 1, frame.shape[1])
    found = np.diff(layout.bounds)[: len(sets)]
    if found.any() and not found.all():
        raise InputError(f"{ramp.source}: all good reference pixels are in {'even' if found[0] else 'odd'} columns")
    return layout


def stripes(ramp, frame, by_parity):
    """The amplifiers that the columns belong to, with all pixels called reference pixels, at one "edge".

    Of superstripes the flags of the first are taken for all, as the official pipeline does.
    """
    rows, columns = frame.detector_window
    row, column = np.mgrid[rows, columns]
    pixels, column = frame.pixel(row, column).ravel(), column.ravel()
    flags = to_host(ramp.pixeldq).ravel()[pixels]
    reference = flags & PIXEL.REFERENCE_PIXEL != 0
    pixels, column = pixels[reference], column[reference]
    width, parities, sets = frame.shape[1] // 4, (0, 1) if by_parity else (None,), []
    for amplifier in range(4):
        mine = column // width == amplifier
        sets += [pixels[mine if parity is None else mine & (column % 2 == parity)] for parity in parities]
        sets += [np.empty(0, np.int64)] * len(parities)  # there is no second edge
    return _layout(ramp, sets, 4, width)


def miri_full(ramp, frame, by_parity):
    """Four amplifiers that take turns column by column, with the first and the last four columns."""
    nrows, ncolumns = frame.shape
    rows = np.arange(nrows)
    parities = (0, 1) if by_parity else (0,)
    sets = [
        frame.pixel(rows[parity :: len(parities)], column)
        for amplifier in range(4)
        for column in (amplifier, ncolumns - EDGE + amplifier)
        for parity in parities
    ]
    return _layout(ramp, sets, 4, 1, by_row=True)


def interleaved(ramp, readout, by_parity):
    """The five outputs of an IRS2 readout, with the last and the first four lines."""
    nx = ramp.shape[3]
    edges = [np.arange(nx - EDGE, nx), np.arange(EDGE)]
    sets = []
    for rows in readout.across:
        chosen = [rows[readout.odd[rows] == parity] for parity in (0, 1)] if by_parity else [rows]
        sets += [
            (some[None, :].astype(np.int64) * nx + readout.columns(lines)[:, None]).ravel()
            for lines in edges
            for some in chosen
        ]
    return _layout(ramp, sets, len(readout.across), 1)


def _layout(ramp, sets, namps, width, **more):
    """Drop what is not in the window or not to be used, and join the sets."""
    sets = [pixels[_good(ramp, pixels)] for pixels in sets]
    bounds = np.cumsum([0, *(len(pixels) for pixels in sets)])
    return Layout(np.concatenate(sets), bounds, namps, width, **more)


def _good(ramp, pixels):
    """Which of these pixels are in the window and may be used."""
    xp = array_module(ramp.pixeldq)
    flags = to_host(ramp.pixeldq.reshape(-1)[xp.asarray(np.maximum(pixels, 0))])
    return (pixels >= 0) & (flags & PIXEL.DO_NOT_USE == 0)
