"""What all tests share: the backends, and small exposures and reference files made in memory or in a temporary folder.

Every test that takes `backend` runs once per way of executing a kernel: the NumPy twin, the host build, the GPU.
"""

import ctypes
import functools
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, settings

from gpucal import device as devices
from gpucal import kernel as kernels
from gpucal.device import to_host
from gpucal.model import Model, Ramp
from gpucal.reference import Reference, References
from gpucal.reference.file import EXTENSIONS

TESTS = Path(__file__).parent

# The same examples every time, so that a failure comes back when one looks for it.
settings.register_profile(
    "gpucal", deadline=None, derandomize=True, max_examples=25, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("gpucal")


# -- backends


def _count_gpus():
    """Ask the driver, not CuPy: a GPU without CuPy must not pass for a machine without a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


HAS_GPU = _count_gpus() > 0
HAS_COMPILER = any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++") if name)
BACKENDS = [
    "numpy",
    pytest.param("host", marks=pytest.mark.skipif(not HAS_COMPILER, reason="no C++ compiler")),
    pytest.param("cuda", marks=pytest.mark.skipif(not HAS_GPU, reason="no CUDA device")),
]


@pytest.fixture(autouse=True)
def _kernels_choice_is_put_back(monkeypatch):
    monkeypatch.setattr(kernels, "numpy_arrays_run_on", kernels.numpy_arrays_run_on)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """A gpucal Device: build arrays with `backend.xp` or `backend.upload`, compare them with `to_host`."""
    return devices.choose(request.param)


@pytest.fixture
def host():
    """The host device, or the twins where there is no compiler: for tests that are not about kernels."""
    return devices.choose("host" if HAS_COMPILER else "numpy")


def pytest_collection_finish(session):
    """Where there is a GPU, a run of all tests that would not touch it must fail."""
    config = session.config
    everything = any(TESTS.is_relative_to(Path(config.invocation_params.dir, arg)) for arg in config.args)
    narrowed = config.option.keyword or config.option.markexpr not in ("", "not slow")
    if HAS_GPU and everything and not narrowed and not any(_runs_on_gpu(item) for item in session.items):
        raise pytest.UsageError("this machine has a GPU, but no CUDA test was collected")


def _runs_on_gpu(item):
    return hasattr(item, "callspec") and "cuda" in item.callspec.params.values()


# -- random numbers, and the law that ties a kernel to its twin


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20250101)


@pytest.fixture(params=BACKENDS[1:])
def same_as_twins(request):
    """Call run(device) for the twins and a compiled backend: the models that come out must agree to the last bit."""

    def check(run):
        expected = [_arrays(model) for model in _models(run(devices.choose("numpy")))]
        actual = [_arrays(model) for model in _models(run(devices.choose(request.param)))]
        for mine, theirs in zip(actual, expected, strict=True):
            assert mine.keys() == theirs.keys()
            for name, array in theirs.items():
                np.testing.assert_array_equal(mine[name], array, err_msg=name, strict=True)

    return check


def _models(result):
    return [result] if isinstance(result, Model) else list(result)


def _arrays(model):
    return {name: to_host(array).copy() for name, array in model.held.items()}


# -- exposures

# The keywords of an exposure and their defaults: a window in the middle of a NIRCam detector, single frames.
KEYWORDS = {
    "instrument": ("instrument.name", "NIRCAM"),
    "detector": ("instrument.detector", "NRCA1"),
    "filter": ("instrument.filter", "F200W"),
    "pupil": ("instrument.pupil", "CLEAR"),
    "exp_type": ("exposure.type", "NRC_IMAGE"),
    "readpatt": ("exposure.readpatt", "RAPID"),
    "nframes": ("exposure.nframes", 1),
    "groupgap": ("exposure.groupgap", 0),
    "frame_divisor": ("exposure.frame_divisor", 1),
    "frame_time": ("exposure.frame_time", 10.0),
    "group_time": ("exposure.group_time", 10.0),
    "noutputs": ("exposure.noutputs", 4),
    "nsamples": ("exposure.nsamples", 1),
    "start_time": ("exposure.start_time", 60310.25),
    "integration_time": ("exposure.integration_time", 10.0),
    "nrs_normal": ("exposure.nrs_normal", None),
    "nrs_reference": ("exposure.nrs_reference", None),
    "gain_factor": ("exposure.gain_factor", None),
    "intstart": ("exposure.integration_start", 1),
    "subarray": ("subarray.name", "SUB64P"),
    "xstart": ("subarray.xstart", 1025),
    "ystart": ("subarray.ystart", 1025),
    "fastaxis": ("subarray.fastaxis", -1),
    "slowaxis": ("subarray.slowaxis", 2),
    "date": ("observation.date", "2024-01-01"),
    "time": ("observation.time", "12:00:00.000"),
}


def header(shape, **keywords):
    """Return the metadata tree of an exposure of this shape, without arrays; a keyword that is None is left out."""
    from stdatamodels.jwst.datamodels import RampModel

    tree = RampModel()
    values = {place: keywords.pop(name, default) for name, (place, default) in KEYWORDS.items()}
    if keywords:
        raise TypeError(f"no such keyword: {', '.join(keywords)}")
    values |= {"exposure.nints": shape[0], "exposure.ngroups": shape[1]}
    values |= {"subarray.ysize": shape[2], "subarray.xsize": shape[3], "telescope": "JWST"}
    for place, value in values.items():
        if value is not None:
            tree[f"meta.{place}"] = value
    return tree


@pytest.fixture
def make_ramp():
    """Make a Ramp on a device from (nints, ngroups, ny, nx) data; [1, 2, 3] is one pixel, a tuple a shape of zeros."""

    def make(device, data, groupdq=0, pixeldq=0, zeroframe=None, dark=None, **keywords):
        data = np.array(_one_pixel(np.zeros(data) if isinstance(data, tuple) else data), "f4", order="C")
        plane = data.shape[2:]
        planes = {
            "data": data,
            "groupdq": _filled(_one_pixel(groupdq), data.shape, "u1"),
            "pixeldq": _filled(pixeldq, plane, "u4"),
            "zeroframe": _filled(zeroframe, (len(data), *plane), "f4"),
            "average_dark_current": _filled(dark, plane, "f4"),
        }
        arrays = {name: device.upload(plane) for name, plane in planes.items() if plane is not None}
        return Ramp(header(data.shape, **keywords), "exposure.fits", **arrays)

    return make


@pytest.fixture
def ramp(make_ramp, backend):
    """Make a Ramp on the backend: `ramp([1, 2, 3], groupdq=[0, 0, 4], nframes=4)`."""
    return functools.partial(make_ramp, backend)


def _filled(values, shape, dtype):
    return None if values is None else np.array(np.broadcast_to(values, shape), dtype, order="C")


def _one_pixel(values):
    values = np.asarray(values)
    return values.reshape(1, -1, 1, 1) if values.ndim == 1 else values


# -- reference files


@pytest.fixture
def reference_file(tmp_path):
    """Write a reference file and return its path: arrays in lower case (lists as float32), keywords in capitals."""
    number = itertools.count()

    def make(reftype, dq_def=None, filename=None, **contents):
        words = {word: contents.pop(word) for word in list(contents) if word.isupper()}
        words = {"REFTYPE": reftype.upper(), "SUBSTRT1": 1025, "SUBSTRT2": 1025, **words}
        primary = fits.PrimaryHDU()
        primary.header.update({word: value for word, value in words.items() if value is not None})
        arrays = {name: np.array(v, v.dtype if isinstance(v, np.ndarray) else "f4") for name, v in contents.items()}
        hdus = [primary, *(fits.ImageHDU(array, name=EXTENSIONS[name]) for name, array in arrays.items())]
        if dq_def is not None:
            rows = [(bit, value, name, "") for bit, (name, value) in enumerate(dq_def.items())]
            columns = [("BIT", "i4"), ("VALUE", "u4"), ("NAME", "S40"), ("DESCRIPTION", "S80")]
            hdus.append(fits.BinTableHDU(np.array(rows, columns), name="DQ_DEF"))
        path = tmp_path / (filename or f"{reftype}_{next(number)}.fits")
        fits.HDUList(hdus).writeto(path, overwrite=True)
        return path

    return make


@pytest.fixture
def emi_file(tmp_path):
    """Write a reference of electromagnetic interference, (name, Hz, period) waves in one subarray; return its path."""

    def make(waves, freqs=None, subarray="SUB64", clocks=(28, 8512)):
        from stdatamodels.jwst.datamodels import EmiModel

        names = [name for name, _, _ in waves]
        model = EmiModel()
        model.frequencies = {name: {"frequency": hertz, "phase_amplitudes": list(w)} for name, hertz, w in waves}
        used = {"FAST": names, "SLOW": {"MIRIMAGE": names}} if freqs is None else freqs
        model.subarray_cases = {subarray: {"rowclocks": clocks[0], "frameclocks": clocks[1], "freqs": used}}
        model.meta.author, model.meta.description, model.meta.pedigree = "gpucal", "EMI", "GROUND"
        model.meta.useafter = "2020-01-01T00:00:00"
        model.save(str(tmp_path / "emicorr.asdf"))
        return tmp_path / "emicorr.asdf"

    return make


@pytest.fixture
def make_reference(reference_file):
    """Make a reference on a device, as a step gets it; not cut unless a window is given."""

    def make(device, reftype, window=None, **contents):
        arrays = {
            name: np.asarray(value, "u4" if name == "dq" else "f4")
            for name, value in contents.items()
            if name in EXTENSIONS
        }
        return Reference(reference_file(reftype, **(contents | arrays)), reftype, window, device)

    return make


@pytest.fixture
def reference(make_reference, backend):
    """Make a reference on the backend: `reference("linearity", coeffs=..., dq=..., NFRAMES=1)`."""
    return functools.partial(make_reference, backend)


@pytest.fixture
def references(backend):
    """Make what a step's run() asks for its references: `references(gain=gain, mask="N/A")`."""

    def make(**files):
        return References(backend, {reftype: getattr(file, "path", file) for reftype, file in files.items()})

    return make
