"""Drifts of the readout electronics: 1/f noise, levels of amplifiers and of odd columns, anew in every frame."""

from functools import lru_cache

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.orientation import IRS2_ROWS, to_science

LINE_OVERHEAD = 12  # pixel times from the end of a row to the next
ONE_OVER_F = 3.0  # DN rms, common to all amplifiers
ROW_DRIFT = 0.7  # DN rms, of each amplifier


class Drifts:
    """Makes the drift of one frame after the other."""

    def __init__(self, configuration: Configuration, random):
        self.axes, self.miri, self.noutputs = configuration.axes, configuration.miri, configuration.noutputs
        self.random = random
        ny, nx = configuration.shape
        if configuration.irs2:
            ny = IRS2_ROWS
        self.shape = (ny, nx) if abs(self.axes[0]) == 1 else (nx, ny)  # detector orientation

    def frame(self):
        """Return the drift of the next frame, (ny, nx) float32 DN in science orientation."""
        drift = self._interleaved() if self.miri else self._side_by_side()
        return np.ascontiguousarray(to_science(drift, self.axes))

    def _interleaved(self):
        """MIRI: four amplifiers take turns column by column."""
        nrows, ncolumns = self.shape
        drift = np.empty(self.shape, np.float32)
        common = one_over_f(self.random, nrows * (ncolumns // 4), ONE_OVER_F).reshape(nrows, -1)
        for amplifier in range(4):
            level = self.random.normal(0, 6) + one_over_f(self.random, nrows, ROW_DRIFT)
            np.add(common, level[:, None], out=drift[:, amplifier::4])
        return drift

    def _side_by_side(self):
        """Near infrared: stripes of columns, every other one read backwards; their odd columns have own levels."""
        nrows, ncolumns = self.shape
        width = ncolumns // self.noutputs
        drift = np.empty(self.shape, np.float32)
        common = one_over_f(self.random, nrows * (width + LINE_OVERHEAD), ONE_OVER_F).reshape(nrows, -1)[:, :width]
        for amplifier in range(self.noutputs):
            level = self.random.normal(0, 12) + one_over_f(self.random, nrows, ROW_DRIFT)
            odd = np.resize(np.array([0, self.random.normal(0, 5)], "f4"), width)
            stripe = drift[:, amplifier * width : (amplifier + 1) * width]
            np.add(common[:, ::-1] if amplifier % 2 else common, level[:, None], out=stripe)
            stripe += odd
        return drift


def one_over_f(random, length, rms):
    """Return a sequence, float32, whose power falls as 1/frequency, with the given standard deviation."""
    spectrum = random.standard_normal(2 * (length // 2 + 1), dtype=np.float32).view(np.complex64)
    spectrum *= _amplitudes(length)
    sequence = np.fft.irfft(spectrum, length)
    sequence *= rms / sequence.std()
    return sequence


@lru_cache(maxsize=2)
def _amplitudes(length):
    frequency = np.arange(length // 2 + 1, dtype=np.float32)
    frequency[0] = np.inf  # no offset
    return 1 / np.sqrt(frequency)
