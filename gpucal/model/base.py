"""The common part of all models: a metadata tree, array attributes, and the state of the calibration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from gpucal.errors import InputError
from gpucal.stripes import Stripes


class Model:
    """Device arrays with a stdatamodels metadata tree.

    `arrays` maps each array attribute to its FITS extension; an array that is absent is None. `tree` is a stdatamodels
    model of class `tree_class` that holds everything but these arrays, the `tables` too. `beside` has what steps were
    asked to write beside the products: the end of a file's name, "mask.fits", and what writes that file to a path.
    """

    tree_class: ClassVar[str]
    suffix: ClassVar[str]  # of a product of this kind
    arrays: ClassVar[dict[str, str]]
    tables: ClassVar[tuple[str, ...]] = ("int_times", "int_times_stripe", "group")
    is_ramp: ClassVar[bool] = False  # groups, before the slopes are fitted
    readout: ClassVar[str] = ""  # guider, superstripes: a special one, which only some steps can correct
    data: Any

    def __init__(self, tree, source="", **arrays):
        self.tree = tree
        self.source = str(source)  # for messages: the file it came from
        self.beside: dict[str, Callable[[Path], object]] = {}
        self.byproducts: dict[str, Model] = {}  # by suffix: what a step was asked to save besides
        for name in self.arrays:
            setattr(self, name, arrays.pop(name, None))
        if arrays:
            raise TypeError(f"{type(self).__name__} has no array {', '.join(arrays)}")

    @property
    def meta(self):
        """The metadata tree, as in the official data models: `meta.exposure.ngroups`."""
        return self.tree.meta

    @property
    def held(self):
        """The arrays that there are, by the names of their attributes."""
        return {name: array for name in self.arrays if (array := getattr(self, name)) is not None}

    def need(self, path):
        """Return a value of the metadata, `exposure.group_time`; InputError naming its keyword if it is absent."""
        node = self.tree.meta
        for part in path.split("."):
            node = getattr(node, part, None)
        if node is None:
            raise InputError(f"{self.source or 'exposure'}: keyword {keyword(self.tree, path)} is missing")
        return node

    def mark(self, step, status):
        """Note in the metadata that a step is COMPLETE, SKIPPED or FAILED; step is its name in meta.cal_step."""
        setattr(self.tree.meta.cal_step, step, status)

    def note(self, text):
        """Add a line to the history that the product carries, once."""
        entries = self.tree._instance.get("history", {}).get("entries", [])
        if text not in [entry["description"] for entry in entries]:
            self.tree.add_history_entry(text)

    def note_reference(self, reftype, name):
        """Note in the metadata which reference file of a type was used, or N/A, where there is a place for it."""
        if hasattr(self.tree.meta.ref_file, reftype):
            getattr(self.tree.meta.ref_file, reftype).name = name

    def note_context(self, context, version=None):
        """Note in the metadata the CRDS context in use, or N/A, and the version of its client."""
        self.tree.meta.ref_file.crds.context_used = context
        self.tree.meta.ref_file.crds.sw_version = version

    def copy(self):
        """Return a model whose arrays and metadata can be changed without changing this one's."""
        arrays = {name: array.copy() for name, array in self.held.items()}
        return type(self)(self.tree.copy(), self.source, **arrays)

    def save(self, path):
        """Write a FITS or ASDF file, by the ending of path; whole or not at all."""
        from gpucal.model.save import pack, write

        write(pack(self), path)


class Exposure(Model):
    """A model whose pixels are a window of the detector, to which reference files are cut."""

    @property
    def window(self):
        """The (y, x) slices of the full detector that were read out, in science orientation."""
        ny, nx = self.data.shape[-2:]
        y, x = self.need("subarray.ystart") - 1, self.need("subarray.xstart") - 1
        return slice(y, y + ny), slice(x, x + nx)

    @property
    def cut(self):
        """What reference files are cut to: the window, or the Stripes it is made of."""
        return Stripes.of(self) or self.window


def keyword(tree, path):
    """Return the FITS keyword of a place in the metadata, or the place itself where it has none."""
    node = tree.schema["properties"]["meta"]
    for part in path.split("."):
        node = node.get("properties", {}).get(part, {})
    return node.get("fits_keyword", f"meta.{path}")
