"""Models of the official package: gpucal's kinds lent to it and taken back without copies, all others as they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucal.device import Device, to_host
from gpucal.errors import InputError
from gpucal.model.base import Model
from gpucal.model.guider import GuiderRamp, GuiderRate
from gpucal.model.image import Cube, Image
from gpucal.model.ramp import Ramp
from gpucal.model.superstripes import SuperstripeRamp

OURS: tuple[type[Model], ...] = (Ramp, Image, Cube, GuiderRamp, GuiderRate, SuperstripeRamp)
KINDS: dict[str, type[Model]] = {kind.tree_class: kind for kind in OURS} | {"IFUImageModel": Image}
ARRAYS = {*Ramp.arrays, *Image.arrays}


class Opaque(Model):
    """A model, or a list of models, for which gpucal has no kind of its own: slits, spectra, cubes, sources.

    It passes from one official step to the next, all of it in `tree`; gpucal's own steps refuse it.
    """

    tree_class = ""
    arrays = {}

    def __init__(self, tree, source="", suffix="cal"):
        super().__init__(tree, source)
        self.suffix = suffix  # type: ignore[misc]
        self.parts: list[Any] = list(tree) if isinstance(tree, Sequence) else [tree]

    def __getattr__(self, name):
        if name in ARRAYS:
            raise self._refusal()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def meta(self):
        """The metadata, of the first of several models."""
        return self.parts[0].meta

    @property
    def window(self):
        """The (y, x) slices of the full detector that the exposure covers; None if the metadata do not say."""
        place = self.meta.subarray
        corner, size = (place.ystart, place.xstart), (place.ysize, place.xsize)
        if None in (*corner, *size):
            return None
        return tuple(slice(start - 1, start - 1 + n) for start, n in zip(corner, size, strict=True))

    def mark(self, step, status):
        """Note in all parts that a step is COMPLETE, SKIPPED or FAILED."""
        for part in self.parts:
            setattr(part.meta.cal_step, step, status)

    def note(self, text):
        """Add a line to the history of all parts."""
        for part in self.parts:
            part.add_history_entry(text)

    def note_reference(self, reftype, name):
        """Refuse: only gpucal's own steps note their references so, and they cannot go on with this."""
        raise self._refusal()

    def copy(self):
        """Return a model that can be changed without changing this one."""
        return Opaque(self.tree.copy(), self.source, self.suffix)

    def save(self, path):
        """Write a FITS or ASDF file; several models become several files, `x_0_s3d.fits`."""
        from gpucal.model.names import numbered
        from gpucal.model.save import pack, write

        for place, part in enumerate(self.parts):
            name = numbered(path, place) if len(self.parts) > 1 else path
            write(pack(Opaque(part, self.source, self.suffix)), name)

    def _refusal(self):
        kind = type(self.parts[0]).__name__
        return InputError(f"{self.source}: is a {kind} now, with which only official steps can go on")


def first(tree):
    """Return the first of several official models, or the one that there is."""
    return tree[0] if isinstance(tree, Sequence) else tree


def lend(model):
    """Return the stdatamodels model of a model, with its arrays on the host: on a CPU the very same memory.

    What is done to it is done to the model. `take_back` ends it.
    """
    for name, array in model.held.items():
        setattr(model.tree, name, to_host(array))
    return model.tree


def take_back(model, device: Device):
    """Take the arrays of a model that was lent out of its tree again, onto the device."""
    for name, array in taken(model.tree, model.arrays).items():
        setattr(model, name, device.upload(array))


def adopt(tree, source, device: Device, suffix="cal"):
    """Return what an official step gave as a model: its arrays on the device if it is of a kind that gpucal has.

    suffix: of a product of another kind. The arrays are taken out of tree.
    """
    kind = None if isinstance(tree, Sequence) else KINDS.get(type(tree).__name__)
    if kind is None:
        return Opaque(tree, source, suffix)
    arrays = {name: device.upload(array) for name, array in taken(tree, kind.arrays).items()}
    return kind(tree, source, **arrays)


def taken(tree, names):
    """Take arrays out of a stdatamodels model; return those that it has, in native byte order."""
    arrays = {}
    for name in names:
        array = getattr(tree, name) if tree.hasattr(name) else None
        if array is not None:
            delattr(tree, name)
            arrays[name] = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return arrays
