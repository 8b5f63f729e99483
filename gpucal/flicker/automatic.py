"""Parameters chosen by the exposure itself: from how uneven its background is, and how different its amplifiers are.

Source: the JWST documentation of clean_flicker_noise, parameter autoparam.
"""

from typing import NamedTuple

import numpy as np

from gpucal.device import to_host
from gpucal.flicker.background import background_level, levels_of, within
from gpucal.flicker.ordered import HIGH, LOW, REACH, sort_last_axis
from gpucal.flicker.scene import BELOW

ABOVE = 2.0  # sigma
OUTLIERS = 10.0  # sigma; of the residuals of a straight line
SIDE, CHANNEL = 2048, 512
MIDDLE = (3 / 8, 5 / 8)  # of the rows or columns that are averaged
FIRST_CHANNEL = (10 / 12, 11 / 12)  # of NIRISS's rows


class Limits(NamedTuple):
    """From where on something counts as much."""

    masked: float  # the part that shines
    offset: float  # DN/s, from one amplifier to the next
    slope: float  # DN/s/pixel
    steep: float  # DN/s/pixel
    ratio: float  # of the two slopes
    sigma: float  # DN/s, scatter about a straight line


LIMITS = {
    "NRC_IMAGE": Limits(0.1, 0.07, 1e-5, 1e-5, 3.0, 0.02),
    "NIS_IMAGE": Limits(0.07, 0.07, 1e-5, 1e-4, 5.0, 0.02),
}


def parameters(rate, exp_type, axis, flat=None):
    """Return {"apply_flat_field", "background_method", "fit_by_channel"} for an image, (ny, nx) float32, DN/s."""
    image, masked = _background_of(rate if flat is None else rate / flat, axis)
    rows, columns = image[_part(MIDDLE, len(image))], image[:, _part(MIDDLE, image.shape[1])]
    along_x, along_y = np.nanmean(rows, axis=0), np.nanmean(columns, axis=1)
    (slope_x, sigma), (slope_y, _) = _line(along_x), _line(along_y)
    across_channels = along_x
    if exp_type == "NIS_IMAGE":
        across_channels = along_y
        _, sigma = _line(np.nanmean(image[_part(FIRST_CHANNEL, len(image))], axis=0))
    slopes = np.abs([slope_y, slope_x])
    with np.errstate(divide="ignore"):
        ratio = slopes.max() / slopes.min()
    method, by_channel = _choose(LIMITS[exp_type], masked, _largest_offset(across_channels), slopes.max(), ratio, sigma)
    return {"apply_flat_field": flat is not None, "background_method": method, "fit_by_channel": by_channel}


def _choose(limits, masked, offset, slope, ratio, sigma):
    crowded, apart = masked >= limits.masked, offset >= limits.offset
    tilted, steep = slope >= limits.slope, slope >= limits.steep
    if apart and not crowded:
        return "median", True
    if crowded:
        return ("model" if (steep if apart else tilted) else "median"), False
    uneven = steep or (tilted and ratio < limits.ratio)
    return ("model" if uneven else "median"), bool(offset > 0 and sigma >= limits.sigma)


def _background_of(image, axis):
    """Return an image without stripes and with its smooth background where it shines, and the part that does; NumPy."""
    image = to_host(image).copy()
    mask = np.ones(image.shape, bool)
    within(image, mask, *levels_of(image, mask, BELOW, ABOVE)[[LOW, HIGH]])
    empty = np.isnan(image)
    image[empty], mask[empty] = 0, False
    within(image, mask, *levels_of(image, mask, REACH, REACH, lower_half=True)[[LOW, HIGH]])
    level = np.median(image[mask]) if mask.any() else np.float32(np.nan)
    image -= level
    within(image, mask, *levels_of(image, mask, BELOW, ABOVE, lower_half=True)[[LOW, HIGH]])
    image = (image - _stripes(image, mask, axis)) + level
    image[empty] = np.nan
    smooth = background_level(image, mask)
    return np.where(mask, image, smooth), np.sum(~mask) / mask.size


def _stripes(image, mask, axis):
    lines = np.where(mask, image, np.float32(np.nan))
    lines = np.ascontiguousarray(lines if axis == 2 else lines.T)
    sort_last_axis(lines)
    count = (~np.isnan(lines)).sum(axis=1, keepdims=True)
    lower, upper = (
        np.take_along_axis(lines, np.maximum(at, 0), 1) for at in ((count - 1) // 2, count // 2 * (count > 0))
    )
    stripes = np.where(count > 0, (lower + upper) / np.float32(2), np.float32(0))
    return stripes if axis == 2 else stripes.T


def _part(fractions, size):
    return slice(*(round(fraction * size) for fraction in fractions))


def _line(values):
    """Return the slope of a straight line through values, and the scatter of the values about it."""
    from astropy.stats import sigma_clipped_stats

    good, x = np.isfinite(values), np.arange(values.size)
    fit = np.polynomial.Polynomial.fit(x[good], values[good], deg=1)
    coefficients = fit.convert().coef
    _, _, sigma = sigma_clipped_stats(values[good] - fit(x[good]), sigma=OUTLIERS)
    return (coefficients[1] if len(coefficients) > 1 else 0.0), sigma


def _largest_offset(values):
    """Return the largest step between the means of neighbouring amplifiers; 0 if not a full frame."""
    from astropy.stats import sigma_clipped_stats

    if values.size != SIDE:
        return 0.0
    means = [sigma_clipped_stats(values[i : i + CHANNEL], sigma=REACH)[0] for i in range(0, SIDE, CHANNEL)]
    return np.abs(np.diff(means)).max()
