"""A stand-in for CuPy, so that the code path of device=cuda runs, and is judged strictly, where there is no GPU.

"Device" arrays are in this machine's memory, but NumPy cannot reach them. What CuPy refuses is refused (a NumPy array
in an operator, an implicit download, a kernel argument of the wrong type), and so is what CuPy allows at the price of a
hidden copy, or promotes differently from version to version. Fresh memory is full of garbage. Kernels are the very text
that is handed over, compiled with the words of CUDA defined for the host, and run thread by thread, the last one first.
"""

import ctypes
import functools
import hashlib
import importlib
import math
import os
import re
import subprocess
import sys
import types

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gpucal import compiler

cupy = types.ModuleType("cupy", __doc__)
cupy.__version__ = "14.0.stand-in"
launched = []  # the names of the kernels that ran


def install(monkeypatch):
    """Make `import cupy` find the stand-in until the test ends; kernels forget what they compiled before."""
    from gpucal.kernel import KERNELS

    launched.clear()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for module in cupyx:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for kernel in KERNELS.values():
        monkeypatch.setitem(vars(kernel), "cuda", None)  # what was there comes back when the test ends
        del kernel.cuda


# -- arrays

METHODS = """
    all any argmax argmin astype clip conj copy cumsum max mean min nonzero ravel repeat reshape round squeeze std sum
    swapaxes transpose view
"""
UFUNCS = """
    absolute add arctan2 bitwise_and bitwise_or bitwise_xor ceil conjugate cos divide equal exp floor floor_divide fmax
    fmin greater greater_equal invert isfinite isinf isnan left_shift less less_equal log log10 logical_and logical_not
    logical_or matmul maximum minimum multiply negative not_equal power remainder right_shift sign sin sqrt square
    subtract
"""


class ndarray(NDArrayOperatorsMixin):
    """An array on the pretended device."""

    def __init__(self, memory):
        self._memory = memory

    shape = property(lambda self: self._memory.shape)
    dtype = property(lambda self: self._memory.dtype)
    ndim = property(lambda self: self._memory.ndim)
    size = property(lambda self: self._memory.size)
    itemsize = property(lambda self: self._memory.itemsize)
    nbytes = property(lambda self: self._memory.nbytes)
    strides = property(lambda self: self._memory.strides)
    T = property(lambda self: ndarray(self._memory.T))
    real = property(lambda self: ndarray(self._memory.real))
    imag = property(lambda self: ndarray(self._memory.imag))

    @property
    def flags(self):
        """What CuPy tells; `writeable` is not among it."""
        known = ("c_contiguous", "f_contiguous", "owndata")
        return types.SimpleNamespace(**{name: getattr(self._memory.flags, name) for name in known})

    @property
    def __cuda_array_interface__(self):
        pointer = self._memory.ctypes.data if self.size else 0
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (pointer, False), "version": 3}

    def __getattr__(self, name):
        if name not in METHODS.split():
            raise AttributeError(f"the stand-in for cupy.ndarray has no {name}")
        return functools.partial(_on_device, getattr(self._memory, name))

    def fill(self, value):
        """Set every element to a scalar."""
        self._memory.fill(_operand(value))

    def sort(self, axis=-1):
        """Sort in place."""
        self._memory.sort(axis=axis)

    # Downloads are explicit, or of one number.

    def get(self, out=None):
        """Return a copy on the host."""
        if out is None:
            return self._memory.copy()
        out[...] = self._memory
        return out

    def item(self):
        """Return the only element as a Python number."""
        return self._memory.item()

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __bool__(self):
        return bool(self._memory)

    def __int__(self):
        return int(self._memory)

    def __float__(self):
        return float(self._memory)

    def __repr__(self):
        return f"device {self._memory!r}"

    # Operators, and NumPy's functions.

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if ufunc.__name__ not in UFUNCS.split() or method != "__call__":
            raise TypeError(f"the stand-in for CuPy has no {ufunc.__name__}.{method}")
        operands = [_operand(value) for value in inputs]
        _require_one_promotion(ufunc, operands)
        if out is not None:
            options["out"] = tuple(_operand(array) for array in out)
        with np.errstate(all="ignore"):
            result = ufunc(*operands, **options)
        return out[0] if out is not None else ndarray(np.asarray(result))

    def __array_function__(self, function, kinds, arguments, options):
        mine = getattr(cupy, function.__name__, None)
        return NotImplemented if mine is None else mine(*arguments, **options)

    # Elements.

    def __len__(self):
        return len(self._memory)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return ndarray(self._memory[_index(index)])

    def __setitem__(self, index, value):
        self._memory[_index(index)] = _operand(value)


def _operand(value):
    """The memory of a device array, or a scalar; TypeError for all else."""
    if isinstance(value, ndarray):
        return value._memory
    if isinstance(value, (bool, int, float, np.generic)):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _index(index):
    """The same index into the memory, of which a single element comes as a view, not as a scalar."""
    parts = [_index_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    return tuple(parts) if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)


def _index_part(part):
    if isinstance(part, ndarray):
        return part._memory
    if part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)):
        return part
    raise TypeError(f"{type(part)} as an index is uploaded anew each time")


def _require_one_promotion(ufunc, operands):
    """Refuse NumPy scalars that widen an array of their own kind: before version 14 CuPy let the array decide."""
    order = "biufc"
    kinds = [order.index(x.dtype.kind) for x in operands if isinstance(x, np.ndarray)]
    if not kinds:
        return
    old = [x.item() if isinstance(x, np.generic) and order.index(x.dtype.kind) <= max(kinds) else x for x in operands]
    then, now = np.result_type(*old), np.result_type(*operands)
    if then != now:
        raise TypeError(f"{ufunc.__name__}: {then} or {now}, depending on CuPy's version")


def _on_device(function, *arguments, **options):
    """Call a NumPy function on the memories of device arrays; arrays that come out are on the device."""
    arguments = [_argument(value) for value in arguments]
    options = {name: _argument(value) for name, value in options.items()}
    with np.errstate(all="ignore"):
        result = function(*arguments, **options)
    if isinstance(result, tuple):
        return tuple(ndarray(np.asarray(part)) for part in result)
    return ndarray(np.asarray(result))


def _argument(value):
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(_argument(part) for part in value)
    return value._memory if isinstance(value, ndarray) else value


# -- functions of device arrays

FUNCTIONS = """
    all any argmax argsort ascontiguousarray broadcast_to clip concatenate count_nonzero cumsum diff expand_dims
    flatnonzero flip
    max mean median min moveaxis nan_to_num nanmax nanmean nanmedian nanmin nansum nonzero pad ravel repeat reshape roll
    rot90 searchsorted sort stack std sum swapaxes take take_along_axis tile transpose where
"""


def _zoom(*arguments, **options):
    from scipy import ndimage

    return _on_device(ndimage.zoom, *arguments, **options)


def _function(name):
    def on_device(*arguments, **options):
        if not any(isinstance(value, ndarray) for value in _flat(arguments)):
            raise TypeError(f"cupy.{name} of nothing that is on the device")
        return _on_device(getattr(np, name), *arguments, **options)

    return on_device


def _flat(values):
    for value in values:
        yield from _flat(value) if isinstance(value, (list, tuple)) else [value]


for _name in FUNCTIONS.split():
    setattr(cupy, _name, _function(_name))
for _name in UFUNCS.split():
    setattr(cupy, _name, getattr(np, _name))  # comes back to ndarray.__array_ufunc__
cupy.fft = types.SimpleNamespace(
    **{name: functools.partial(_on_device, getattr(np.fft, name)) for name in ("rfft", "irfft", "rfft2", "irfft2")}
)
cupy.linalg = types.SimpleNamespace(solve=functools.partial(_on_device, np.linalg.solve))


# -- functions that make device arrays


def _in_cupy(function):
    setattr(cupy, function.__name__, function)
    return function


@_in_cupy
def empty(shape, dtype=float):
    """Return an array of garbage."""
    memory = np.empty(shape, dtype)
    memory.reshape(-1).view(np.uint8)[...] = 0xA5
    return ndarray(memory)


@_in_cupy
def zeros(shape, dtype=float):
    """Return an array of zeros."""
    return ndarray(np.zeros(shape, dtype))


@_in_cupy
def ones(shape, dtype=float):
    """Return an array of ones."""
    return ndarray(np.ones(shape, dtype))


@_in_cupy
def full(shape, value, dtype=None):
    """Return an array filled with a scalar."""
    return ndarray(np.full(shape, _operand(value), dtype))


@_in_cupy
def empty_like(array, dtype=None):
    """Return an array of garbage."""
    return empty(_operand(array).shape, dtype or array.dtype)


@_in_cupy
def zeros_like(array, dtype=None):
    """Return an array of zeros."""
    return zeros(_operand(array).shape, dtype or array.dtype)


@_in_cupy
def arange(*limits, dtype=None):
    """Return evenly spaced numbers."""
    return ndarray(np.arange(*limits, dtype=dtype))


@_in_cupy
def array(values, dtype=None):
    """Return a copy on the device."""
    memory = np.array(values._memory if isinstance(values, ndarray) else values, dtype)
    if memory.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {memory.dtype}")
    return ndarray(memory.astype(memory.dtype.newbyteorder("="), copy=False))


@_in_cupy
def asarray(values, dtype=None):
    """Return the array itself if it is on the device, else a copy there."""
    return values if isinstance(values, ndarray) and dtype in (None, values.dtype) else array(values, dtype)


@_in_cupy
def asnumpy(values):
    """Return a copy on the host."""
    return values.get() if isinstance(values, ndarray) else np.asarray(values)


# -- what CuPy has of SciPy

cupyx = [types.ModuleType(name) for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.fft", "cupyx.scipy.ndimage")]
OF_SCIPY = {"fft": "fft ifft rfft irfft", "ndimage": "convolve1d zoom"}


def _of_scipy(module, name):
    def on_device(*arguments, workers=None, **options):
        if workers is not None or not isinstance(arguments[0], ndarray):
            raise TypeError(f"cupyx.scipy.{module}.{name} knows neither workers nor host arrays")
        return _on_device(getattr(importlib.import_module(f"scipy.{module}"), name), *arguments, **options)

    return on_device


cupyx[0].scipy = cupyx[1]
for _module in cupyx[2:]:
    _short = _module.__name__.rpartition(".")[2]
    setattr(cupyx[1], _short, _module)
    for _name in OF_SCIPY[_short].split():
        setattr(_module, _name, _of_scipy(_short, _name))

# -- types and numbers, and the device

cupy.ndarray = ndarray
for _name in ("inf", "nan", "newaxis", "dtype", "bool_", "float32", "float64"):
    setattr(cupy, _name, getattr(np, _name))
for _name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
    setattr(cupy, _name, getattr(np, _name))

cupy.cuda = types.SimpleNamespace(
    is_available=lambda: True,
    Device=lambda number=0: types.SimpleNamespace(id=number),
    runtime=types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda number: {"name": b"Stand-in", "totalGlobalMem": 16 * 2**30},
        memGetInfo=lambda: (15 * 2**30, 16 * 2**30),
    ),
)


# -- kernels

CUDA_ON_THE_HOST = """
#include <cmath>
#undef NAN
#undef INFINITY
#define __CUDACC__
#define __CUDACC_RTC__
#define __global__
#define __device__
using std::fabs; using std::isfinite; using std::isnan; using std::sqrt;
struct Place_ { unsigned x, y, z; };
static Place_ threadIdx, blockIdx, blockDim, gridDim;
static float __int_as_float(int bits) { float value; __builtin_memcpy(&value, &bits, 4); return value; }
static unsigned atomicAdd(unsigned* to, unsigned v) { const unsigned before = *to; *to += v; return before; }
"""
LAUNCHER = """
extern "C" void launch(unsigned grid, unsigned block, %(parameters)s) {
  gridDim = {grid, 1, 1};
  blockDim = {block, 1, 1};
  for (unsigned b = grid; b-- > 0;)
    for (unsigned t = block; t-- > 0;) {
      blockIdx.x = b;
      threadIdx.x = t;
      %(name)s(%(arguments)s);
    }
}
"""
C_TYPES = {"float": "f4", "double": "f8", "int": "i4", "i64": "i8", "u8": "u1", "u16": "u2", "u32": "u4"}
FLAGS = ("-std=c++17", "--fmad=false")


class RawModule:
    """Source code and compiler flags, as for NVRTC."""

    def __init__(self, *, code, options=()):
        if not isinstance(options, tuple) or not set(options) <= set(FLAGS):
            raise TypeError(f"options must be a tuple of known flags, not {options!r}")
        if '#include "' in code:
            raise ValueError("CuPy's cache does not see what a text includes")
        self.code = code

    def get_function(self, name):
        """Compile, and return what launches the kernel."""
        return RawKernel(self.code, name)


class RawKernel:
    """One kernel; called with (grid, block, arguments)."""

    def __init__(self, code, name):
        declaration = re.search(rf"^KERNEL {name}\((.*?)\)\s*\{{", code, re.S | re.M)[1]
        self.name = name
        self.may_be_null = set(re.findall(r"(\w+) *,? *// *\([^)]*\) or null", declaration))
        declaration = re.sub(r"//.*", "", declaration)
        self.parameters = [_parameter(text) for text in declaration.split(",")]
        arguments = ", ".join(parameter for parameter, _, _ in self.parameters)
        launcher = LAUNCHER % {"name": name, "parameters": declaration, "arguments": arguments}
        self.function = _compiled(CUDA_ON_THE_HOST + code + launcher, name)

    def __call__(self, grid, block, arguments):
        for what, sizes, largest in (("grid", grid, 2**31 - 1), ("block", block, 1024)):
            if not isinstance(sizes, tuple) or not all(type(n) is int and 0 < n <= largest for n in sizes):
                raise ValueError(f"{self.name}: {what} {sizes!r} cannot be launched")
        if len(arguments) != len(self.parameters):
            raise TypeError(f"{self.name}: {len(arguments)} arguments for {len(self.parameters)} parameters")
        launched.append(self.name)
        pairs = zip(self.parameters, arguments, strict=True)
        self.function(math.prod(grid), math.prod(block), *(self._as_c(*p, value) for p, value in pairs))

    def _as_c(self, parameter, dtype, is_pointer, value):
        """The argument as C wants it; TypeError where a GPU would read other bytes than were meant."""
        if not is_pointer:
            if type(value) is not dtype.type:
                raise TypeError(f"{self.name}: {parameter} is {type(value)}, not {dtype}")
            return np.ctypeslib.as_ctypes_type(dtype)(value.item())
        if type(value) is np.uint64 and value == 0 and parameter in self.may_be_null:
            return ctypes.c_void_p(None)
        if not isinstance(value, ndarray):
            raise TypeError(f"{self.name}: {parameter} is {type(value)}, not a device array")
        if value.dtype != dtype or not value.flags.c_contiguous:
            raise TypeError(f"{self.name}: {parameter} is not contiguous {dtype}")
        return ctypes.c_void_p(value._memory.ctypes.data)


cupy.RawModule = RawModule


def _parameter(declaration):
    """(name, dtype, is it a pointer) of one parameter of a C signature."""
    pattern = r"\s*(?:const\s+)?(\w+)\s*(\*?)\s*(?:__restrict__\s+)?(\w+)\s*"
    kind, star, name = re.fullmatch(pattern, declaration).groups()
    return name, np.dtype(C_TYPES[kind]), bool(star)


@functools.cache
def _compiled(source, name):
    path = compiler.find().path
    command = [path, "-x", "c++", "-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-ffp-contract=off"]
    key = hashlib.sha256("\n".join([source, *command]).encode()).hexdigest()
    library = compiler.cache() / f"stand-in-{name}-{key[:20]}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        scratch = library.with_suffix(f".{os.getpid()}")
        build = subprocess.run([*command, "-o", scratch, "-"], input=source, text=True, capture_output=True)
        if build.returncode:
            raise RuntimeError(build.stderr)
        scratch.replace(library)
    function = ctypes.CDLL(str(library)).launch
    function.restype = None
    return function
