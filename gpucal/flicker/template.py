"""Template: the median of all integrations, group by group, scaled to each: what does not flicker.

Source: the JWST documentation of clean_flicker_noise, background_method median_image.
"""

from gpucal.device import array_module
from gpucal.errors import Failed
from gpucal.warned import ignored

TIME_SERIES = ("NRC_TSIMAGE", "NRC_TSGRISM", "MIR_LRS-SLITLESS", "NRS_BRIGHTOBJ", "NIS_SOSS")


def scaled_median(ramp, rateints, flat):
    """Return the median ramp, (ngroups, ny, nx) float32, DN, and its scale in each integration, (nints) float32.

    The scale is the median of an integration's rates, (nints, ny, nx), relative to that of all.
    """
    xp = array_module(ramp.data)
    with ignored():  # of medians of nothing
        rates = rateints if flat is None else rateints / flat
        level = xp.stack([xp.nanmedian(rate) for rate in rates])
        scale = level / xp.nanmedian(level)
        bad = ~xp.isfinite(scale)
        if bool(bad.all()):
            raise Failed("no integration has a rate to scale the median image by")
        scale = xp.where(bad, xp.median(scale[~bad]), scale)
        planes = xp.stack([xp.nanmedian(ramp.data[:, group], axis=0) for group in range(ramp.shape[1])])
    return planes, scale


def is_time_series(ramp):
    """Tell whether an exposure belongs to a time series."""
    return ramp.shape[0] > 1 and bool(ramp.meta.visit.tsovisit or ramp.meta.exposure.type in TIME_SERIES)
