"""Simple improved reference subtraction (SIRS): side pixels smoothed by kernels that suit the detector's noise.

Source: B. J. Rauscher 2022, PASP 134, 014501; the JWST documentation of the reference pixel correction.
"""

import numpy as np

from gpucal.device import array_module
from gpucal.errors import ReferenceFileError
from gpucal.warned import ignored

AMPLIFIERS = 4
SIGMA_OF_DEVIATION = 1.48  # standard deviations of a normal distribution in a median absolute deviation


def kernels(reference, detector, gaussmooth, halfwidth):
    """Return the kernels of a SIRSKERNEL file for the left and right side pixels: (2, namps, 2 * halfwidth + 1).

    gaussmooth: rows; standard deviation of a low-pass filter on top. None if the file does not know the detector;
    ReferenceFileError if its kernels are not long enough.
    """
    key = ("kernels", detector, gaussmooth, halfwidth)
    return reference.made(key, lambda: _kernels(reference.path, detector.lower(), gaussmooth, halfwidth))


def _kernels(path, detector, gaussmooth, halfwidth):
    from stdatamodels.jwst import datamodels

    with ignored(), datamodels.SIRSKernelModel(str(path)) as model:
        if not model.hasattr(detector):
            return None
        mine = getattr(model, detector)
        sides = [np.array(getattr(mine, name)) for name in ("gamma", "zeta")]
    lags = np.arange(-halfwidth, halfwidth + 1)
    window = np.exp(-(lags**2) / (2 * gaussmooth**2))
    window /= window.sum()
    result = []
    for coefficients in sides:
        middle = coefficients.shape[1] - 1
        if len(coefficients) != AMPLIFIERS or halfwidth > middle - 1:
            raise ReferenceFileError(
                f"{path}: the coefficients of {detector.upper()} have shape {coefficients.shape}, expected "
                f"({AMPLIFIERS}, {halfwidth + 2} or more) for halfwidth={halfwidth}"
            )
        responses = np.fft.fftshift(np.fft.irfft(coefficients), axes=-1)
        cut = responses[:, middle - halfwidth : middle + halfwidth + 1]
        result.append([np.convolve(response, window, mode="same") for response in cut])
    return np.array(result)


def side_signals(values, kernels, sigreject):
    """Return the drift along the rows for each amplifier: (nplanes, namps, nrows) float64, DN.

    values: (nplanes, 2, nrows, 4) float64, DN, of the left and right side pixels; those further than sigreject robust
    standard deviations from the median do not count. kernels: from kernels().
    """
    xp = array_module(values)
    nplanes, _, nrows, ncolumns = values.shape
    offset = abs(values - _median(values))
    good = offset <= sigreject * SIGMA_OF_DEVIATION * _median(offset)
    level, share = (values * good).sum(axis=-1) / ncolumns, good.sum(axis=-1) / ncolumns
    whole = xp.ones((1, nrows))
    signals = xp.zeros((nplanes, kernels.shape[1], nrows))
    with np.errstate(divide="ignore", invalid="ignore"):
        for side, of_amps in enumerate(kernels):
            for amplifier, kernel in enumerate(of_amps):
                norm = _smooth(whole, kernel) / _smooth(share[:, side], kernel)
                signals[:, amplifier] += _smooth(level[:, side], kernel) * norm
    return signals


def _median(values):
    nplanes, nsides = values.shape[:2]
    return array_module(values).median(values.reshape(nplanes, nsides, -1), axis=-1)[..., None, None]


def _smooth(rows, kernel):
    """Convolve each of (n, nrows) with a kernel; beyond the ends lies nothing."""
    xp = array_module(rows)
    if xp is np:
        from scipy.ndimage import convolve1d
    else:
        from cupyx.scipy.ndimage import convolve1d
    return convolve1d(rows, xp.asarray(kernel), axis=-1, mode="constant", cval=0.0)
