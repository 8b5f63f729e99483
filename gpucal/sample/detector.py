"""A detector as it truly is: what every pixel adds to the light, how it responds, and which pixels are bad.

The same seed gives the same detector, so that reference files made apart from the exposures do calibrate them.
"""

from dataclasses import dataclass

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.orientation import to_detector
from gpucal.sample.streams import stream

EDGE = 4  # rows and columns of reference pixels

# Fractions of the pixels that are bad in some way; those named after a reference file are bad only there.
DEFECTS = {
    "hot": 2e-3,
    "warm": 2e-3,
    "dead": 1e-3,
    "low_qe": 5e-4,
    "rc": 3e-4,
    "open": 1e-4,
    "telegraph": 2e-4,
    "linearity_nan": 2e-4,
    "linearity_zero": 1e-4,
    "linearity_none": 3e-4,
    "saturation_nan": 2e-4,
    "saturation_none": 2e-4,
    "superbias_nan": 1e-4,
    "superbias_unreliable": 3e-4,
    "dark_nan": 2e-4,
    "dark_unreliable": 5e-4,
    "gain_nan": 1e-4,
    "gain_negative": 1e-4,
    "readnoise_nan": 1e-4,
    "flat_nan": 2e-4,
    "flat_zero": 1e-4,
    "flat_none": 2e-4,
}


@dataclass(frozen=True)
class Detector:
    """Arrays (ny, nx) of the whole detector, float32 in science orientation.

    A true signal t is measured as m where t = m + c2 curve m^2 + c3 curve m^3 + c4 m^4, both in DN above the bias,
    until m reaches the full well.
    """

    reference: np.ndarray  # bool: the reference pixels
    bias: np.ndarray  # DN
    gain: np.ndarray  # electron/DN
    read_noise: np.ndarray  # DN, of one read
    flat: np.ndarray  # relative response to light
    dark: np.ndarray  # electron/s
    curve: np.ndarray  # departure from linearity relative to the detector's mean
    coefficients: tuple[float, float, float]  # c2, c3, c4
    well: np.ndarray  # DN above the bias
    defects: dict[str, tuple[np.ndarray, np.ndarray]]  # name -> rows and columns of its pixels, no pixel in two

    @classmethod
    def of(cls, configuration: Configuration, seed=1):
        """Return the detector of a configuration."""
        shape, miri = configuration.full_shape, configuration.miri
        random = stream(seed, configuration.detector)
        reference = _reference_pixels(shape, miri)
        defects = _defects(random, reference)
        bias = _noisy(random, shape, 120) + _smooth(random, shape, 400) + (9000 if miri else 11000)
        _add_pedestals(random, to_detector(bias, configuration.axes), miri)
        gain = (5.5 if miri else 2.0) * (1 + _smooth(random, shape, 0.03) + _noisy(random, shape, 0.002))
        flat = 1 + _smooth(random, shape, 0.05) + _noisy(random, shape, 0.008)
        flat[defects["dead"]] = 0.001
        flat[defects["low_qe"]] *= 0.3
        flat[reference] = 1
        return cls(
            reference=reference,
            bias=bias,
            gain=gain,
            read_noise=np.abs(6 + _noisy(random, shape, 0.8)) + 1,
            flat=flat,
            dark=_dark_current(random, reference, defects, miri),
            curve=1 + _smooth(random, shape, 0.1),
            coefficients=(2.5e-7, 2e-12, 3e-17) if miri else (4e-7, 6e-12, 3e-17),
            well=(44000 if miri else 42000) * (1 + _smooth(random, shape, 0.05)),
            defects=defects,
        )

    @property
    def shape(self):
        """(ny, nx)."""
        return self.bias.shape

    def pixels(self, defect):
        """Return where the pixels with a defect are, as a bool array (ny, nx)."""
        where = np.zeros(self.shape, bool)
        where[self.defects[defect]] = True
        return where


def measured(true, curve, coefficients, well):
    """Return what is measured of a true signal, DN above the bias, by two steps of Newton's method.

    The arrays have one shape, float32; true is used as scratch space.
    """
    c2, c3, c4 = (np.float32(c) for c in coefficients)
    np.minimum(true, 60000, out=true)  # every well is full long before
    c2 = c2 * curve
    c3 = c3 * curve
    signal = true / (1 + c2 * true)
    for _ in range(2):
        error = (((c4 * signal + c3) * signal + c2) * signal + 1) * signal - true
        slope = ((4 * c4 * signal + 3 * c3) * signal + 2 * c2) * signal + 1
        error /= slope
        signal -= error
    return np.minimum(signal, well, out=signal)


def _reference_pixels(shape, miri):
    reference = np.zeros(shape, bool)
    reference[:, :EDGE] = reference[:, -EDGE:] = True
    if not miri:
        reference[:EDGE] = reference[-EDGE:] = True
    return reference


def _defects(random, reference):
    """Draw the pixels of each defect; reference pixels have none."""
    light = np.flatnonzero(~reference)
    counts = {name: int(max(3, fraction * reference.size)) for name, fraction in DEFECTS.items()}
    drawn = light[random.choice(light.size, sum(counts.values()), replace=False)]
    parts = np.split(drawn, np.cumsum(list(counts.values()))[:-1])
    return {name: np.unravel_index(part, reference.shape) for name, part in zip(counts, parts, strict=True)}


def _add_pedestals(random, bias, miri):
    """Give every amplifier a level of its own, and the near-infrared odd columns too; bias: detector orientation."""
    if miri:
        bias += np.resize(random.normal(0, 40, 4), bias.shape[1]).astype("f4")
        return
    bias += np.repeat(random.normal(0, 150, 4), bias.shape[1] // 4).astype("f4")
    bias[:, 1::2] += 25


def _dark_current(random, reference, defects, miri):
    dark = (0.3 if miri else 0.004) * (1 + _smooth(random, reference.shape, 0.2 if miri else 0.3))
    np.clip(dark, 0, None, out=dark)
    for name, mean, spread in (("hot", 4, 1.5), ("warm", 0.5, 0.5)):
        dark[defects[name]] = random.lognormal(mean, spread, defects[name][0].size)
    dark[reference] = 0
    return dark


def _smooth(random, shape, amplitude, waves=5):
    """Return a smooth pattern, (ny, nx) float32: the mean of a few products of cosines."""
    ny, nx = shape
    frequency, phase = random.uniform(0.3, 3, (2, waves)), random.uniform(0, 2 * np.pi, (2, waves))
    along_x = np.cos(2 * np.pi * np.outer(frequency[0], np.arange(nx) / nx) + phase[0, :, None])
    along_y = np.cos(2 * np.pi * np.outer(frequency[1], np.arange(ny) / ny) + phase[1, :, None])
    return (amplitude / waves * along_y.T).astype("f4") @ along_x.astype("f4")


def _noisy(random, shape, sigma):
    noise = random.standard_normal(shape, dtype=np.float32)
    noise *= np.float32(sigma)
    return noise
