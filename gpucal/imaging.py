"""What the steps of Stage 2 share: which exposures are images, and pixels that are lost in one array and so in all."""

from typing import Any

import numpy as np

from gpucal.dq import PIXEL
from gpucal.errors import InputError
from gpucal.model.image import Image, Slopes

# EXP_TYPEs of undispersed light, of all instruments but NIRSpec, whose images are calibrated by files of their own.
IMAGES = set(
    (
        "NRC_IMAGE NRC_TSIMAGE NRC_CORON NRC_FOCUS NRC_FLAT NRC_LED NRC_WFSC NRC_TACQ NRC_TACONFIRM "
        "NIS_IMAGE NIS_AMI NIS_FOCUS NIS_LAMP NIS_TACQ NIS_TACONFIRM "
        "MIR_IMAGE MIR_4QPM MIR_LYOT MIR_CORONCAL MIR_FLATIMAGE MIR_TACQ MIR_TACONFIRM "
        "FGS_IMAGE FGS_FOCUS FGS_INTFLAT FGS_SKYFLAT"
    ).split()
)

_Other: Any = object  # the other parent


class OnEach(_Other):
    """The other parent, beside Step, of a step that corrects rate and rateints each by itself."""

    def run(self, model, references):
        """As every step; of two products the outcome is the rate's, which took the time of both."""
        if not isinstance(model, Slopes):
            return super().run(model, references)
        (rate, outcome), (rateints, other) = (super(OnEach, self).run(one, references) for one in model)
        slopes = Slopes(rate, rateints, model.optional)
        return slopes, outcome._replace(seconds=outcome.seconds + other.seconds)


def is_image(model):
    """Tell whether the exposure is one that gpucal's own steps of Stage 2 calibrate."""
    return isinstance(model, Image) and str(model.meta.exposure.type).upper() in IMAGES


def require_image(model, step, *arrays):
    """Raise InputError unless a model holds the rates of an image, with these arrays."""
    if not isinstance(model, Image):
        raise InputError(f"{model.source}: {step} takes rates, this is what comes before them ({model.suffix})")
    if not is_image(model):
        raise InputError(
            f"{model.source}: {step} takes images, EXP_TYPE is {model.meta.exposure.type}; jwst::{step} takes all kinds"
        )
    for name in arrays:
        if getattr(model, name) is None:
            raise InputError(f"{model.source}: no {model.arrays[name]} extension with pixels, which {step} needs")


def mark_lost(dq, *arrays):
    """Make NaN in all arrays what is NaN in one or flagged DO_NOT_USE, and flag it; for twins."""
    lost = dq & PIXEL.DO_NOT_USE != 0
    for array in arrays:
        lost |= np.isnan(array)
    for array in arrays:
        array[lost] = np.nan
    dq[lost] |= PIXEL.DO_NOT_USE
