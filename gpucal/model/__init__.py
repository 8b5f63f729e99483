"""What flows through a pipeline: arrays on the device beside a stdatamodels metadata tree."""

from gpucal.model.base import Model
from gpucal.model.guider import GuiderRamp, GuiderRate
from gpucal.model.image import Cube, Image, Slopes
from gpucal.model.load import open, ramp_shape, read
from gpucal.model.official import Opaque
from gpucal.model.ramp import Ramp
from gpucal.model.save import pack, whole_file, write
from gpucal.model.superstripes import SuperstripeRamp

__all__ = [
    "ChiSquare",
    "Cube",
    "GuiderRamp",
    "GuiderRate",
    "Image",
    "Model",
    "Opaque",
    "Ramp",
    "SegmentFits",
    "Slopes",
    "SuperstripeRamp",
    "open",
    "pack",
    "ramp_shape",
    "read",
    "whole_file",
    "write",
]
