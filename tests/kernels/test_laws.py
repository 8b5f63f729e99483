"""Laws that every kernel obeys, checked for all of kernels/ at once."""

import inspect
import re
import subprocess

import numpy as np
import pytest

import gpucal.drizzle  # noqa: F401  binds its kernels
from gpucal import compiler, differences, slopes
from gpucal.device import Device
from gpucal.kernel import KERNELS
from gpucal.paths import KERNELS as SOURCES

NUMPY = Device("numpy", "for tests")
EVERY_KERNEL = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
EVERY_SOURCE = pytest.mark.parametrize("source", sorted(SOURCES.glob("*.cu*")), ids=lambda path: path.name)


def every_array(which=lambda parameter: True):
    """Parametrise a test over all array parameters of all kernels for which which(parameter) holds."""
    pairs = [(kernel, p.name) for kernel in KERNELS.values() for p in kernel.parameters if p.dims and which(p)]
    return pytest.mark.parametrize(("kernel", "name"), pairs, ids=[f"{kernel.name}-{name}" for kernel, name in pairs])


def arguments(kernel, device=NUMPY, size=3):
    """Arguments that fit each other: every dimension has the same size, every scalar is 1."""
    arrays = {p.name: device.xp.zeros((size,) * len(p.dims), p.dtype) for p in kernel.parameters if p.dims}
    scalars = {p.name: 1 for p in kernel.parameters if not p.dims and p.name not in kernel.sizes}
    return arrays | scalars


# -- what a source says


def test_every_source_has_a_twin_and_every_twin_a_source():
    assert {path.stem for path in SOURCES.glob("*.cu")} == set(KERNELS)


@EVERY_KERNEL
def test_signature_lists_the_twins_arguments_in_the_same_order(kernel):
    assert [p.name for p in kernel.parameters if p.name not in kernel.sizes] == list(kernel.call.parameters)


@EVERY_KERNEL
def test_every_size_in_a_shape_is_a_parameter(kernel):
    assert kernel.sizes <= {p.name for p in kernel.parameters if not p.dims}


@EVERY_KERNEL
def test_source_says_where_its_twin_lives(kernel):
    (place,) = re.findall(r"^// Twin: (\S+)$", kernel.path.read_text(), re.M)
    assert (SOURCES.parent / place).samefile(inspect.getsourcefile(kernel.twin))


@EVERY_SOURCE
def test_first_line_names_the_file_and_its_purpose(source):
    assert source.read_text().startswith(f"// {source.name} - ")


@EVERY_SOURCE
def test_only_the_header_speaks_cuda(source):
    cuda = r"threadIdx|blockIdx|blockDim|gridDim|__\w+__\b(?<!__restrict__)|__sync\w+|atomic[A-Z]\w+|^\s*#\s*if|printf"
    found = re.findall(cuda, source.read_text(), re.M)
    assert bool(found) == (source.name == "gpucal.cuh"), found


@EVERY_KERNEL
def test_no_iteration_returns(kernel):
    body = kernel.path.read_text().partition("KERNEL ")[2]
    assert not re.search(r"\breturn\b", body)


@EVERY_KERNEL
def test_source_handed_to_the_compilers_is_one_text_without_includes(kernel):
    assert '#include "' not in kernel.source
    assert kernel.source.count("gpucal.cuh - ") == 1


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("differences.cuh", differences),
        ("fit_ramps.cu", slopes),
        ("maximize_likelihood.cu", slopes),
        ("average_integrations.cu", slopes),
    ],
)
def test_a_lane_has_room_for_as_many_values_as_its_caller_believes(source, module):
    (few,) = re.findall(r"\bFEW = (\d+)\b", (SOURCES / source).read_text())
    assert int(few) == module.FEW


# -- the host build


@EVERY_KERNEL
def test_host_build_is_clean(kernel, host, tmp_path):
    path, openmp, _ = compiler.find()
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]  # some sizes are there for the shapes alone
    command = [path, *compiler.HOST_FLAGS, *openmp, *strict, "-fsyntax-only", "-"]
    build = subprocess.run(command, input=kernel.source, text=True, capture_output=True)
    assert build.returncode == 0, build.stderr


# -- what a kernel refuses: wrong arrays, by name, before any memory is touched


@every_array()
def test_wrong_dtype_is_refused(host, kernel, name):
    given = arguments(kernel)
    given[name] = given[name].astype("c8")
    with pytest.raises(TypeError, match=rf"{kernel.name}: {name} must be .* not complex64"):
        kernel(**given)


@every_array()
def test_noncontiguous_array_is_refused(host, kernel, name):
    given = arguments(kernel)
    given[name] = np.repeat(given[name], 2, axis=-1)
    with pytest.raises(TypeError, match=rf"{kernel.name}: {name} must be C-contiguous"):
        kernel(**given | {name: given[name][..., ::2]})


@every_array(lambda p: not p.optional)
def test_missing_array_is_refused(host, kernel, name):
    with pytest.raises(TypeError, match=rf"{kernel.name}: {name} must be .* not NoneType"):
        kernel(**arguments(kernel) | {name: None})


@every_array(lambda p: p.optional)
def test_array_that_may_be_null_may_be_missing(backend, kernel, name):
    kernel(**arguments(kernel, backend, size=0) | {name: None})


@every_array()
def test_list_in_place_of_an_array_is_refused(host, kernel, name):
    given = arguments(kernel)
    with pytest.raises(TypeError, match=rf"{kernel.name}: {name} must be .* not list"):
        kernel(**given | {name: given[name].tolist()})


@every_array(lambda p: p.written)
def test_readonly_array_is_refused_where_the_kernel_writes(host, kernel, name):
    given = arguments(kernel)
    given[name].flags.writeable = False
    with pytest.raises(TypeError, match=rf"{kernel.name}: {name} is read-only"):
        kernel(**given)


@every_array(lambda p: len(p.dims) > 2)
def test_array_with_too_few_dimensions_is_refused(host, kernel, name):
    given = arguments(kernel)
    with pytest.raises((TypeError, ValueError), match=rf"{kernel.name}: {name} "):
        kernel(**given | {name: given[name][0, 0]})


def every_settled_dimension():
    """Parametrise a test over all (kernel, array, dimension) where an earlier array has settled the size."""
    cases = []
    for kernel in KERNELS.values():
        seen = set()
        for p in kernel.parameters:
            cases += [(kernel, p.name, dim) for dim in p.dims if dim in seen]
            seen.update(p.dims)
    return pytest.mark.parametrize(("kernel", "name", "dim"), cases, ids=[f"{k.name}-{n}-{d}" for k, n, d in cases])


@every_settled_dimension()
def test_wrong_shape_is_refused(host, kernel, name, dim):
    dims = next(p.dims for p in kernel.parameters if p.name == name)
    given = arguments(kernel)
    given[name] = np.zeros([5 if d == dim else 3 for d in dims], given[name].dtype)
    with pytest.raises(ValueError, match=rf"{kernel.name}: {name} has {dim}=5, expected 3"):
        kernel(**given)


@EVERY_KERNEL
def test_nothing_to_do_is_fine(backend, kernel):
    kernel(**arguments(kernel, backend, size=0))
