"""Guider CDS: the count rates of guide star exposures, from the difference of few reads (correlated double sampling).

Source: the JWST documentation of the guider_cds step.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.errors import InputError
from gpucal.model.guider import GuiderRamp, GuiderRate
from gpucal.step import Step
from gpucal.warned import logged

log = logging.getLogger(__name__)

FINE = 4  # reads averaged at each end of an integration that guides


@dataclass(frozen=True)
class GuiderCds(Step):
    """Subtract early from late reads, divide by the group time; estimate the error from gain and read noise."""

    readouts: ClassVar = ("guider",)

    def process(self, ramp, gain, readnoise):
        """Return the rates of every integration as a new model; of identification images the lesser of two."""
        if not isinstance(ramp, GuiderRamp):
            raise InputError(
                f"{ramp.source}: EXP_TYPE is {ramp.meta.exposure.type}, not the guider's, or it holds rates"
            )
        xp = array_module(ramp.data)
        signal = collected(ramp)
        time = np.float32(ramp.need("exposure.group_time"))
        with np.errstate(divide="ignore", invalid="ignore"):  # gains of 0 make errors infinite
            variance = signal / (at_pixels(gain, ramp) * time)
            variance[variance < 0] = 0
            variance += 2 * xp.square(at_pixels(readnoise, ramp) / time)
        return _product(ramp, data=signal / time, err=xp.sqrt(variance), dq=ramp.dq)


def collected(ramp):
    """Return the counts collected by (nints or 1, ny, nx) pixels; InputError if there are too few reads."""
    xp, data, exp_type = array_module(ramp.data), ramp.data, ramp.need("exposure.type")
    nints, ngroups = data.shape[:2]
    if ngroups < 2:
        raise InputError(f"{ramp.source}: {exp_type} with {ngroups} group, a difference needs two")
    if exp_type == "FGS_FINEGUIDE":
        return _mean(data[:, -FINE:]) - _mean(data[:, :FINE])
    if not exp_type.startswith("FGS_ID"):
        return data[:, 1] - data[:, 0]
    if nints < 2:
        raise InputError(f"{ramp.source}: {exp_type} with {nints} integration, cosmic rays need two to be told apart")
    difference = data[:2, 1] - data[:2, 0]
    return xp.minimum(difference[1:], difference[:1])


def _mean(reads):
    """Average (nints, nreads, ny, nx) over the reads, one after another in single precision."""
    total = reads[:, 0].copy()
    for k in range(1, reads.shape[1]):
        total += reads[:, k]
    return total / np.float32(reads.shape[1])


def at_pixels(reference, ramp):
    """Return a reference's value of every pixel, or its mean where they, a stack, are no part of the detector."""
    values = reference.data
    if ramp.window is not None or values.shape == ramp.data.shape[2:]:
        return values
    return array_module(values).full(ramp.data.shape[2:], reference.made("mean", lambda: _mean_as_stored(values)), "f4")


def _mean_as_stored(values):
    """Return the mean, summed as the official one: over swapped bytes, and so in the order of NumPy's buffers."""
    return np.mean(to_host(values).astype(">f4"))


def _product(ramp, **arrays):
    from stdatamodels.jwst import datamodels

    tree = getattr(datamodels, GuiderRate.tree_class)()
    with logged(ramp.source, log):
        tree.update(ramp.tree)
    for table in ramp.tables:
        if ramp.tree.hasattr(table):
            setattr(tree, table, getattr(ramp.tree, table))
    tree.meta.bunit_data = "DN/s"
    return GuiderRate(tree, ramp.source, **arrays)
