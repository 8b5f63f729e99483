"""What flows through a pipeline: arrays on the device beside a stdatamodels metadata tree."""

from gpucal.model.base import Model
from gpucal.model.image import Cube, Image, Slopes
from gpucal.model.load import open, read
from gpucal.model.optional import ChiSquare, SegmentFits
from gpucal.model.ramp import Ramp
from gpucal.model.save import pack, write

__all__ = ["ChiSquare", "Cube", "Image", "Model", "Ramp", "SegmentFits", "Slopes", "open", "pack", "read", "write"]
