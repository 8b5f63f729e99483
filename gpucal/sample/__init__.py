"""Simulated exposures and matching reference files, so that gpucal runs and is tested with no data at hand."""

from gpucal.sample.configurations import CONFIGURATIONS, READPATT, Configuration
from gpucal.sample.exposures import make_exposures
from gpucal.sample.references import make_references
from gpucal.sample.samples import make_sample

__all__ = ["CONFIGURATIONS", "READPATT", "Configuration", "make_exposures", "make_references", "make_sample"]
