"""Where NIRISS's grism for single objects (SOSS) throws its spectra, which moves with the pupil wheel.

Source: the JWST documentation of the PASTASOSS reference file; T. Baines et al. 2023 (JWST-STScI-008571).
"""

import numpy as np

from gpucal.errors import InputError
from gpucal.warned import ignored

HALF_WIDTH = 16  # pixels that light reaches to either side
LAST_ROW = 255.0  # of the subarray that the traces are defined in
SHIFT_96 = 10  # rows; where SUBSTRIP96 begins


def trace_mask(shape, ramp, pastasoss):
    """Return where the spectra lie: (ny, nx) bool, on the host. InputError if the pupil wheel is out of bounds."""
    from stdatamodels.jwst.datamodels import PastasossModel

    position, subarray = ramp.need("instrument.pupil_position"), ramp.need("subarray.name")
    mask = np.zeros(shape, bool)
    y, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    with ignored(), PastasossModel(str(pastasoss.path)) as model:
        low, high = model.meta.pwcpos_bounds
        if not low <= position <= high:
            raise InputError(f"{ramp.source}: PWCPOS {position} is outside the bounds of {pastasoss.path}")
        for trace, dispersion in zip(model.traces, model.wavecal_models, strict=True):
            along, across = _trace(model.meta, trace, dispersion, position, subarray == "SUBSTRIP96")
            order = np.argsort(along)
            middle = np.interp(columns, along[order], across[order])
            mask |= (y >= np.floor(middle - HALF_WIDTH)) & (y <= np.ceil(middle + HALF_WIDTH))
    return mask


def _trace(meta, trace, dispersion, position, shifted):
    """Return columns and rows of a trace at regular wavelengths."""
    x, y = np.array(trace.trace, "f8").T
    if shifted:
        y = y - SHIFT_96
    x, y = _rotated(x, y, position - meta.pwcpos_cmd, (trace.pivot_x, trace.pivot_y))
    (x0, wheel0), (x1, wheel1) = dispersion.scale_extents
    wheel = (position - meta.pwcpos_cmd - wheel0) / (wheel1 - wheel0)
    wavelength = _polynomial(dispersion.coefficients, (x - x0) / (x1 - x0), wheel)
    grid = np.linspace(meta.wavemap_wlmin, meta.wavemap_wlmax, meta.wavemap_nwl)
    order = np.argsort(wavelength)
    return (_extended(grid, wavelength[order], values[order]) for values in (x, y))


def _rotated(x, y, degrees, pivot):
    """Turn a trace around the pivot; return its rows at the same columns, where they are within the subarray."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    dx, dy = x - pivot[0], y - pivot[1]
    turned_x, turned_y = c * dx - s * dy + pivot[0], s * dx + c * dy + pivot[1]
    order = np.argsort(turned_x)
    y = _extended(x, turned_x[order], turned_y[order])
    return x[y <= LAST_ROW], y[y <= LAST_ROW]


def _extended(at, x, y):
    """Interpolate linearly, and go on along the first and the last piece beyond the ends; x ascends."""
    piece = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    slope = (y[piece] - y[piece - 1]) / (x[piece] - x[piece - 1])
    return y[piece - 1] + slope * (at - x[piece - 1])


def _polynomial(coefficients, x, y):
    """Sum c x^i y^j, by total degree, and within it by growing j."""
    powers = ((degree - j, j) for degree in range(len(coefficients)) for j in range(degree + 1))
    return sum(c * x**i * y**j for c, (i, j) in zip(coefficients, powers, strict=False))
