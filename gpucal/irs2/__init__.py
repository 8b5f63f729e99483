"""NIRSpec's IRS2 readout: its geometry, and the correction of its drifts by interleaved reference pixels."""

from gpucal.irs2.geometry import Readout, is_irs2

__all__ = ["Readout", "is_irs2"]
