"""Stage 2 of images: rates to calibrated and to resampled images."""

from gpucal.errors import InputError
from gpucal.imaging import is_image
from gpucal.model.image import Cube, Image, Slopes

RESAMPLED = {"NRC_IMAGE", "NIS_IMAGE", "MIR_IMAGE", "FGS_IMAGE"}  # EXP_TYPE
ALONE = "singleton"  # what the official pipeline writes where an exposure comes without an association


def image2(model, steps):
    """Return the calibrated image, suffix cal; beside it, i2d, the same on a grid without distortion.

    As in the official Image2Pipeline, on rates as well as on rateints, which are not resampled. flat_field and photom
    are gpucal's own, but for NIRSpec; background exposures are not subtracted. InputError if the model holds no rates.
    """
    if isinstance(model, Slopes):
        return Slopes(*(image2(one, steps) for one in model))
    if not isinstance(model, Image):
        raise InputError(
            f"{model.source}: image2 goes on with rates; pipelines.NAME=[detector1,image2] makes them first"
        )
    model.meta.asn.pool_name = model.meta.asn.table_name = ALONE
    model = steps.jwst_assign_wcs(model)
    ours = is_image(model)
    model = steps.flat_field(model) if ours else steps.jwst_flat_field(model)
    model = steps.photom(model) if ours else steps.jwst_photom(model)
    if str(model.meta.exposure.type).upper() in RESAMPLED and not isinstance(model, Cube):
        model.byproducts["i2d"] = steps.jwst_resample(model)
    return model
