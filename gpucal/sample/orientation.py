"""Between the order of the readout and the order of the pixels in a file.

Science orientation is how arrays lie in files; detector orientation has rows along the slow and columns along the fast
readout direction. axes are FASTAXIS and SLOWAXIS: +-1 for x, +-2 for y.
"""

import numpy as np

IRS2_ROWS = 3200  # samples along the fast direction, reference pixels included
IRS2_FIRST = 640  # samples of the reference output, before the four others
IRS2_NORMAL, IRS2_REFERENCE = 16, 4  # pixels in turn


def to_science(frame, axes):
    """Turn the last two axes of a frame from detector to science orientation; the result is a view."""
    fast, slow = axes
    if abs(fast) == 1:
        return frame[..., :: np.sign(slow), :: np.sign(fast)]
    return np.swapaxes(frame, -2, -1)[..., :: np.sign(fast), :: np.sign(slow)]


def to_detector(frame, axes):
    """Turn the last two axes of a frame from science to detector orientation; the result is a view."""
    fast, slow = axes
    if abs(fast) == 1:
        return frame[..., :: np.sign(slow), :: np.sign(fast)]
    return np.swapaxes(frame[..., :: np.sign(fast), :: np.sign(slow)], -2, -1)


def irs2_normal(detector):
    """Tell which of the 3200 rows of an IRS2 file hold normal pixels: (3200) bool, science orientation."""
    normal = np.ones(IRS2_ROWS, bool)
    normal[:IRS2_FIRST] = False
    for start in range(IRS2_FIRST + IRS2_NORMAL // 2, IRS2_ROWS, IRS2_NORMAL + IRS2_REFERENCE):
        normal[start : start + IRS2_REFERENCE] = False
    return normal if detector == "NRS1" else normal[::-1]


def to_irs2(array, detector, fill):
    """Spread the 2048 rows of an array over an IRS2 file's 3200, the others filled."""
    spread = np.full((*array.shape[:-2], IRS2_ROWS, array.shape[-1]), fill, array.dtype)
    spread[..., irs2_normal(detector), :] = array
    return spread
