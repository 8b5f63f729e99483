"""What a ramp fit can tell beyond the rates, written beside them if asked for."""

from typing import Any, ClassVar

from gpucal.model.base import Model


class Optional(Model):
    """A product that is not corrected any further; `name` replaces the exposure's name in that of its file."""

    suffix: ClassVar[str]
    name = ""


class SegmentFits(Optional):
    """The fits of all segments of all ramps, float32; segments and jumps that a ramp lacks are 0.

    slope (DN/s), sigslope, var_poisson, var_rnoise ((DN/s)^2), yint (DN), sigyint, weights: (nints, nsegments, ny, nx).
    pedestal: (nints, ny, nx), DN. crmag: (nints, njumps, ny, nx), DN, the step into each group with a jump.
    """

    tree_class = "RampFitOutputModel"
    suffix = "fitopt"
    arrays = {
        "slope": "SLOPE",
        "sigslope": "SIGSLOPE",
        "var_poisson": "VAR_POISSON",
        "var_rnoise": "VAR_RNOISE",
        "yint": "YINT",
        "sigyint": "SIGYINT",
        "pedestal": "PEDESTAL",
        "weights": "WEIGHTS",
        "crmag": "CRMAG",
    }
    slope: Any
    sigslope: Any
    var_poisson: Any
    var_rnoise: Any
    yint: Any
    sigyint: Any
    pedestal: Any
    weights: Any
    crmag: Any


class ChiSquare(Optional):
    """The chi^2 of a fit by maximum likelihood, data: (ny, nx) float32, all integrations together."""

    tree_class = "ImageModel"
    suffix = "likely_chisq"
    arrays = {"data": "SCI"}
    data: Any
