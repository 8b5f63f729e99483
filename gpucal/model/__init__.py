"""What flows through a pipeline: arrays on the device beside a stdatamodels metadata tree."""

from gpucal.model.base import Model
from gpucal.model.image import Cube, Image, Slopes
from gpucal.model.load import open, read
from gpucal.model.ramp import Ramp
from gpucal.model.save import pack, whole_file, write

__all__ = ["Cube", "Image", "Model", "Ramp", "Slopes", "open", "pack", "read", "whole_file", "write"]
