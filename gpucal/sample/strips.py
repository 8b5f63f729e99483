"""Strips of the detector: bands of rows that collect charge and are read, each with its own random numbers.

So strips can be simulated in parallel, with arrays that fit the processor's cache, and the result does not depend on
how many threads there are.
"""

from dataclasses import dataclass

import numpy as np

from gpucal.sample.detector import Detector, measured
from gpucal.sample.orientation import irs2_normal
from gpucal.sample.streams import stream

OF_DETECTOR = "reference", "gain", "bias", "read_noise", "curve", "well"  # arrays that a strip has rows of
HEIGHT = 64  # rows
FAINT = 30  # electrons per frame up to which the Poisson distribution is drawn exactly
RESET_NOISE = 30.0  # electron
TELEGRAPH_STEP = 60.0  # DN
CONVERTER = 65535  # DN; the largest count
IRS2_PEDESTAL, IRS2_PEDESTAL_SPREAD, IRS2_NOISE = 11000, 60, 6  # DN, of interleaved reference pixels


@dataclass
class Strip:
    """Rows of a window: the charge collected since the reset, and what the pixels do with it; all (height, nx)."""

    rows: slice | np.ndarray  # of the frame as it is downlinked
    random: np.random.Generator
    charge: np.ndarray  # electron
    light: np.ndarray  # electron per frame
    reference: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    read_noise: np.ndarray
    curve: np.ndarray
    well: np.ndarray
    telegraph: np.ndarray
    coefficients: tuple[float, float, float]

    def __post_init__(self):
        self.flickering = np.flatnonzero(self.telegraph)
        self.bright = np.flatnonzero(self.light > FAINT)
        self.bright_light = self.light.reshape(-1)[self.bright]
        self.faint_light = np.where(self.light > FAINT, 0, self.light)

    def reset(self, pedestal):
        """Empty the pixels but for noise and a pedestal, electron."""
        self.charge[...] = self.random.standard_normal(self.charge.shape, dtype=np.float32)
        self.charge *= RESET_NOISE
        self.charge += pedestal
        self.charge[self.reference] = 0

    def collect(self, frames):
        """Add the charge of a (fractional) number of frames: Poisson noise, its normal limit where it is bright."""
        if self.bright.size < self.light.size:
            self.charge += self.random.poisson(self.faint_light * np.float32(frames))
        mean = self.bright_light * np.float32(frames)
        noise = self.random.standard_normal(mean.size, dtype=np.float32)
        self.charge.reshape(-1)[self.bright] += mean + np.sqrt(mean) * noise

    def read(self, drift):
        """Return the counts of a frame, float32 whole numbers of DN; drift: DN, of the electronics."""
        signal = measured(self.charge / self.gain, self.curve, self.coefficients, self.well)
        signal += self.bias
        signal += self.read_noise * self.random.standard_normal(signal.shape, dtype=np.float32)
        signal += drift
        signal.reshape(-1)[self.flickering] += TELEGRAPH_STEP * self.random.integers(0, 2, self.flickering.size)
        return digitized(signal)


@dataclass
class InterleavedStrip:
    """The reference pixels that NIRSpec's IRS2 readout takes in between; they collect nothing."""

    rows: np.ndarray
    random: np.random.Generator
    nx: int

    def __post_init__(self):
        self.pedestal = IRS2_PEDESTAL + IRS2_PEDESTAL_SPREAD * self._noise()

    def reset(self, pedestal):
        """Do nothing."""

    def collect(self, frames):
        """Do nothing."""

    def read(self, drift):
        """Return the counts of a frame."""
        return digitized(self.pedestal + IRS2_NOISE * self._noise() + drift)

    def _noise(self):
        return self.random.standard_normal((len(self.rows), self.nx), dtype=np.float32)


def digitized(signal):
    """Round to what the A/D converter can say, in place."""
    np.rint(signal, out=signal)
    return np.clip(signal, 0, CONVERTER, out=signal)


def cut_into_strips(configuration, detector: Detector, charge, rate, *key):
    """Return the strips of a window; charge and rate (electron/s): (ny, nx). key: of their random numbers."""
    window = configuration.window
    frame = {
        "charge": charge,
        "light": rate * np.float32(configuration.frame_time),
        "telegraph": detector.pixels("telegraph")[window],
    }
    frame |= {name: getattr(detector, name)[window] for name in OF_DETECTOR}
    rows_in_file = np.flatnonzero(irs2_normal(configuration.detector)) if configuration.irs2 else None
    strips: list[Strip | InterleavedStrip] = []
    for start in range(0, len(charge), HEIGHT):
        rows = slice(start, min(start + HEIGHT, len(charge)))
        strips.append(
            Strip(
                rows=rows if rows_in_file is None else rows_in_file[rows],
                random=stream(*key, start),
                coefficients=detector.coefficients,
                **{name: array[rows] for name, array in frame.items()},
            )
        )
    if rows_in_file is not None:
        between = np.flatnonzero(~irs2_normal(configuration.detector))
        for start in range(0, len(between), HEIGHT):
            random = stream(*key, "interleaved", start)
            strips.append(InterleavedStrip(between[start : start + HEIGHT], random, charge.shape[1]))
    return strips
