"""Random numbers: a stream for every purpose, so that no part of a simulation disturbs another."""

import zlib

import numpy as np


def stream(*key):
    """Return the generator that belongs to a key of numbers and words; the same key gives the same numbers."""
    numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.SFC64(numbers))
