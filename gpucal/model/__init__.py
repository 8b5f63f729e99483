"""What flows through a pipeline: arrays on the device beside a stdatamodels metadata tree."""

from gpucal.model.base import Model
from gpucal.model.guider import GuiderRamp, GuiderRate
from gpucal.model.image import Cube, Image, Slopes
from gpucal.model.load import open, read
from gpucal.model.ramp import Ramp
from gpucal.model.save import pack, write

__all__ = ["Cube", "GuiderRamp", "GuiderRate", "Image", "Model", "Ramp", "Slopes", "open", "pack", "read", "write"]
