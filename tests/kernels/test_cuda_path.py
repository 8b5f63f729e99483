"""The code path of device=cuda, on a stand-in for CuPy: no mixing of host and device, and the host's numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from gpucal import device as devices
from gpucal import irs2, sirs, steps
from gpucal.dq import BITS
from gpucal.drizzle import Mosaic
from gpucal.drizzle.shapes import SHAPES
from gpucal.flicker.fourier import full_frame_noise
from gpucal.irs2 import bad_samples, correction
from gpucal.irs2.weights import weights
from gpucal.kernel import KERNELS
from gpucal.model import open as open_model
from gpucal.model import pack, read
from gpucal.reference import References
from gpucal.reference.file import Reference
from tests import fake_cupy
from tests.drizzle import maps
from tests.fake_cupy import cupy
from tests.steps.images import make_image, write_photom


@pytest.fixture
def stand_in(monkeypatch):
    """The pretended GPU, as gpucal finds it."""
    fake_cupy.install(monkeypatch)
    return devices.choose("cuda")


# -- the stand-in is strict


def test_it_is_chosen_like_a_gpu(stand_in):
    assert stand_in.name == "cuda"
    assert "Stand-in, 16 GiB" in stand_in.why
    assert devices.choose("auto").name == "cuda"


MIX_UPS = {
    "operator": lambda d, h: d + h,
    "reflected operator": lambda d, h: h + d,
    "comparison": lambda d, h: d > h,
    "in-place operator": lambda d, h: d.__iadd__(h),
    "in-place on the host": lambda d, h: h.__iadd__(d),
    "index": lambda d, h: d[h.astype(int)],
    "mask": lambda d, h: d[h > 0],
    "assignment": lambda d, h: d.__setitem__(slice(None), h),
    "assignment on the host": lambda d, h: h.__setitem__(slice(None), d),
    "where": lambda d, h: cupy.where(d > 0, d, h),
    "concatenate": lambda d, h: cupy.concatenate([d, h]),
    "function of the host array": lambda d, h: cupy.nan_to_num(h),
    "numpy.asarray": lambda d, h: np.asarray(d),
    "numpy.float32": lambda d, h: np.float32(d[0]),
    "float64 scalar": lambda d, h: d * np.float64(2),
    "function without a device array": lambda d, h: np.median(d, axis=h),
}


@pytest.mark.parametrize("mix_up", MIX_UPS.values(), ids=MIX_UPS)
def test_mixing_host_and_device_is_an_error(stand_in, mix_up):
    on_host = np.ones(3, "f4")
    with pytest.raises((TypeError, ValueError)):
        mix_up(stand_in.upload(on_host), on_host)


def test_uploads_are_copies(stand_in):
    on_host = np.ones(3)
    on_device = stand_in.upload(on_host)
    on_host[:] = 2
    np.testing.assert_array_equal(stand_in.download(on_device), [1, 1, 1])


def test_views_share_memory(stand_in):
    array = cupy.zeros((2, 3), "f4")
    array[1][2] += 5
    array.reshape(-1)[0] = 7
    np.testing.assert_array_equal(array.get(), [[7, 0, 0], [0, 0, 5]])


# -- launches


def test_a_kernel_runs_on_the_device(stand_in):
    group = cupy.empty(3, "f4")
    KERNELS["average_frames"](stand_in.upload(np.array([[1, 2, 3], [3, 4, np.nan]], "f4")), group)
    np.testing.assert_array_equal(group.get(), [2, 3, 1.5])
    assert fake_cupy.launched == ["average_frames"]


def test_more_pixels_than_threads_are_all_served(stand_in, monkeypatch):
    kernel = KERNELS["average_frames"]
    monkeypatch.setattr(type(kernel), "_launch", lambda self, values: self.cuda((3,), (32,), tuple(values.values())))
    group = cupy.empty(1000, "f4")
    kernel(cupy.ones((1, 1000), "f4"), group)
    np.testing.assert_array_equal(group.get(), np.ones(1000))


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_a_numpy_array_beside_device_arrays_is_refused(stand_in, kernel):
    arrays = [p for p in kernel.parameters if p.dims]
    given = {p.name: cupy.zeros((3,) * len(p.dims), p.dtype) for p in arrays}
    given |= {p.name: 1 for p in kernel.parameters if not p.dims and p.name not in kernel.sizes}
    for odd in arrays[1:]:
        with pytest.raises(TypeError, match=f"{kernel.name}: {odd.name} is not on the same device"):
            kernel(**given | {odd.name: np.zeros((3,) * len(odd.dims), odd.dtype)})


# -- whole pipelines

NEAR_INFRARED = [
    steps.GroupScale(), steps.DqInit(), steps.Saturation(), steps.Ipc(), steps.Superbias(), steps.Refpix(),
    steps.Linearity(), steps.DarkCurrent(), steps.ChargeMigration(), steps.Jump(), steps.RampFit(), steps.GainScale(),
]  # fmt: skip
MID_INFRARED = [
    steps.GroupScale(), steps.DqInit(), steps.Saturation(), steps.Ipc(), steps.Lastframe(), steps.Reset(),
    steps.Linearity(), steps.Rscd(), steps.DarkCurrent(), steps.Refpix(), steps.Jump(), steps.RampFit(),
    steps.GainScale(),
]  # fmt: skip
CLEANING = [
    steps.DqInit(), steps.Jump(), steps.PictureFrame(skip=False, mask_science_regions=False, n_sigma=0.0),
    steps.CleanFlickerNoise(skip=False), steps.RampFit(),
]  # fmt: skip
MAY_SKIP = {"group_scale", "gain_scale", "refpix", "picture_frame", "charge_migration"}  # by the header of some cases
MIRI = {"instrument": "MIRI", "detector": "MIRIMAGE", "subarray": "SUB64", "readpatt": "FASTR1"}
AVERAGED = {"nframes": 4, "groupgap": 1, "group_time": 50.0}


def case(pipeline, shape, zeroframe=False, replaced=(), **keywords):
    """One exposure to calibrate: the steps, some of them replaced, and the header."""
    pipeline = [next((step for step in replaced if step.alias == usual.alias), usual) for usual in pipeline]
    return SimpleNamespace(pipeline=pipeline, shape=shape, zeroframe=zeroframe, keywords=keywords)


CASES = {
    "corner with one output": case(
        NEAR_INFRARED, (2, 6, 20, 24), xstart=1, ystart=1, noutputs=1, zeroframe=True, frame_divisor=5,
        replaced=[steps.RampFit(suppress_one_group=False)], **AVERAGED,
    ),
    "stripe with four outputs": case(NEAR_INFRARED, (2, 3, 6, 2048), xstart=1, ystart=1, zeroframe=True),
    "time series": case(NEAR_INFRARED, (101, 3, 3, 5)),
    "clipping of all differences": case(
        NEAR_INFRARED, (2, 60, 3, 5), replaced=[steps.Jump(only_use_ints=False)]
    ),
    "long ramp with afterglow": case(
        NEAR_INFRARED, (1, 70, 4, 5), gain_factor=2.0,
        replaced=[steps.Jump(after_jump_flag_dn1=100.0, after_jump_flag_time1=30.0)],
    ),
    "mid-infrared subarray": case(MID_INFRARED, (3, 9, 8, 12), xstart=1, ystart=5, **MIRI),
    "interference and persistence": case(
        [
            steps.Emicorr(skip=False), steps.Emicorr(skip=False, onthefly_corr_freq=[218.5]), steps.Saturation(),
            steps.Firstframe(skip=False), steps.Persistence(skip=False, persistence_time=15),
        ],
        (2, 7, 8, 20), xstart=1, ystart=5, **MIRI,
    ),
    "charge migration and optional results": case(
        NEAR_INFRARED, (2, 6, 5, 7), zeroframe=True,
        replaced=[steps.ChargeMigration(skip=False), steps.RampFit(save_opt=True)], **AVERAGED,
    ),
    "likelihood": case(
        NEAR_INFRARED, (3, 8, 5, 7), zeroframe=True,
        replaced=[steps.RampFit(algorithm="LIKELY", save_opt=True)], **AVERAGED,
    ),
    "snowballs": case(
        NEAR_INFRARED, (2, 5, 20, 24), replaced=[steps.Jump(expand_large_events=True, min_sat_radius_extend=0.0)]
    ),
    "showers": case(
        MID_INFRARED, (2, 12, 20, 24), xstart=1, ystart=5, **MIRI,
        replaced=[steps.Jump(find_showers=True, extend_snr_threshold=0.6, extend_min_area=20)],
    ),
    "showers in a time series": case(
        MID_INFRARED, (101, 9, 8, 12), xstart=1, ystart=5, **MIRI,
        replaced=[steps.Jump(find_showers=True, extend_snr_threshold=0.6, extend_min_area=9)],
    ),
    "mid-infrared full frame": case(
        [steps.DqInit(), steps.Refpix()], (1, 2, 1024, 1032), **MIRI | {"subarray": "FULL", "xstart": 1, "ystart": 1}
    ),
    "flicker noise": case(CLEANING, (2, 4, 24, 36)),
    "flicker noise of columns above a model": case(
        CLEANING, (2, 4, 24, 36), slowaxis=1,
        replaced=[steps.CleanFlickerNoise(
            skip=False, background_method="model", apply_flat_field=True, single_mask=False, fit_histogram=True
        )],
    ),
    "flicker noise above a template": case(
        CLEANING, (3, 4, 24, 36), replaced=[steps.CleanFlickerNoise(skip=False, background_method="median_image")]
    ),
    "flicker noise chosen by the exposure": case(
        CLEANING, (2, 4, 24, 36), replaced=[steps.CleanFlickerNoise(skip=False, autoparam=True, save_noise=True)]
    ),
    "flicker noise in Fourier space": case(
        CLEANING, (2, 4, 24, 36), replaced=[steps.CleanFlickerNoise(skip=False, fit_method="fft")], slowaxis=1,
        instrument="NIRSPEC", detector="NRS1", exp_type="NRS_BRIGHTOBJ",
    ),
    "picture frame": case(
        CLEANING, (2, 3, 90, 100), instrument="NIRSPEC", detector="NRS1", exp_type="NRS_IMAGE", subarray="FULL",
    ),
}  # fmt: skip


@pytest.fixture
def calibrate(make_ramp, reference_file, emi_file):
    """Calibrate a case on a device; the same numbers each time. Returns the ramp and, if fitted, the two products."""
    made = {}

    def run(name, device):
        this = CASES[name]
        if name not in made:
            files = reference_files(this, reference_file)
            files["emicorr"] = emi_file([("Hz390", 390.625, np.sin(np.arange(64) * 2 * np.pi / 64))])
            made[name] = contents(this, np.random.default_rng(7)), files
        (data, zeroframe), files = made[name]
        ramp = make_ramp(device, data, zeroframe=zeroframe, **this.keywords)
        model, references = ramp, References(device, files)
        for step in this.pipeline:
            model, outcome = step.run(model, references)
            assert outcome.status == "COMPLETE" or step.alias in MAY_SKIP, outcome
        return [ramp] if model is ramp else [ramp, *model, *filter(None, [model.optional])]

    return run


def contents(this, rng):
    """Ramps with bias, noise, cosmic rays, saturation and counts at the converter's floor; and zero frames."""
    nints, ngroups, ny, nx = this.shape
    rate = rng.choice([5.0, 50.0, 500.0, 9000.0], (ny, nx), p=[0.4, 0.3, 0.2, 0.1])
    data = 10000 + rate * np.arange(1, ngroups + 1)[:, None, None] + rng.normal(0, 10, this.shape)
    hits = rng.random(this.shape) < 0.02
    data += np.cumsum(np.where(hits, rng.uniform(200, 5000, this.shape), 0), axis=1)
    data[rng.random(this.shape) < 0.002] = 0
    zeroframe = 10000 + rate / 4 + rng.normal(0, 10, (nints, ny, nx))
    zeroframe[rng.random(zeroframe.shape) < 0.05] = 0
    return np.minimum(data, 60000).round(), zeroframe.round() if this.zeroframe else None


def reference_files(this, write):
    """All references the steps ask for, with bad pixels of every kind, cut from a window a little larger."""
    rng = np.random.default_rng(8)
    _, ngroups, ny, nx = this.shape
    y, x = (this.keywords.get(word, 1025) for word in ("ystart", "xstart"))
    plane = ny + 1, nx + 2
    place = {"SUBSTRT1": x, "SUBSTRT2": y}
    rows, columns = np.mgrid[y - 1 : y - 1 + plane[0], x - 1 : x - 1 + plane[1]]
    is_miri = this.keywords.get("instrument") == "MIRI"
    edge = (columns < 4) | (columns >= (1028 if is_miri else 2044))
    edge |= ~np.bool(is_miri) & ((rows < 4) | (rows >= 2044))
    flags = rng.choice(np.array([0, 1, 2, 4], "u4"), plane, p=[0.85, 0.05, 0.05, 0.05])
    scattered = rng.random(plane) < 0.05
    cubes = (3, 20, *plane) if is_miri else (max(20, 6 * ngroups), *plane)
    taps = rng.normal(0, 0.01, (3, 3, *plane)) + np.array([[[[0]]] * 3, [[[0]], [[1]], [[0]]], [[[0]]] * 3])
    files = {
        "mask": {"dq": flags & 1 | edge * np.uint32(BITS["REFERENCE_PIXEL"])},
        "saturation": {
            "data": np.where(scattered, np.nan, 45000), "dq": flags,
            "dq_def": {"NO_SAT_CHECK": 2, "HOT": 4, "GIBBERISH": 1},
        },
        "ipc": {"data": taps if is_miri else taps[:, :, 0, 0]},
        "superbias": {"data": np.where(scattered, np.nan, rng.normal(9000, 50, plane)), "dq": flags},
        "linearity": {
            "coeffs": [np.zeros(plane), np.where(scattered, np.nan, 1), np.full(plane, 1e-6), np.full(plane, 1e-12)],
            "inv_coeffs": [np.zeros(plane), np.where(scattered[::-1], 0, 1), np.full(plane, -1e-6)],
            "dq": flags, "dq_def": {"NO_LIN_CORR": 4, "HOT": 1},
        },
        "dark": {
            "data": rng.normal(0.1, 1, cubes), "dq": np.broadcast_to(flags, (3, 1, *plane)) if is_miri else flags,
            "NFRAMES": 1, "GROUPGAP": 0, "AVDRKCUR": 0.01,
        },
        "gain": {"data": np.where(scattered, rng.choice([0, -1, np.nan], plane), 2.0)},
        "readnoise": {"data": rng.uniform(5, 15, plane)},
        "reset": {"data": rng.normal(0, 5, (2, 4, *plane)), "dq": flags, "NINTS": 2, "NGROUPS": 4},
        "rscd": {},
        "flat": {"data": np.where(scattered, rng.choice([0, np.nan], plane), rng.uniform(0.9, 1.1, plane))},
        "pictureframe": {"data": rng.uniform(0, 0.1, plane)},
    }  # fmt: skip
    paths = {reftype: write(reftype, **place, **_as_stored(contents)) for reftype, contents in files.items()}
    columns = [("subarray", "S13"), ("readpatt", "S8"), ("group_skip1", "i4"), ("group_skip", "i4")]
    fits.append(
        paths["rscd"], np.array([("SUB64", "FASTR1", 1, 3)], columns), fits.Header({"EXTNAME": "RSCD_GROUP_SKIP"})
    )
    return paths


def _as_stored(contents):
    """Floating-point arrays as float32, the rest as it is."""
    real = ("data", "coeffs", "inv_coeffs")
    return {name: np.asarray(value, "f4") if name in real else value for name, value in contents.items()}


@pytest.mark.parametrize("name", CASES)
def test_pipeline_on_the_device_gives_the_hosts_bits(stand_in, calibrate, name):
    expected = calibrate(name, devices.choose("host"))
    for mine, theirs in zip(calibrate(name, stand_in), expected, strict=True):
        for array, on_host in theirs.held.items():
            on_device = getattr(mine, array)
            assert isinstance(on_device, cupy.ndarray), array
            np.testing.assert_array_equal(on_device.get(), on_host, err_msg=array, strict=True)


def test_pipelines_above_have_work_to_do(stand_in, calibrate):
    """Flags of all kinds, slopes and NaN: otherwise equality would say little."""
    ramp, rate, _ = calibrate("corner with one output", devices.choose("host"))
    for flag in ("DO_NOT_USE", "SATURATED", "JUMP_DET", "AD_FLOOR"):
        assert (ramp.groupdq & BITS[flag]).any(), flag
    assert np.isnan(rate.data).any()
    assert np.isfinite(rate.data).sum() > rate.data.size / 2
    assert (rate.dq & BITS["NO_GAIN_VALUE"]).any()


class Refpix:
    """A REFPIX reference with the same weights at all frequencies, and a bad pair of samples."""

    path = "refpix.fits"

    def __init__(self, device):
        names = [f"{name}_{amplifier}" for name in ("alpha", "beta") for amplifier in range(4)]
        table = np.full(2 * 712 * 2048, 0.1, [(name, ">f4") for name in names])
        listed = np.array([(1, 2, 5)], [("OUTPUT", "u2"), ("ODD_EVEN", "u2"), ("MASK", "u4")])
        self.device, self.tables = device, {"IRS2": table, "DQ": listed}

    def table(self, name):
        return self.tables[name]

    def made(self, key, make):
        return make()


@pytest.fixture
def correct_irs2(make_ramp, make_reference):
    """Correct an exposure with interleaved reference pixels on a device; the same numbers each time."""

    def run(device):
        rng = np.random.default_rng(9)
        words = {"instrument": "NIRSPEC", "detector": "NRS2", "subarray": "FULL", "xstart": 1, "ystart": 1}
        words |= {"nrs_normal": 16, "nrs_reference": 4, "noutputs": 5}
        data = 10000 + rng.standard_normal((1, 2, 3200, 2048), "f4")
        data[:, 1, 1000:1010, :100] = 50000
        ramp, place = make_ramp(device, data, **words), {"SUBSTRT1": 1, "SUBSTRT2": 1}
        full = make_reference(device, "saturation", data=np.full((2048, 2048), 45000, "f4"), **place)
        readout = irs2.Readout.of(steps.Saturation().process(ramp, full))
        steps.Ipc().process(ramp, make_reference(device, "ipc", data=[[0, 0.01, 0], [0, 0.98, 0], [0, 0.01, 0]]))
        bad = bad_samples.flag_bad_samples(ramp, readout, 2.0)
        steps.Refpix()._subtract_levels(ramp, readout)
        bad_samples.replace_bad_samples(ramp, bad, readout)
        refpix = Refpix(device)
        bad_samples.replace_listed_samples(ramp, refpix, readout)
        whole = ramp.copy()
        for one, preserve in ((ramp, False), (whole, True)):
            correction.subtract_drifts(one, weights(refpix), readout, preserve)
        return [ramp, whole]

    return run


def test_irs2_on_the_device_gives_the_hosts_bits(stand_in, correct_irs2):
    expected = correct_irs2(devices.choose("host"))
    for mine, theirs in zip(correct_irs2(stand_in), expected, strict=True):
        for array in ("data", "groupdq", "pixeldq"):
            np.testing.assert_array_equal(getattr(mine, array).get(), getattr(theirs, array), err_msg=array)


def test_sirs_on_the_device_gives_the_hosts_bits(stand_in, rng):
    values, kernels = rng.normal(0, 10, (2, 2, 50, 4)), rng.uniform(0, 1, (2, 4, 11))
    signals = sirs.side_signals(stand_in.upload(values), kernels, 4.0)
    np.testing.assert_array_equal(signals.get(), sirs.side_signals(values, kernels, 4.0))


def drizzled(device, kernel="square"):
    """Drizzle two images on the device: the mosaic's arrays, and the mean error of the second."""
    rng = np.random.default_rng(7)
    pixmap, shape = maps.random(rng, holes=0.02)
    planes = device.upload(rng.normal(size=(2, *pixmap.shape[:2])).astype("f4"))
    mosaic = Mosaic(shape, kernel, 0.9, variances=2, xp=device.xp)
    for shift in (0, 0.37):
        errors = mosaic.add(planes[0], device.upload(pixmap + shift), errors=planes, variances=planes)
    return mosaic.image, mosaic.weight, mosaic.context, mosaic.variance, errors


@pytest.mark.parametrize("kernel", SHAPES)
def test_drizzling_on_the_device_gives_the_hosts_bits(stand_in, kernel):
    for mine, theirs in zip(drizzled(stand_in, kernel), drizzled(devices.choose("host"), kernel), strict=True):
        np.testing.assert_array_equal(mine.get(), theirs)


@pytest.fixture
def correct_image(make_reference, tmp_path):
    """Correct an image on a device by the steps of Stage 2; the same numbers each time."""

    def run(device):
        rng = np.random.default_rng(8)
        flat = make_reference(device, "flat", data=rng.normal(1, 0.1, (30, 40)), err=rng.random((30, 40)))
        photom = Reference(write_photom(tmp_path / "photom.fits"), "photom", None, device)
        area = make_reference(device, "area", data=rng.normal(1, 0.1, (30, 40)))
        image = make_image(device, rng.normal(5, 2, (30, 40)), dq=rng.integers(0, 9, (30, 40)))
        return steps.Photom().process(steps.FlatField().process(image, flat), photom, area)

    return run


def test_images_are_calibrated_on_the_device_as_on_the_host(stand_in, correct_image):
    mine, theirs = correct_image(stand_in), correct_image(devices.choose("host"))
    for array, on_host in theirs.held.items():
        np.testing.assert_array_equal(getattr(mine, array).get(), on_host, err_msg=array, strict=True)


def test_every_kernel_runs_on_the_device(stand_in, calibrate, correct_irs2, correct_image, write_uncal):
    for name in CASES:
        calibrate(name, stand_in)
    correct_irs2(stand_in)
    correct_image(stand_in)
    drizzled(stand_in)
    read(write_uncal()).unpack(stand_in)
    assert set(KERNELS) - set(fake_cupy.launched) == set()


def test_full_frames_are_fitted_in_fourier_space_as_on_the_host(stand_in):
    image = np.random.default_rng(9).standard_normal((100, 100)).astype("f4")
    image[::7, ::3] = np.nan
    expected = full_frame_noise(image, "NRS2")
    np.testing.assert_array_equal(full_frame_noise(stand_in.upload(image), "NRS2").get(), expected)


# -- from file to file


@pytest.fixture
def write_uncal(make_ramp, rng, tmp_path):
    """Write an exposure as it comes from the telescope: 16-bit counts."""

    def write():
        from stdatamodels.jwst.datamodels import Level1bModel

        ramp = make_ramp(devices.choose("numpy"), (1, 3, 4, 5))
        raw = Level1bModel()
        raw.update(ramp.tree)
        raw.data = rng.integers(0, 65536, (1, 3, 4, 5)).astype("u2")
        raw.save(tmp_path / "jw_uncal.fits")
        return tmp_path / "jw_uncal.fits"

    return write


def test_exposure_is_decoded_on_the_device(stand_in, write_uncal):
    path = write_uncal()
    on_device = open_model(path, stand_in)
    on_host = open_model(path, devices.choose("host"))
    assert isinstance(on_device.data, cupy.ndarray)
    np.testing.assert_array_equal(on_device.data.get(), on_host.data, strict=True)


def test_product_from_the_device_holds_the_hosts_numbers(stand_in, calibrate):
    name = "corner with one output"
    rates = [calibrate(name, device)[1] for device in (stand_in, devices.choose("host"))]
    on_device, on_host = (pack(rate).arrays for rate in rates)
    assert on_device.keys() == on_host.keys()
    for array, (stored, dtype, big_endian) in on_host.items():
        assert on_device[array][1:] == (dtype, big_endian)
        as_in_file = dtype.newbyteorder(">")  # NaN has other bits on a GPU
        np.testing.assert_array_equal(on_device[array][0].view(as_in_file), stored.view(as_in_file), strict=True)


def test_model_copies_stay_on_the_device(stand_in, make_ramp):
    ramp = make_ramp(stand_in, [1, 2, 3])
    copy = ramp.copy()
    copy.data += 1
    np.testing.assert_array_equal(ramp.data.get().ravel(), [1, 2, 3])
    np.testing.assert_array_equal(copy.data.get().ravel(), [2, 3, 4])
