"""Scene: where nothing shines, judged by a draft of the count rate."""

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.dq import BITS, PIXEL
from gpucal.flicker.background import background_level, levels_of, within
from gpucal.flicker.ordered import COUNT, HIGH, LOW, MEAN, SIGMA
from gpucal.model.base import Model
from gpucal.model.image import Cube, Image
from gpucal.model.ramp import Ramp

NO_WCS = "needs world coordinates (assign_wcs), which gpucal does not have yet"
BELOW = 3.0  # sigma; lower rates are bad
NO_SCIENCE = PIXEL.DO_NOT_USE | BITS["NON_SCIENCE"]
BINS, SPAN = 2000, 4.0  # of the histogram of rates; sigma to either side


def draft_rate(ramp, readnoise, gain):
    """Fit the slopes with the standard parameters, and leave the ramp as it is; return Slopes."""
    from gpucal.steps.ramp_fit import RampFit

    arrays = {name: getattr(ramp, name) for name in ramp.arrays}
    arrays["groupdq"] = ramp.groupdq.copy()
    return RampFit().process(Ramp(ramp.tree, ramp.source, **arrays), readnoise, gain)


def background_mask(rates, n_sigma=2.0, fit_histogram=False, science=None):
    """Return where the rates are those of the background: bool, the shape of rates, (ny, nx) or (nints, ny, nx).

    n_sigma: how far above the median the background reaches; 0: no limits. fit_histogram: the median and sigma are
    those of a Gaussian fitted to the histogram. science: bool or None, what is no background whatever its rate.
    """
    xp = array_module(rates)
    mask = ~xp.isnan(rates) & (rates != 0)
    if science is not None:
        mask &= ~science
    planes = (rates.reshape(-1, *rates.shape[-2:]), mask.reshape(-1, *rates.shape[-2:]))
    for plane, good in zip(*planes, strict=True) if n_sigma > 0 else ():
        levels = levels_of(plane, good, BELOW, n_sigma)
        low, high = levels[LOW], levels[HIGH]
        if fit_histogram and levels[COUNT] > 0:
            centre, sigma = _fit_histogram(to_host(plane[good]).astype("f8"), levels[MEAN], levels[SIGMA])
            low, high = centre - BELOW * sigma, centre + n_sigma * sigma
        within(plane, good, low, high)
    return mask


def _fit_histogram(rates, centre, sigma):
    """Return mean and width of the Gaussian that fits the histogram best; as they were if none does."""
    from scipy.optimize import curve_fit

    try:
        counts, edges = np.histogram(rates, bins=BINS, range=(centre - SPAN * sigma, centre + SPAN * sigma))
        middles = (edges[1:] + edges[:-1]) / 2.0
        most = np.argmax(counts)
        bounds = [(0, middles[0], 0), (np.inf, middles[-1], middles[-1] - middles[0])]
        start = (counts[most], middles[most], sigma)
        (_, centre, sigma), _ = curve_fit(_gaussian, middles, counts, p0=start, bounds=bounds)
    except (ValueError, RuntimeError):
        pass
    return centre, sigma


def _gaussian(x, height, mean, sigma):
    return height * np.exp(-0.5 * ((x - mean) / sigma) ** 2)


def flat_marks(flat):
    """Return where a MIRI flat says that there is nothing to see: (ny, nx) bool."""
    xp = array_module(flat.data)
    unusable = NO_SCIENCE | BITS["NO_FLAT_FIELD"]
    marks = (flat.dq & np.uint32(unusable) != 0) | xp.isnan(flat.data) | (flat.data == 0)
    return marks | xp.isnan(flat.err) if flat.has("err") else marks


def smooth_flat(flat):
    """Return a flat whose zeros and NaN are replaced by their surroundings: (ny, nx) float32."""
    xp = array_module(flat.data)

    def fill():
        bad = (flat.data == 0) | ~xp.isfinite(flat.data)
        return xp.where(bad, background_level(flat.data, ~bad), flat.data) if bool(bad.any()) else flat.data

    return flat.made("smooth", fill)


def like(ramp, data):
    """Return a model of data alone, with the ramp's metadata."""
    from stdatamodels.jwst import datamodels

    kind: type[Model] = {2: Image, 3: Cube, 4: Ramp}[data.ndim]
    tree = getattr(datamodels, kind.tree_class)()
    tree.update(ramp.tree)
    return kind(tree, ramp.source, data=data)
