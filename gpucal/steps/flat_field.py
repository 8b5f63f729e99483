"""Flat field: divide the rates of guide star exposures by the detector's relative response.

Other exposures get their flat field in Stage 2, which is not part of gpucal.
"""

from dataclasses import dataclass
from typing import ClassVar

from gpucal.device import array_module
from gpucal.dq import PIXEL
from gpucal.errors import InputError, Skip
from gpucal.model.guider import GuiderRate
from gpucal.step import Step


@dataclass(frozen=True)
class FlatField(Step):
    """Divide by the flat; add its errors and flags. What is bad in the flat is not divided, but flagged."""

    inverse: bool = False  # multiply instead

    readouts: ClassVar = ("guider",)

    def process(self, rates, flat):
        """Correct in place."""
        xp = array_module(rates.data)
        if any(n < m for n, m in zip(flat.shape()[-2:], rates.data.shape[-2:], strict=True)):
            raise Skip("the flat is smaller than the exposure")
        if not isinstance(rates, GuiderRate):
            raise InputError(f"{rates.source}: flat_field takes rates of the guider alone, after guider_cds")
        response, error, flags = flat.made("usable", lambda: usable_flat(flat))
        if response.shape != rates.data.shape[1:]:
            raise InputError(
                f"{rates.source}: has {rates.data.shape[1:]} pixels, the flat {flat.path} {response.shape}"
            )
        if self.inverse:
            rates.data *= response
        else:
            rates.data /= response
            spread = xp.square(rates.data) / xp.square(response) * xp.square(error)
            rates.err = xp.sqrt(xp.square(rates.err) + spread)
        rates.dq |= flags
        invalid = xp.isnan(rates.data) | xp.isnan(rates.err)
        rates.data[invalid] = rates.err[invalid] = xp.nan
        return rates


def usable_flat(flat):
    """Return the response, 1 where it cannot be used, its error, and flags."""
    response, flags = flat.take("data"), flat.take("dq")
    xp = array_module(response)
    error = flat.take("err") if flat.has("err") else xp.zeros_like(response)
    flags[xp.isnan(response) | (response == 0)] |= PIXEL.NO_FLAT_FIELD
    flags[flags & PIXEL.NO_FLAT_FIELD != 0] |= PIXEL.DO_NOT_USE
    response[flags & PIXEL.DO_NOT_USE != 0] = 1
    return response, error, flags
