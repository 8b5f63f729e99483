"""Outline: an exposure as far as its headers tell, read in a millisecond, without its pixels."""

import copy
import functools
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gpucal.errors import InputError
from gpucal.model.base import keyword
from gpucal.model.load import kind_of, reason


def outline(source):
    """Return the model of an exposure in a file with its metadata, to be read only, and its shape, but no pixels.

    Of a FITS file the primary and the SCI header are read, of an ASDF file the text. InputError names file and cause.
    """
    path = Path(source)
    try:
        look, shape = _asdf(path) if path.suffix == ".asdf" else _fits(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {reason(error, path)}") from error
    kind = kind_of(len(shape), look("exposure.type"), look("subarray.num_superstripe"))
    if kind is None:
        raise InputError(f"{path}: SCI has {len(shape)} dimensions")
    model = object.__new__(kind)  # its __init__ would make the arrays that a file may lack
    schema = schema_of(kind.tree_class)
    model.tree = SimpleNamespace(schema=schema, meta=_Node(schema["properties"]["meta"], functools.cache(look)))
    model.source, model.data = str(source), _of_shape(shape)
    return model


def with_rows(model, ny):
    """Return the outline of an exposure that has lost some rows."""
    other = copy.copy(model)
    other.data = _of_shape((*model.data.shape[:-2], ny, model.data.shape[-1]))
    return other


def _of_shape(shape):
    """An array without memory."""
    return np.broadcast_to(np.float32(0), shape)


class _Node:
    """A branch of the metadata whose leaves are looked up when they are asked for."""

    def __init__(self, schema, look, place=""):
        self._schema, self._look, self._place = schema, look, place

    def __getattr__(self, name):
        inner = self._schema.get("properties", {}).get(name)
        if inner is None:
            raise AttributeError(name)
        place = f"{self._place}{name}"
        return _Node(inner, self._look, f"{place}.") if "properties" in inner else self._look(place)


def _fits(path):
    """Return a function from places in the metadata to values, and the shape of SCI."""
    from astropy.io import fits

    headers: list[fits.Header] = []
    with open(path, "rb") as file:
        while not headers or headers[-1].get("EXTNAME") != "SCI":
            try:
                headers.append(fits.Header.fromfile(file))
            except EOFError:
                cause = "no SCI extension with pixels" if headers else "not a FITS file"
                raise InputError(f"{path}: {cause}") from None
            if "SIMPLE" not in headers[0]:
                raise InputError(f"{path}: not a FITS file")
            file.seek(headers[-1].data_size_padded, 1)
    primary, sci = headers[0], headers[-1]

    def look(place):
        word = keyword_of(place)
        value = primary[word] if word in primary else sci.get(word)
        return None if isinstance(value, fits.card.Undefined) else value

    return look, tuple(sci[f"NAXIS{axis}"] for axis in range(sci["NAXIS"], 0, -1))


def _asdf(path):
    import asdf

    tree = asdf.util.load_yaml(path)  # the text alone: no arrays, no objects

    def look(place):
        node = tree.get("meta")
        for part in place.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return node

    return look, tuple(tree.get("data", {}).get("shape", ()))


@functools.cache
def keyword_of(place):
    """Return the FITS keyword of a place in the metadata, `exposure.type`: EXP_TYPE."""
    return keyword(SimpleNamespace(schema=schema_of("RampModel")), place)


@functools.cache
def schema_of(tree_class):
    """Return the schema of a class of the official data models."""
    from stdatamodels.jwst import datamodels

    return getattr(datamodels, tree_class)().schema
