"""The kernels through NVIDIA's own compiler, which needs no GPU; it knows no <math.h>, no NAN, no standard library."""

import ctypes
import importlib.metadata
import re
from functools import cache

import pytest

import gpucal.drizzle
import gpucal.steps  # noqa: F401  binds the kernels
from gpucal.compiler import NVRTC_FLAGS
from gpucal.kernel import KERNELS

EVERY_KERNEL = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
CUPYS_OWN_FLAGS = ("-ftz=true",)


class Nvrtc:
    """The few calls of libnvrtc that are needed."""

    def __init__(self, path):
        self.nvrtc = ctypes.CDLL(str(path))

    @cache  # noqa: B019  lives as long as the tests
    def compile(self, source, name, architecture, own_flags=NVRTC_FLAGS):
        """Return (succeeded, log, PTX)."""
        program = ctypes.c_void_p()
        flags = [flag.encode() for flag in (*own_flags, *CUPYS_OWN_FLAGS, f"--gpu-architecture={architecture}")]
        self.nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), f"{name}.cu".encode(), 0, None, None)
        status = self.nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log, ptx = self._text(program, "ProgramLog"), "" if status else self._text(program, "PTX")
        self.nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        return status == 0, log, ptx

    def _text(self, program, what):
        size = ctypes.c_size_t()
        getattr(self.nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        getattr(self.nvrtc, f"nvrtcGet{what}")(program, text)
        return text.value.decode()


def _library():
    for name in ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"):
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            if re.fullmatch(r"libnvrtc\.so\.\d+", file.name):
                return file.locate()
    return None


@pytest.fixture(scope="module")
def nvrtc():
    """NVRTC from its wheel, or a skipped test."""
    path = _library()
    if path is None:
        pytest.skip("the nvidia-cuda-nvrtc wheel is not installed")
    return Nvrtc(path)


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90", "sm_100"])
@EVERY_KERNEL
def test_kernel_compiles_without_a_warning(nvrtc, kernel, architecture):
    succeeded, log, _ = nvrtc.compile(kernel.source, kernel.name, architecture)
    assert succeeded, log
    assert not log.strip()


@EVERY_KERNEL
def test_kernel_keeps_its_name(nvrtc, kernel):
    _, _, ptx = nvrtc.compile(kernel.source, kernel.name, "compute_90")
    assert re.search(rf"^\.visible \.entry {kernel.name}\(", ptx, re.M)


FUSED = r"\b(?:fma|mad)\.[\w.]*f(?:32|64)\b"


@EVERY_KERNEL
def test_no_product_is_fused_with_a_sum(nvrtc, kernel):
    _, _, ptx = nvrtc.compile(kernel.source, kernel.name, "compute_90")
    assert not re.findall(FUSED, ptx)


def test_without_our_flags_products_would_be_fused(nvrtc):
    _, _, ptx = nvrtc.compile(KERNELS["linearize"].source, "linearize", "compute_90", own_flags=())
    assert re.findall(FUSED, ptx)


@EVERY_KERNEL
def test_quotients_and_roots_are_correctly_rounded(nvrtc, kernel):
    _, _, ptx = nvrtc.compile(kernel.source, kernel.name, "compute_90")
    operations = re.findall(r"\b(?:div|rcp|sqrt|rsqrt)\.[\w.]*f(?:32|64)\b", ptx)
    assert all(".rn." in operation for operation in operations), operations


def test_a_broken_kernel_fails_with_the_line_in_its_own_file(nvrtc):
    source = KERNELS["linearize"].source.replace("ramp[at] = ", "ramp[at] = nonsense + ", 1)
    succeeded, log, _ = nvrtc.compile(source, "linearize", "sm_90")
    assert not succeeded
    assert re.search(r"linearize\.cu\(\d+\): error: identifier \"nonsense\" is undefined", log)
