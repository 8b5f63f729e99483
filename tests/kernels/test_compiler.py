"""From source to machine code, and the choice of the hardware that runs it."""

import ctypes
import subprocess
import sys

import pytest

from gpucal import compiler
from gpucal import device as devices
from gpucal import kernel as kernels
from gpucal.errors import DeviceError

SOURCE = 'extern "C" void answer(int* to) { *to = 42; }\n'


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    """A cache of compiled kernels with nothing in it."""
    monkeypatch.setenv("GPUCAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def other_compiler(monkeypatch):
    """Pretend that the compilers on this machine are these."""

    def choose(*names):
        real = compiler.shutil.which
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setattr(compiler.shutil, "which", lambda name: real(name) if name in names else None)
        compiler.find.cache_clear()

    yield choose
    compiler.find.cache_clear()


# -- one text for both compilers


@pytest.fixture
def sources(tmp_path):
    """A kernel that includes a header twice, once through another header."""
    (tmp_path / "base.cuh").write_text("#pragma once\nint base;\n")
    (tmp_path / "more.cuh").write_text('#pragma once\n#include "base.cuh"\nint more;\n')
    (tmp_path / "kernel.cu").write_text('#include "base.cuh"\n#include "more.cuh"\nint kernel;\n')
    return tmp_path / "kernel.cu"


def test_headers_are_pasted_in_once(sources):
    text = compiler.expand(sources)
    assert [text.count(f"int {name};") for name in ("base", "more", "kernel")] == [1, 1, 1]
    assert text.index("int base;") < text.index("int more;") < text.index("int kernel;")
    assert "#include" not in text
    assert "#pragma once" not in text


def test_line_numbers_are_those_of_the_files(host, sources):
    """The compiler must report an error where the author will look for it."""
    for name, line in (("base.cuh", 2), ("more.cuh", 3), ("kernel.cu", 3)):
        broken = sources.parent / name
        whole = broken.read_text()
        broken.write_text(whole.replace("int ", "nonsense "))
        path = compiler.find().path
        build = subprocess.run(
            [path, "-x", "c++", "-fsyntax-only", "-"], input=compiler.expand(sources), text=True, capture_output=True
        )
        assert f"{name}:{line}:" in build.stderr
        broken.write_text(whole)


# -- the host compiler


def run(source, name="answer"):
    result = ctypes.c_int()
    compiler.host_function(source, name)(ctypes.byref(result))
    return result.value


def test_a_function_is_compiled_and_called(empty_cache):
    assert run(SOURCE) == 42
    assert compiler.is_cached(SOURCE, "answer")


def test_the_same_text_is_compiled_once(empty_cache, monkeypatch):
    run(SOURCE)
    monkeypatch.setattr(compiler.subprocess, "run", None)
    assert run(SOURCE) == 42


def test_another_text_is_compiled_anew(empty_cache):
    assert run(SOURCE) == 42
    assert run(SOURCE.replace("42", "43")) == 43
    assert len(list(empty_cache.iterdir())) == 2


def test_a_text_that_cannot_be_compiled_is_an_error_with_the_compilers_words(empty_cache):
    with pytest.raises(DeviceError, match=r"cannot compile answer\.cu: .*error: .*nonsense"):
        compiler.host_function("nonsense answer();", "answer")
    assert not empty_cache.exists() or not list(empty_cache.iterdir())


def test_without_a_compiler_there_is_an_error(other_compiler):
    other_compiler()
    with pytest.raises(DeviceError, match="no C\\+\\+ compiler found"):
        compiler.find()


def test_a_compiler_that_does_not_work_is_named(other_compiler, monkeypatch):
    other_compiler("false")
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(DeviceError, match="false fails: no message"):
        compiler.find()


# -- the choice


@pytest.fixture
def no_cupy(monkeypatch):
    """Pretend that CuPy is not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)


def test_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="device=tpu is not one of auto, cuda, host, numpy"):
        devices.choose("tpu")


def test_cuda_without_cupy_is_refused_when_asked_for(no_cupy):
    with pytest.raises(DeviceError, match="device=cuda cannot be used: CuPy is not installed"):
        devices.choose("cuda")


def test_automatic_choice_goes_on_to_the_host_and_says_why(no_cupy):
    device = devices.choose("auto")
    assert device.name == "host"
    assert device.why.endswith("(CuPy is not installed)")
    assert kernels.numpy_arrays_run_on == "host"


def test_automatic_choice_ends_with_numpy_and_says_what_would_be_faster(no_cupy, other_compiler):
    other_compiler()
    device = devices.choose("auto")
    assert device.name == "numpy"
    assert "g++" in device.why
    assert kernels.numpy_arrays_run_on == "numpy"


def test_host_without_a_compiler_is_refused_when_asked_for(other_compiler):
    other_compiler()
    with pytest.raises(DeviceError, match="device=host cannot be used: no C\\+\\+ compiler found"):
        devices.choose("host")


def test_upload_to_the_host_is_the_very_same_array(host):
    import numpy as np

    array = np.zeros(3)
    assert host.upload(array) is array
    assert host.download(array) is array
