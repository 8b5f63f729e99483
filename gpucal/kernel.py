"""Bind kernels/NAME.cu to its NumPy twin. The C signature is the only declaration.

Each array parameter carries its shape in a trailing comment, `float* ramp,  // (nints, ngroups, npix)  DN`. That line
gives the dtype, the shape, whether the array is written (no const) and the value of every size parameter; `or null`
after the shape makes None acceptable; FOR_EACH(p, npix) and its kin give the launch size. Where the arrays live
picks the path: CuPy arrays run on the GPU; NumPy arrays run through the host compiler, or through the twin if
`numpy_arrays_run_on` is "numpy".
"""

import ctypes
import functools
import inspect
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpucal import compiler
from gpucal.paths import KERNELS as SOURCES

KERNELS: dict[str, "Kernel"] = {}
numpy_arrays_run_on = "host"  # or "numpy": the twin; set by gpucal.device

CTYPES = {"float": "f4", "double": "f8", "int": "i4", "i64": "i8", "u8": "u1", "u16": "u2", "u32": "u4"}
SIGNATURE = re.compile(
    r"KERNEL\s+(\w+)\s*\((.*?)\)\s*\{.*?"  # name, parameters
    r"FOR_EACH(?:_2D\s*\(\s*\w+\s*,([\w\s*]+),\s*\w+\s*,|(?:_TILE)?\s*\(\s*\w+\s*,)([\w\s*]+)\)",  # launch sizes
    re.S,
)
PARAMETER = re.compile(
    rf"(const\s+)?\b({'|'.join(CTYPES)})\b\s*(\*)?\s*(?:__restrict__\s+)?(\w+)"
    r"\s*,?[ \t]*(?://[ \t]*\(([\w, ]+)\)([ \t]+or null)?[^\n]*)?"
)


class Parameter(NamedTuple):
    """One parameter of a kernel, as its C signature declares it."""

    name: str
    dtype: np.dtype
    dims: tuple[str, ...]  # names of the array's dimensions; () for a scalar
    written: bool
    optional: bool


class Kernel:
    """One .cu file and its twin, called like the twin."""

    def __init__(self, twin):
        self.name, self.twin = twin.__name__, twin
        own = Path(inspect.getfile(twin)).parent / "kernels" / f"{self.name}.cu"  # of a package of the user's
        self.path: Path = own if own.exists() else SOURCES / f"{self.name}.cu"
        found = SIGNATURE.search(self.path.read_text())
        if not found or found[1] != self.name:
            raise SyntaxError(f"{self.path.name}: no `KERNEL {self.name}(...) {{ FOR_EACH...`")
        self.extent = re.findall(r"\w+", f"{found[3] or ''} {found[4]}")  # the sizes whose product is launched
        self.parameters = [
            Parameter(
                name,
                np.dtype(CTYPES[ctype]),
                tuple(dims.replace(",", " ").split()) if star else (),
                bool(star) and not const,
                bool(null),
            )
            for const, ctype, star, name, dims, null in PARAMETER.findall(found[2])
        ]
        self.sizes = {d for p in self.parameters for d in p.dims}
        self.call = inspect.signature(twin)
        functools.update_wrapper(self, twin)
        KERNELS[self.name] = self

    def __call__(self, *args, **kwargs):
        bound = self.call.bind(*args, **kwargs)
        bound.apply_defaults()
        values = self._resolve(bound.arguments)
        if 0 in [values[n] for n in self.extent]:
            return
        if any(hasattr(v, "__cuda_array_interface__") for v in values.values()):
            self._launch(values)
        elif numpy_arrays_run_on == "host":
            self.host(*(_as_c(v) for v in values.values()))
        else:
            self.twin(*bound.args, **bound.kwargs)

    def _resolve(self, given):
        """Check every array against the signature; fill in sizes; cast scalars."""
        sizes: dict[str, int] = {}
        on_gpu = set()
        for p in self.parameters:
            array = given.get(p.name)
            if not p.dims or (array is None and p.optional):
                continue
            what = getattr(array, "dtype", None) or type(array).__name__
            if what != p.dtype or not array.flags.c_contiguous:
                what = f"non-contiguous {what}" if what == p.dtype else what
                raise TypeError(f"{self.name}: {p.name} must be C-contiguous {p.dtype}, not {what}")
            if array.ndim < len(p.dims) - 1:
                raise ValueError(f"{self.name}: {p.name} has shape {array.shape}, expected ({', '.join(p.dims)})")
            on_gpu.add(hasattr(array, "__cuda_array_interface__"))
            if len(on_gpu) > 1:
                raise TypeError(f"{self.name}: {p.name} is not on the same device as the arrays before it")
            if p.written and True not in on_gpu and not array.flags.writeable:
                raise TypeError(f"{self.name}: {p.name} is read-only")
            for dim, size in zip(p.dims, _fold(array.shape, len(p.dims)), strict=True):
                if sizes.setdefault(dim, size) != size:
                    raise ValueError(f"{self.name}: {p.name} has {dim}={size}, expected {sizes[dim]}")
        values = {}
        for p in self.parameters:
            if p.dims:
                values[p.name] = given[p.name]
            elif p.name in self.sizes:
                values[p.name] = p.dtype.type(sizes.get(p.name, 0))  # 0: a size of an absent array alone
            else:
                values[p.name] = p.dtype.type(given[p.name])
        return values

    def _launch(self, values, threads=128):
        count = math.prod(int(values[n]) for n in self.extent)
        blocks = min(-(-count // threads), 1 << 20)
        null = np.uint64(0)
        self.cuda((blocks,), (threads,), tuple(null if v is None else v for v in values.values()))

    @functools.cached_property
    def source(self):
        """The kernel and its headers as one text, so that every cache key covers all of it."""
        return compiler.expand(self.path)

    @functools.cached_property
    def cuda(self):
        """The compiled GPU function."""
        return compiler.cuda_function(self.source, self.name)

    @functools.cached_property
    def host(self):
        """The compiled host function."""
        return compiler.host_function(self.source, self.name)


def _fold(shape, ndim):
    """The sizes of an array's dimensions, the last one absorbing the rest: (g, y, x) fits (g, npix)."""
    return (*shape[: ndim - 1], math.prod(shape[ndim - 1 :]))


def _as_c(value):
    if value is None:
        return ctypes.c_void_p(0)
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return np.ctypeslib.as_ctypes_type(value.dtype)(value)


kernel = Kernel  # reads well as a decorator
