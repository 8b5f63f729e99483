"""The common part of all models: a metadata tree, array attributes, and the state of the calibration."""

from typing import ClassVar

from gpucal.errors import InputError


class Model:
    """Device arrays with a stdatamodels metadata tree.

    `arrays` maps each array attribute to its FITS extension; an array that is absent is None. `tree` is a stdatamodels
    model of class `tree_class` that holds everything but these arrays.
    """

    tree_class: ClassVar[str]
    arrays: ClassVar[dict[str, str]]

    def __init__(self, tree, source="", **arrays):
        self.tree = tree
        self.source = str(source)  # for messages: the file it came from
        self.byproducts: dict[str, Model] = {}  # by suffix: what a step was asked to save besides
        for name in self.arrays:
            setattr(self, name, arrays.pop(name, None))
        if arrays:
            raise TypeError(f"{type(self).__name__} has no array {', '.join(arrays)}")

    @property
    def meta(self):
        """The metadata tree, as in the official data models: `meta.exposure.ngroups`."""
        return self.tree.meta

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
        """Add a line to the history that the product carries."""
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
        arrays = {name: array.copy() for name in self.arrays if (array := getattr(self, name)) is not None}
        return type(self)(self.tree.copy(), self.source, **arrays)

    def save(self, path):
        """Write a FITS or ASDF file, by the ending of path; whole or not at all."""
        from gpucal.model.save import pack, write

        write(pack(self), path)


def keyword(tree, path):
    """Return the FITS keyword of a place in the metadata, or the place itself where it has none."""
    node = tree.schema["properties"]["meta"]
    for part in path.split("."):
        node = node.get("properties", {}).get(part, {})
    return node.get("fits_keyword", f"meta.{path}")
