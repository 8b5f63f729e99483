"""Calibrate James Webb Space Telescope exposures on GPUs and CPUs."""

__version__ = "0.1.0"
