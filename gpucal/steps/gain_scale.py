"""Gain scale: bring rates read with a non-standard gain to the standard one."""

from dataclasses import dataclass

from gpucal.errors import Skip
from gpucal.model.image import Slopes
from gpucal.step import Step


@dataclass(frozen=True)
class GainScale(Step):
    """Multiply rates by GAINFACT and variances by its square, where the exposure or its gain reference has one."""

    def process(self, slopes, gain=None):
        """Scale both products."""
        factor = slopes.meta.exposure.gain_factor
        if factor is None and gain is not None:
            factor = gain.keyword("GAINFACT")
        if factor is None:
            raise Skip("no GAINFACT")
        for model in slopes if isinstance(slopes, Slopes) else [slopes]:
            model.data *= factor
            model.err *= factor
            model.var_poisson *= factor**2
            model.var_rnoise *= factor**2
            model.meta.exposure.gain_factor = factor
        return slopes
