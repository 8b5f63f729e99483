"""Turn a kernel's source into machine code: NVRTC through CuPy for the GPU, a C++ compiler for the CPU."""

import ctypes
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gpucal.errors import DeviceError
from gpucal.paths import KERNELS as SOURCES

# Contraction off on both sides: a fused multiply-add rounds once where NumPy rounds twice.
NVRTC_FLAGS = ("-std=c++17", "--fmad=false")
HOST_FLAGS = (
    "-x c++ -std=c++17 -O3 -march=native -fPIC -shared -ffp-contract=off -fno-math-errno -fno-trapping-math"
).split()


def expand(path):
    """Return the text of a kernel with its headers (its own or gpucal's) pasted in once each, keeping line numbers."""
    seen = set()

    def text_of(file):
        if file in seen:
            return ""
        seen.add(file)
        lines = [f'#line 1 "{file.name}"']
        for number, line in enumerate(file.read_text().splitlines(), 1):
            include = re.match(r'#include "([^"]+)"', line)
            if include:
                beside = file.parent / include[1]
                lines += [
                    text_of(beside if beside.exists() else SOURCES / include[1]),
                    f'#line {number + 1} "{file.name}"',
                ]
            else:
                lines.append("" if line.strip() == "#pragma once" else line)
        return "\n".join(lines)

    return text_of(Path(path)) + "\n"


def cuda_function(source, name):
    """Compile for the current GPU; CuPy keeps the result in its own cache, keyed by the whole text."""
    import cupy

    return cupy.RawModule(code=source, options=NVRTC_FLAGS).get_function(name)


def host_function(source, name):
    """Load the host build of a kernel, compiling it first unless the same text was compiled before."""
    compiler = find()
    library = _library(source, name)
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        scratch = library.with_suffix(f".{os.getpid()}")
        command = [compiler.path, *HOST_FLAGS, *compiler.openmp, "-o", scratch, "-"]
        build = subprocess.run(command, input=source, text=True, capture_output=True)
        if build.returncode:
            raise DeviceError(f"{compiler.path} cannot compile {name}.cu: {_first_error(build.stderr)}")
        scratch.replace(library)  # atomic, so that two processes may build at once
    function = ctypes.CDLL(str(library))[name]
    function.restype = None
    return function


def is_cached(source, name):
    """Tell whether the host build of a kernel exists already."""
    return _library(source, name).exists()


def _library(source, name):
    text = "\n".join([source, *HOST_FLAGS, *find().openmp, find().path, find().version, _cpu()])
    return cache() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.so"


def warm(kernels):
    """Compile many host kernels at once, one compiler process per core."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda kernel: kernel.host, kernels))


class Compiler(NamedTuple):
    """A host compiler that works."""

    path: str
    openmp: tuple[str, ...]  # its flags for using all cores; empty if it cannot
    version: str


@functools.cache
def find():
    """Return the host compiler; DeviceError if there is none that works."""
    tried = []
    for name in filter(None, (os.environ.get("CXX"), "g++", "clang++", "c++")):
        path = shutil.which(name)
        if path:
            found = _known(path) or _tried(path)
            if isinstance(found, Compiler):
                return found
            tried.append(f"{name} fails: {found}")
    raise DeviceError("; ".join(tried) or "no C++ compiler found")


def _tried(path):
    """Return the compiler at path, noted for the next run, or a text with its error."""
    for openmp in (("-fopenmp",), ()):
        command = [path, *HOST_FLAGS, *openmp, "-o", os.devnull, "-"]
        test = subprocess.run(command, input="#include <cmath>\n", text=True, capture_output=True)
        if test.returncode == 0:
            version = subprocess.run([path, "--version"], text=True, capture_output=True).stdout
            found = Compiler(path, openmp, version)
            note = _note(path)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(found))
            return found
    return _first_error(test.stderr)


def _known(path):
    """Return what an earlier run found of the very same program, or None."""
    try:
        path, openmp, version = json.loads(_note(path).read_text())
    except (OSError, ValueError):
        return None
    return Compiler(path, tuple(openmp), version)


def _note(path):
    about = os.stat(path)
    text = "\n".join([path, *HOST_FLAGS, str(about.st_size), str(about.st_mtime_ns), _cpu()])
    return cache() / f"compiler-{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"


def cache():
    """The folder of compiled host kernels."""
    return Path(os.environ.get("GPUCAL_CACHE", "~/.cache/gpucal")).expanduser() / "kernels"


@functools.cache
def _cpu():
    """What -march=native depends on: a cache shared by different machines must not mix them."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine() + platform.processor()
    return "".join(sorted(set(re.findall(r"^(?:model name|flags|Features)\s*:.*$", info, re.M))))


def _first_error(stderr):
    lines = [line for line in stderr.splitlines() if "error" in line] or stderr.splitlines() or ["no message"]
    return lines[0].strip()
