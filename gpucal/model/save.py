"""Write products: headers, tables and the ASDF tree by stdatamodels, pixels as bytes encoded on the device."""

import io
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gpucal import __version__
from gpucal.device import to_host
from gpucal.errors import OutputError
from gpucal.model.load import Packed
from gpucal.model.pixels import encode
from gpucal.warned import ignored

BLOCK = 2880  # bytes; FITS fills every part of a file up to a multiple


def pack(model, big_endian=True, last=False):
    """Take a model off the device, its pixels encoded there as FITS stores them (or native, for ASDF).

    last: the model will not be used any more, so its memory may be.
    """
    packed = Packed(type(model), model.tree if last else model.tree.copy(), model.source)
    for name, array in model.held.items():
        words = encode(array, in_place=last) if big_endian else array
        stored = to_host(words)
        if words is array and stored is array and not last:
            stored = stored.copy()
        packed.arrays[name] = (stored, np.dtype(array.dtype), big_endian)
    return packed


def write(packed, path, durable=True):
    """Write a packed model to path, FITS or ASDF by its ending, whole or not at all.

    durable: wait until the bytes are on the disk. OutputError names the file and the cause.
    """
    path = Path(path)
    packed.tree.on_save(str(path))
    sign(packed.tree)
    with whole_file(path, durable) as file:
        if path.suffix == ".asdf":
            _write_asdf(packed, file)
        else:
            _write_fits(packed, file)
    return path


@contextmanager
def whole_file(path, durable=True):
    """Open a temporary file that becomes path when the block ends without an error, and vanishes otherwise."""
    path = Path(path)
    scratch = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(scratch, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        scratch.unlink(missing_ok=True) if scratch.parent.is_dir() else None


def sign(tree):
    """Note in the header of a stdatamodels model which gpucal made it; return the model."""
    primary = tree.extra_fits.PRIMARY if tree.hasattr("extra_fits") and tree.extra_fits.hasattr("PRIMARY") else None
    cards = list(primary.header) if primary is not None and primary.hasattr("header") else []
    cards = [list(card) for card in cards if card[0] != "GPUCAL"]
    tree.extra_fits = {
        "PRIMARY": {"header": [*cards, ["GPUCAL", __version__, "Version of gpucal that made this file"]]}
    }
    return tree


def _write_fits(packed, file):
    if not packed.kind.arrays:  # all of it in the tree
        with ignored():
            packed.tree.to_fits(file)
        return
    words = {packed.kind.arrays[name]: stored for name, (stored, _, _) in packed.arrays.items()}
    for header, rest in _headers(packed, words):
        if header is None:
            file.write(rest)
        else:
            _write_block(file, header, b" ")
            _write_block(file, words[rest].reshape(-1).view(np.uint8).data, b"\0")


def _headers(packed, words):
    """Return the extensions in order: (header, name) of what is in words, (None, all its bytes) of everything else.

    stdatamodels makes them. The arrays only lend their type and shape to it: empty ones cost nothing.
    """
    from astropy.io import fits
    from stdatamodels import fits_support

    for name, (stored, dtype, _) in packed.arrays.items():
        setattr(packed.tree, name, np.empty(stored.shape, dtype))
    try:
        with ignored():  # of keywords too long for a card; what is wrong with values was said when they were read
            hdus = fits_support.to_fits(packed.tree._instance, packed.tree._schema)
            skeleton = io.BytesIO()
            fits.HDUList([hdu for hdu in hdus if hdu.name not in words]).writeto(skeleton)
            small = skeleton.getvalue()
            with fits.open(io.BytesIO(small)) as rest:
                places = {hdu.name: hdu.fileinfo() for hdu in rest}
            bytes_of = {name: small[p["hdrLoc"] : p["datLoc"] + p["datSpan"]] for name, p in places.items()}
            return [
                (hdu.header.tostring().encode("ascii"), hdu.name) if hdu.name in words else (None, bytes_of[hdu.name])
                for hdu in hdus
            ]
    finally:
        for name in packed.arrays:
            delattr(packed.tree, name)


def _write_block(file, content, filler):
    file.write(content)
    file.write(filler * (-len(content) % BLOCK))


def _write_asdf(packed, file):
    for name, (stored, dtype, big_endian) in packed.arrays.items():
        native = stored.view(dtype.newbyteorder(">")).astype(dtype) if big_endian else stored
        if big_endian and dtype == np.uint32:
            native ^= np.uint32(1 << 31)
        setattr(packed.tree, name, native)
    with ignored():
        packed.tree.to_asdf(file)
    for name in packed.arrays:
        delattr(packed.tree, name)
