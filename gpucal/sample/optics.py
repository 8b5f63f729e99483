"""The optics' distortion: from pixels to the telescope's frame (V2, V3) and back."""

import zlib
from functools import lru_cache

import numpy as np

from gpucal.sample.configurations import Configuration

MARGIN = 40  # pixels beyond the detector's edges for which the inverse holds


@lru_cache(maxsize=8)
def distortion(configuration: Configuration):
    """Return an astropy model from 0-based full-frame pixels (x, y) to (V2, V3), arcsec, with its inverse.

    Pixels are counted from the detector's centre; a cubic polynomial leads to the ideal frame, a rotation from there
    to the telescope's. The inverse polynomial is a fit.
    """
    from astropy.modeling.models import AffineTransformation2D, Mapping, Scale, Shift

    ny, nx = configuration.full_shape
    centre = (nx - 1) / 2, (ny - 1) / 2
    scale, v2, v3 = configuration.pixel_scale, configuration.v2, configuration.v3
    to_x, to_y = _polynomials(configuration)
    from_x, from_y = _inverse(to_x, to_y, scale, centre)
    angle, parity = np.deg2rad(configuration.v3_angle), configuration.parity
    turn = np.array([[parity * np.cos(angle), np.sin(angle)], [-parity * np.sin(angle), np.cos(angle)]])

    model = (
        Shift(-centre[0]) & Shift(-centre[1])
        | Mapping((0, 1, 0, 1))
        | to_x & to_y
        | AffineTransformation2D(turn, translation=[v2, v3])
    )
    model.inverse = (
        Shift(-v2) & Shift(-v3)
        | AffineTransformation2D(np.linalg.inv(turn))
        | Scale(1 / scale) & Scale(1 / scale)
        | Mapping((0, 1, 0, 1))
        | from_x & from_y
        | Shift(centre[0]) & Shift(centre[1])
    )
    return model


def _polynomials(configuration):
    """Return the ideal x and y, arcsec, as polynomials of pixels from the centre; each detector has its own."""
    from astropy.modeling.models import Polynomial2D

    s = configuration.pixel_scale
    q = s * (4e-7 + zlib.crc32(configuration.detector.encode()) % 7 * 1e-8)
    to_x = Polynomial2D(
        3, c1_0=s, c0_1=1e-4 * s, c2_0=q, c1_1=-0.7 * q, c0_2=0.3 * q, c3_0=2e-11 * s, c1_2=-1e-11 * s
    )  # fmt: skip
    to_y = Polynomial2D(3, c0_1=1.002 * s, c1_0=-2e-4 * s, c2_0=-0.4 * q, c1_1=0.5 * q, c0_2=0.8 * q, c0_3=1.5e-11 * s)
    return to_x, to_y


def _inverse(to_x, to_y, scale, centre, degree=5):
    """Fit polynomials of the ideal frame, in units of the scale, to the pixels they came from."""
    from astropy.modeling.models import Polynomial2D

    x, y = np.meshgrid(*(np.linspace(-c - MARGIN, c + MARGIN, 45) for c in centre))
    x, y = x.ravel(), y.ravel()
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    size = max(centre)  # keeps the fit's numbers near 1
    ideal_x, ideal_y = to_x(x, y) / scale / size, to_y(x, y) / scale / size
    terms = np.column_stack([ideal_x**i * ideal_y**j for i, j in powers])
    fitted = np.linalg.lstsq(terms, np.column_stack([x, y]), rcond=None)[0]
    fitted /= np.array([[size ** (i + j)] for i, j in powers])
    return (
        Polynomial2D(degree, **{f"c{i}_{j}": value for (i, j), value in zip(powers, column, strict=True)})
        for column in fitted.T
    )
