"""Photom: turn rates into surface brightness."""

import logging
from dataclasses import dataclass

import numpy as np

from gpucal.errors import Skip
from gpucal.imaging import OnEach, mark_lost, require_image
from gpucal.kernel import kernel
from gpucal.model.image import Cube
from gpucal.photometry import conversion, keys, named
from gpucal.step import Step

log = logging.getLogger(__name__)
MJSR_TO_UJA2 = 23.50443053909789  # MJy/sr in microjansky per square arcsecond


@dataclass(frozen=True)
class Photom(OnEach, Step):
    """Multiply by the MJy/sr of one DN/s, by filter and date; attach the pixels' areas, which are not applied.

    For images and their time series. Where the table of sensitivity has no row for the exposure, it keeps its rates.
    """

    inverse: bool = False  # divide instead
    source_type: str | None = None  # POINT or EXTENDED, which matters to spectra alone
    apply_time_correction: bool = True  # take the decline of sensitivity into account, where it is known

    def process(self, image, photom=None, area=None):
        """Convert in place."""
        if photom is None:
            raise Skip("no photom reference")
        require_image(image, self.alias, "data", "err", "dq")
        _attach_area(image, photom, area)
        instrument = image.need("instrument.name").upper()
        if instrument == "NIRISS" and isinstance(image, Cube):
            # The official step finds out when the area is there already, and leaves it there.
            raise Skip("there is no conversion for NIRISS cubes")
        factor = conversion(photom, image, self.apply_time_correction)
        if factor is None:
            log.warning("%s: photom: no row for %s in %s", image.source, named(keys(photom, image)), photom.path)
            return image
        arrays = (image.data, image.err, image.dq, image.var_poisson, image.var_rnoise, image.var_flat)
        flat = [None if array is None else array.reshape(-1) for array in arrays]
        scale_rates(*flat, factor=factor, square=factor * factor, inverse=self.inverse)
        photometry = image.meta.photometry
        photometry.conversion_megajanskys, photometry.conversion_microjanskys = factor, factor * MJSR_TO_UJA2
        image.meta.bunit_data = image.meta.bunit_err = "DN/s" if self.inverse else "MJy/sr"
        return image


def _attach_area(image, photom, area):
    """Attach every pixel's relative area, and note the mean from its reference, or without one from photom."""
    if area is not None:
        image.area = area.data.copy()
    source = photom if area is None else area
    for name, word in (("pixelarea_steradians", "PIXAR_SR"), ("pixelarea_arcsecsq", "PIXAR_A2")):
        value = source.keyword(word)
        setattr(image.meta.photometry, name, None if value is None else float(value))


@kernel
def scale_rates(data, err, dq, var_poisson, var_rnoise, var_flat, factor, square, inverse):
    """Multiply rates and errors by a factor and variances by its square, or divide."""
    variances = [variance for variance in (var_poisson, var_rnoise, var_flat) if variance is not None]
    scales = [(data, factor), (err, factor), *((variance, square) for variance in variances)]
    with np.errstate(all="ignore"):  # of pixels that are lost
        for array, scale in scales:
            array[...] = array / np.float64(scale) if inverse else array * np.float64(scale)
    mark_lost(dq, data, err, *variances)
