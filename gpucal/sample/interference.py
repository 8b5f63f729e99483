"""Electromagnetic interference: waves that MIRI's electronics add to every pixel at the moment it is read."""

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.readout import Readout

TICK = 1e-5  # s; the clock by which pixels are read
FREQUENCIES = {390.625: 1.0, 10.039216: 0.5}  # Hz -> strength
START = 0.137  # s; between the waves' beginning and the first pixel
# Subarray, or full frame by speed -> clocks per row, and of the frame that is reset between integrations.
CLOCKS = {
    "FULL_FAST": (271, 277504),
    "FULL_SLOW": (2333, 2388992),
    "SUB64": (28, 8512),
    "BRIGHTSKY": (162, 86528),
    "SUB256": (96, 29952),
}


class Interference:
    """The waves as an exposure sees them; amplitude: DN of the strongest."""

    def __init__(self, configuration: Configuration, readout: Readout, amplitude):
        speed = "SLOW" if "SLOW" in readout.readpatt else "FAST"
        name = f"FULL_{speed}" if configuration.is_full else configuration.subarray
        row, reset = CLOCKS[name]
        ny, nx = configuration.shape
        self.amplitude = amplitude
        self.frame_clocks = ny * row + (1024 - ny) * 7
        self.integration_clocks = readout.frames * self.frame_clocks + reset * readout.readpatt.endswith("R1")
        self.clocks = np.arange(ny)[:, None] * row + np.arange(nx // 4)

    def frame(self, integration, frame):
        """Return what is added to a frame: (ny, nx) float32 DN; four amplifiers read four neighbours at once."""
        time = self.clocks + float(integration * self.integration_clocks + frame * self.frame_clocks)
        waves = [s * wave_at(2 * np.pi * ((time * TICK + START) * f % 1)) for f, s in FREQUENCIES.items()]
        return np.repeat(self.amplitude * sum(waves), 4, axis=1).astype("f4")


def wave_at(phase):
    """Return the shape of a wave at phases in radians."""
    return np.sin(phase) + 0.3 * np.sin(2 * phase + 1)
