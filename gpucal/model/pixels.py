"""Pixels between FITS's byte order and the device: read raw, decoded and encoded by kernels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpucal.errors import InputError
from gpucal.kernel import kernel

SIGN_BIT = 0x80000000


@kernel
def decode_counts(stored, counts):
    """Turn big-endian 16-bit counts with an inverted sign bit into float32."""
    counts[...] = (stored.byteswap() ^ np.uint16(0x8000)).reshape(counts.shape)


@kernel
def swap_words(words, swapped, mask=0):
    """Reverse the bytes of every 4-byte word, then flip the bits in mask."""
    swapped[...] = (words.byteswap() ^ np.uint32(mask)).reshape(swapped.shape)


@dataclass(frozen=True)
class Pixels:
    """Where an image extension lies in a FITS file: (..., ny, nx) pixels of `dtype`, stored big-endian."""

    path: Path
    name: str  # EXTNAME
    offset: int  # bytes
    shape: tuple[int, ...]
    dtype: np.dtype  # after decoding: uint8, uint16, uint32, float32

    @property
    def nbytes(self):
        """Size of the whole extension in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self, first=0, count=None, window=None, buffer=None):
        """Read raw bytes: planes first..first+count of the leading axes, and of each only the window.

        window: (y, x) slices, None for all. buffer: allocates the bytes, (nbytes) -> uint8 array. Returns an array of
        the stored byte order, (count, ny, nx), as unsigned integers of the pixels' size.
        """
        ny, nx = self.shape[-2:]
        planes = int(np.prod(self.shape[:-2], dtype=np.int64))
        count = planes - first if count is None else count
        rows, columns = window or (slice(0, ny), slice(0, nx))
        size = self.dtype.itemsize
        height, width = rows.stop - rows.start, columns.stop - columns.start
        whole = height == ny
        raw = (buffer or _allocate)(count * height * nx * size)
        with open(self.path, "rb", buffering=0) as file:
            for part in [0] if whole else range(count):
                begin = ((first + part) * ny + rows.start) * nx * size
                span = len(raw) if whole else height * nx * size
                file.seek(self.offset + begin)
                _fill(file, raw[part * span : (part + 1) * span], f"{self.path}[{self.name}]")
        stored = raw.view(f"u{size}").reshape(count, height, nx)
        return stored if width == nx else np.ascontiguousarray(stored[:, :, columns])


def decode(stored, dtype, out_dtype=None):
    """Return stored (big-endian words on any device) as native numbers; uint16 counts become float32."""
    xp = _array_module(stored)
    dtype = np.dtype(dtype)
    if dtype == np.uint16:
        counts = xp.empty(stored.shape, np.float32)
        decode_counts(stored, counts)
        return counts
    if dtype.itemsize == 4:
        swap_words(stored, stored, SIGN_BIT if dtype == np.uint32 else 0)
    return stored.view(dtype)


def encode(array, in_place=False):
    """Return array (uint8, uint32 or float32) as the big-endian words that FITS stores; in_place: in its own memory."""
    if array.dtype == np.uint8:
        return array
    if array.dtype not in (np.uint32, np.float32):
        raise TypeError(f"no FITS encoding for {array.dtype}")
    words = array.view(np.uint32) if in_place else _array_module(array).empty(array.shape, np.uint32)
    swap_words(array.view(np.uint32), words, 0x80 if array.dtype == np.uint32 else 0)
    return words


def _fill(file, target, name):
    view = memoryview(target)
    while view:
        got = file.readinto(view)
        if not got:
            raise InputError(f"{name}: the file ends before its pixels do")
        view = view[got:]


def _allocate(nbytes):
    return np.empty(nbytes, np.uint8)


def _array_module(array):
    from gpucal.device import array_module

    return array_module(array)
