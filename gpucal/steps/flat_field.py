"""Flat field: divide rates by the detector's relative response."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.dq import PIXEL
from gpucal.errors import ConfigError, InputError, Skip
from gpucal.imaging import OnEach, mark_lost, require_image
from gpucal.kernel import kernel
from gpucal.model.guider import GuiderRate
from gpucal.model.official import Opaque
from gpucal.step import Step

OF_SPECTRA = ("fflat", "sflat", "dflat")  # types of which images have none


@dataclass(frozen=True)
class FlatField(OnEach, Step):
    """Divide by the flat; add its errors and flags. What is bad in the flat is not divided, but flagged.

    For images and their time series, and for guide stars after guider_cds.
    """

    save_interpolated_flat: bool = False  # write the flat that was used, as _interpolatedflat
    user_supplied_flat: str | None = None  # path of a flat that goes before all others
    inverse: bool = False  # multiply instead

    readouts: ClassVar = ("guider",)

    def process(self, rates, flat):
        """Correct in place; the variances of images are kept, their errors made anew from them."""
        if any(n < m for n, m in zip(flat.shape()[-2:], rates.data.shape[-2:], strict=True)):
            raise Skip("the flat is smaller than the exposure")
        if isinstance(rates, GuiderRate):
            self._correct_guider(rates, *_usable(flat, rates))
        else:
            self._correct_image(rates, *_usable(flat, rates))
        if self.save_interpolated_flat:
            rates.byproducts["interpolatedflat"] = _as_used(flat, rates)
        return rates

    def uses(self, reftype, model):
        """No flat is looked for where one is given."""
        return self.user_supplied_flat is None

    def _correct_image(self, rates, response, error, flags):
        require_image(rates, self.alias, "data", "err", "dq", "var_poisson", "var_rnoise")
        if rates.var_flat is None:
            rates.var_flat = array_module(rates.data).empty_like(rates.data)
        arrays = rates.data, rates.err, rates.dq, rates.var_poisson, rates.var_rnoise, rates.var_flat
        npix = response.size
        planes = [array.reshape(-1, npix) for array in arrays]
        divide_flat(*planes, response.reshape(npix), error.reshape(npix), flags.reshape(npix), inverse=self.inverse)

    def _correct_guider(self, rates, response, error, flags):
        xp = array_module(rates.data)
        if self.inverse:
            rates.data *= response
        else:
            rates.data /= response
            spread = xp.square(rates.data) / xp.square(response) * xp.square(error)
            rates.err = xp.sqrt(xp.square(rates.err) + spread)
        rates.dq |= flags
        invalid = xp.isnan(rates.data) | xp.isnan(rates.err)
        rates.data[invalid] = rates.err[invalid] = xp.nan

    def _find(self, model, references):
        if self.user_supplied_flat is None:
            for reftype in OF_SPECTRA:  # which the official step looks for in every exposure
                model.note_reference(reftype, "N/A")
            return super()._find(model, references)
        path = Path(self.user_supplied_flat).expanduser()
        if not path.is_file():
            raise ConfigError(f"user_supplied_flat={self.user_supplied_flat}: no such file")
        model.note_reference("flat", path.name)
        model.note_context(references.context, references.version)
        references.paths[path.name] = path
        return {"flat": references.open(path, "flat", model)}


def usable_flat(flat):
    """Return the response, 1 where it cannot be used, its error, and flags."""
    response, flags = flat.take("data"), flat.take("dq")
    xp = array_module(response)
    error = flat.take("err") if flat.has("err") else xp.zeros_like(response)
    flags[xp.isnan(response) | (response == 0)] |= PIXEL.NO_FLAT_FIELD
    flags[flags & PIXEL.NO_FLAT_FIELD != 0] |= PIXEL.DO_NOT_USE
    response[flags & PIXEL.DO_NOT_USE != 0] = 1
    return response, error, flags


def _usable(flat, rates):
    """What can be used of a flat, made once per run; InputError if it does not fit the exposure."""
    made = flat.made("usable", lambda: usable_flat(flat))
    if made[0].shape != rates.data.shape[-2:]:
        raise InputError(
            f"{rates.source}: has {rates.data.shape[-2:]} pixels, the flat {flat.path} {made[0].shape}"
        )  # fmt: skip
    return made


def _as_used(flat, rates):
    """The flat as a product: one of the exposure's size as it was used, a larger one as it is in its file."""
    from stdatamodels.dynamicdq import dynamic_mask
    from stdatamodels.jwst.datamodels import FlatModel, dqflags

    tree = FlatModel(str(flat.path))
    if tree.data.shape == rates.data.shape[-2:]:
        response, _, flags = _usable(flat, rates)
        tree.data, tree.dq = to_host(response).copy(), to_host(flags).copy()
    if tree.hasattr("dq_def"):  # the bits are stored in the file's own order
        tree.dq = dynamic_mask(tree, dqflags.pixel, inv=True)
    return Opaque(tree, rates.source, "interpolatedflat")


@kernel
def divide_flat(data, err, dq, var_poisson, var_rnoise, var_flat, response, error, flags, inverse):
    """Divide rates by the response, or multiply; make their errors and flags anew."""
    square = response * response
    with np.errstate(all="ignore"):  # of pixels that are lost
        if inverse:
            data *= response
            var_poisson *= square
            var_rnoise *= square
            var_flat[...] = 0
        else:
            data /= response
            var_poisson /= square
            var_rnoise /= square
            var_flat[...] = data * data / square * (error * error)
        err[...] = np.sqrt(var_poisson + var_rnoise + var_flat)
    dq |= flags
    mark_lost(dq, data, err, var_poisson, var_rnoise, var_flat)
