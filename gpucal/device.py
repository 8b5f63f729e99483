"""Choose the hardware, and move arrays to it and back."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from gpucal import compiler, kernel
from gpucal.errors import DeviceError

CHOICES = ("auto", "cuda", "host", "numpy")


@dataclass(frozen=True)
class Device:
    """A way to run the kernels: "cuda" (CuPy arrays), "host" (compiled, all cores) or "numpy" (the twins)."""

    name: str
    why: str  # for the user: what was found, or what would be faster
    xp: ModuleType = np

    def upload(self, array):
        """Return a host array on the device; on the CPU the very same array."""
        return self.xp.asarray(array)

    def free_memory(self):
        """Return the bytes of memory that are free for arrays on the device."""
        if self.name == "cuda":
            return int(self.xp.cuda.runtime.memGetInfo()[0])
        return _free_host_memory()

    def download(self, array):
        """Return a device array on the host; on the CPU the very same array."""
        return to_host(array)


def _free_host_memory():
    """The bytes that the system says are available, or what the process's control group leaves; a lot if none says."""
    free = [1 << 62]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free.append(int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        free.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(min(free), 0)


def choose(name="auto"):
    """Make the named device the one in use; "auto" takes the fastest that works.

    Raises DeviceError where a device asked for by name cannot be used.
    """
    if name not in CHOICES:
        raise DeviceError(f"device={name} is not one of {', '.join(CHOICES)}")
    if name in ("auto", "cuda"):
        try:
            return _cuda()
        except DeviceError as error:
            if name == "cuda":
                raise DeviceError(f"device=cuda cannot be used: {error}") from None
            no_gpu = str(error)
    if name in ("auto", "host"):
        try:
            return _host("" if name == "host" else f" ({no_gpu})")
        except DeviceError as error:
            if name == "host":
                raise DeviceError(f"device=host cannot be used: {error}") from None
            kernel.numpy_arrays_run_on = "numpy"
            return Device("numpy", f"plain NumPy ({error}; a C++ compiler such as g++ makes it about 20 times faster)")
    kernel.numpy_arrays_run_on = "numpy"
    return Device("numpy", "plain NumPy, as asked for")


def _cuda():
    try:
        import cupy
    except ImportError:
        raise DeviceError("CuPy is not installed") from None
    if not cupy.cuda.is_available():
        raise DeviceError("no CUDA device found")
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    memory = properties["totalGlobalMem"] / 2**30
    return Device("cuda", f"{properties['name'].decode()}, {memory:.0f} GiB, through CuPy {cupy.__version__}", cupy)


def _host(note):
    found = compiler.find()
    kernel.numpy_arrays_run_on = "host"
    return Device(
        "host", f"kernels compiled by {found.path}{'' if found.openmp else ' for one core (no OpenMP)'}{note}"
    )


def array_module(array):
    """Return the module, numpy or cupy, that array belongs to."""
    if hasattr(array, "__cuda_array_interface__"):
        import cupy

        return cupy
    return np


def nan_to_zero(array):
    """Replace NaN by 0, in place, and return the array."""
    return array_module(array).nan_to_num(array, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)


def to_host(array):
    """Return a NumPy array with the contents of array, which may be a NumPy array already."""
    return array.get() if hasattr(array, "__cuda_array_interface__") else np.asarray(array)
