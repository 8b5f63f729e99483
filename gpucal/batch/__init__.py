"""Batches: many exposures, one after another through the device, each with its own fate."""

from gpucal.batch.fate import Fate
from gpucal.batch.runner import calibrate

__all__ = ["Fate", "calibrate"]
