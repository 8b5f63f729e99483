"""Reset: remove the transient that a MIRI detector's reset leaves in the first groups."""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.device import nan_to_zero
from gpucal.errors import ReferenceFileError, Skip
from gpucal.step import Step


@dataclass(frozen=True)
class Reset(Step):
    """Subtract the reset anomaly of the first integrations; later ones get the last that the reference has."""

    scope: ClassVar = "integration"

    def process(self, ramp, reset):
        """Subtract in place from as many groups as the reference covers; a NaN in it counts as 0."""
        if not str(ramp.need("instrument.detector")).startswith("MIR"):
            raise Skip("only for MIRI")
        known = reset.keyword("NINTS"), reset.keyword("NGROUPS")
        if None in known:
            raise ReferenceFileError(f"{reset.path}: keyword {'NINTS' if known[0] is None else 'NGROUPS'} is missing")
        anomaly = reset.made("anomaly", lambda: nan_to_zero(reset.take("data")))
        groups = min(ramp.shape[1], known[1])
        first = (ramp.meta.exposure.integration_start or 1) - 1 + ramp.first
        for integration, data in enumerate(ramp.data, start=first):
            data[:groups] -= anomaly[min(integration, known[0] - 1), :groups]
        ramp.pixeldq |= reset.dq
        return ramp
