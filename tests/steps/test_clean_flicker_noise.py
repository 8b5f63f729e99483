"""Clean flicker noise: what is common to a line goes, what shines stays, and how it is found is as was asked for.

Unless a test says otherwise the sky is 0, and each row of each group has an offset of its own.
"""

import numpy as np
import pytest

import gpucal.flicker.cleaning
from gpucal.device import to_host
from gpucal.errors import Failed, InputError, ReferenceFileError
from gpucal.flicker import automatic, fourier
from gpucal.flicker.background import background_plane
from gpucal.flicker.ordered import COUNT, HIGH, LOW, MEAN, MEDIAN, SIGMA, Ordered
from gpucal.flicker.soss import trace_mask
from gpucal.params import build
from gpucal.steps import CleanFlickerNoise
from tests.pastasoss import pastasoss

SHAPE = (2, 4, 24, 36)
DNU, JUMP = 1, 4


@pytest.fixture
def noisy(rng):
    """Ramps of white noise of 1 DN, and offsets of rows (of columns, axis 1) of some DN, that begin with 0."""

    def make(shape=SHAPE, axis=2, amplitude=5.0, white=1.0, level=0.0):
        nints, ngroups, ny, nx = shape
        stripes = rng.uniform(-amplitude, amplitude, (nints, ngroups, ny, 1) if axis == 2 else (nints, ngroups, 1, nx))
        steps = level + white * rng.standard_normal(shape) + stripes
        steps[:, 0] = 0
        return steps.cumsum(axis=1).astype("f4")

    return make


@pytest.fixture
def cleaned(ramp, reference):
    """Run the step and return the exposure; the gain is 1 and the read noise 1."""

    def run(data, flat=None, step=None, **keywords):
        exposure = ramp(data, **keywords)
        flat = None if flat is None else reference("flat", data=flat)
        settings = {"skip": False, "n_sigma": 3.0} | (step or {})
        return CleanFlickerNoise(**settings).process(exposure, flat=flat, **constants(exposure, reference))

    return run


def constants(exposure, reference):
    plane = np.ones(exposure.shape[2:])
    return {"readnoise": reference("readnoise", data=plane), "gain": reference("gain", data=plane)}


def steps_of(data):
    return np.diff(to_host(data).astype("f8"), axis=1)


# -- closed forms


@pytest.mark.parametrize(("axis", "keywords"), [(2, {"slowaxis": 2}), (1, {"slowaxis": -1})])
def test_lines_without_other_noise_become_the_level(axis, keywords, cleaned, noisy):
    data = noisy(axis=axis, white=0.0, amplitude=0.25, level=10.0)
    result = cleaned(data, step={"n_sigma": 0.0}, **keywords)
    levels = steps_of(result.data)
    assert np.ptp(levels, axis=(2, 3)).max() < 1e-4
    assert np.abs(levels - 10).max() < 0.25


def test_miri_flickers_along_columns_whatever_its_axes(cleaned, noisy):
    data = noisy(axis=1, white=0.0, amplitude=0.25)
    miri = {"instrument": "MIRI", "detector": "MIRIMAGE", "exp_type": "MIR_IMAGE", "slowaxis": 2}
    assert np.ptp(steps_of(cleaned(data, step={"n_sigma": 0.0}, **miri).data), axis=(2, 3)).max() < 1e-4


def test_injected_stripes_vanish(cleaned, noisy):
    data = noisy(shape=(1, 6, 64, 64), amplitude=5)
    rows = steps_of(cleaned(data).data).mean(axis=3)
    rows -= rows.mean(axis=2, keepdims=True)
    assert steps_of(data).mean(axis=3).std() > 2.5
    assert rows.std() < 0.3  # the error of a median of 64


def test_first_group_stays(cleaned, noisy):
    data = noisy()
    np.testing.assert_array_equal(to_host(cleaned(data).data)[:, 0], data[:, 0])


def test_a_source_stays_what_it_is(cleaned, noisy):
    data = noisy(shape=(1, 5, 64, 64), amplitude=5)
    data[..., 20:26, 30:40] += 1000 * np.arange(5).reshape(-1, 1, 1)
    found = steps_of(cleaned(data).data)[..., 20:26, 30:40].mean()
    assert found == pytest.approx(1000, abs=0.5)


def test_jumps_and_unusable_pixels_do_not_count(cleaned, noisy):
    data = noisy(white=0.0, amplitude=0.25)
    flags = np.zeros(SHAPE, "u1")
    flags[0, 2, 5, :17], flags[0, 2, 5, 17:30] = JUMP, DNU
    data[0, 2:, 5, :30] += 1e-3
    expected = steps_of(cleaned(noisy(white=0.0, amplitude=0), step={"n_sigma": 0.0}).data)
    found = steps_of(cleaned(data, step={"n_sigma": 0.0}, groupdq=flags).data)
    assert abs(found[0, 1, 5, 30:] - np.median(found[0, 1])).max() < 2e-4
    assert expected.max() == 0


def test_group_without_background_stays_as_it_is(cleaned, noisy):
    data = noisy()
    flags = np.zeros(SHAPE, "u1")
    flags[1, 2] = JUMP
    result = to_host(cleaned(data, groupdq=flags).data)
    np.testing.assert_array_equal(result[1, 2], data[1, 2])
    assert np.any(result[1, 3] != data[1, 3])


def test_nan_stays_nan_and_spreads_to_the_groups_after_it(cleaned, noisy):
    data = noisy()
    data[0, 1, 3, 4] = np.nan
    result = to_host(cleaned(data).data)
    assert np.argwhere(np.isnan(result)).tolist() == [[0, g, 3, 4] for g in (1, 2, 3)]


def test_one_group_has_nothing_to_clean(cleaned):
    data = np.ones((1, 1, 6, 6))
    np.testing.assert_array_equal(to_host(cleaned(data).data), data)


def test_channels_have_stripes_of_their_own(cleaned):
    data = np.zeros((1, 2, 4, 2048))
    data[0, 1] = np.repeat([0.1, 0.2, 0.3, 0.4], 512) + np.arange(4)[:, None] / 100
    full = {"subarray": "FULL", "xstart": 1, "ystart": 1}
    found = [
        np.ptp(steps_of(cleaned(data, step={"fit_by_channel": by, "n_sigma": 0.0}, **full).data))
        for by in (True, False)
    ]
    assert found[0] < 1e-6
    assert found[1] > 0.2


def test_a_subarray_has_no_channels(cleaned, noisy):
    data = noisy()
    with_it, without = (cleaned(data, step={"fit_by_channel": by}) for by in (True, False))
    np.testing.assert_array_equal(to_host(with_it.data), to_host(without.data))


def test_flat_is_put_back(cleaned, noisy):
    flat = np.linspace(0.5, 1.5, SHAPE[2] * SHAPE[3]).reshape(SHAPE[2:])
    flat[3, 4], flat[5, 6] = np.nan, 0
    data = noisy(white=0.0, amplitude=0.0, level=100.0) * np.nan_to_num(flat, nan=1)
    result = steps_of(cleaned(data, flat=flat, step={"apply_flat_field": True}).data)
    np.testing.assert_allclose(result, steps_of(data), atol=2e-3)


def test_model_follows_a_gradient(cleaned, noisy):
    gradient = np.linspace(0, 40, 64)[:, None] + np.linspace(0, 10, 64)
    data = noisy((1, 4, 64, 64)) + gradient * np.arange(4).reshape(-1, 1, 1)
    model, median = (
        steps_of(cleaned(data, step={"background_method": method, "background_box_size": [8, 8]}).data) - gradient
        for method in ("model", "median")
    )
    rows = [np.abs(step[0, :, 8:56].mean(axis=(0, 2)) - step.mean()).max() for step in (model, median)]
    assert rows[0] < 0.3 * rows[1]


def test_template_leaves_what_all_integrations_share(cleaned, rng):
    scene = rng.uniform(50, 100, (1, 5, 32, 32)).cumsum(axis=1)
    data = np.repeat(scene, 3, axis=0)
    data[1] += 2 * rng.standard_normal((5, 32, 1))
    result = to_host(cleaned(data, step={"background_method": "median_image", "n_sigma": 0.0}).data)
    assert np.abs(result - scene).max() < 0.7 < 3 < np.abs(data - scene).max()


def test_users_mask_decides(cleaned, noisy, tmp_path):
    from astropy.io import fits

    data, mask = noisy(white=0.0), np.zeros(SHAPE[2:], "f4")
    data[:, 1:, :, 10:] += 7
    mask[:, :10] = 1
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask, name="SCI")]).writeto(tmp_path / "mask.fits")
    found = steps_of(cleaned(data, step={"user_mask": str(tmp_path / "mask.fits"), "background_method": None}).data)
    assert np.abs(found[..., :10]).max() < 1e-4


# -- what comes besides


def test_byproducts_are_left_on_request(cleaned, noisy):
    data = noisy(level=3.0)
    result = cleaned(data, step={"save_mask": True, "save_background": True, "save_noise": True})
    left = {suffix: to_host(product.data) for suffix, product in result.byproducts.items()}
    assert left.keys() == {"mask", "flicker_bkg", "flicker_noise"}
    assert set(np.unique(left["mask"])) == {0, 1}
    assert left["mask"].shape == SHAPE[2:]
    np.testing.assert_array_equal(left["flicker_noise"], to_host(result.data) - data)
    assert np.all(left["flicker_bkg"][:, 0] == 0)
    assert np.abs(left["flicker_bkg"][:, 1:] - 3).max() < 10


def test_three_dimensional_mask_is_a_cube(cleaned, noisy):
    result = cleaned(noisy(), step={"save_mask": True, "single_mask": False})
    assert result.byproducts["mask"].tree_class == "CubeModel"


# -- what cannot be


@pytest.mark.parametrize(
    ("step", "keywords", "reason", "shape"),
    [
        (
            {},
            {"instrument": "MIRI", "exp_type": "MIR_LRS-SLITLESS"},
            "EXP_TYPE MIR_LRS-SLITLESS is not supported",
            SHAPE,
        ),
        ({"fit_method": "fft"}, {}, "fit_method=fft cannot be used for EXP_TYPE NRC_IMAGE", SHAPE),
        ({"mask_science_regions": True}, {"exp_type": "NRS_IFU"}, "needs world coordinates", SHAPE),
        ({"mask_science_regions": True}, {"exp_type": "NIS_SOSS"}, "needs a pastasoss reference", SHAPE),
        ({"background_method": "median_image"}, {"exp_type": "NRC_TSGRISM"}, "needs world coordinates", SHAPE),
        ({"background_method": "median_image"}, {}, "needs more than one integration", (1, 4, 24, 36)),
    ],
)
def test_what_cannot_be_done_fails_and_changes_nothing(
    step, keywords, reason, shape, ramp, references, reference, noisy
):
    exposure = ramp(noisy(shape), **keywords)
    before = to_host(exposure.data).copy()
    _, outcome = build(CleanFlickerNoise, {"skip": False, **step}).run(exposure, references())
    assert outcome.status == "FAILED"
    assert reason in outcome.reason
    assert exposure.meta.cal_step.clean_flicker_noise == "FAILED"
    np.testing.assert_array_equal(to_host(exposure.data), before)


def test_fit_that_fails_halfway_changes_nothing(ramp, reference, noisy, monkeypatch):
    def fit(image, detector, bands, calls=[]):  # noqa: B006  (counts its calls)
        calls.append(detector)
        if len(calls) > 3:
            raise np.linalg.LinAlgError("singular")
        return np.ones(image.shape, "f4") if isinstance(image, np.ndarray) else image * 0 + 1

    monkeypatch.setattr(fourier, "subarray_noise", fit)
    monkeypatch.setattr(gpucal.flicker.cleaning, "SCRATCH", 1)
    exposure = ramp(noisy(), exp_type="NRS_BRIGHTOBJ", instrument="NIRSPEC", detector="NRS1", slowaxis=1)
    before = to_host(exposure.data).copy()
    with pytest.raises(Failed, match="no fit to the noise: singular"):
        CleanFlickerNoise(fit_method="fft").process(exposure, **constants(exposure, reference))
    np.testing.assert_array_equal(to_host(exposure.data), before)


def test_mask_of_another_shape_fails(cleaned, noisy, tmp_path):
    from astropy.io import fits

    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 3), "f4"), name="SCI")]).writeto(tmp_path / "mask.fits")
    with pytest.raises(Failed, match=r"mask.fits: shape \(3, 3\), expected \(24, 36\)"):
        cleaned(noisy(), step={"user_mask": str(tmp_path / "mask.fits")})


def test_mask_that_is_not_there_is_an_error(cleaned, noisy):
    with pytest.raises(InputError, match=r"user_mask=nowhere.fits"):
        cleaned(noisy(), step={"user_mask": "nowhere.fits"})


def test_gain_is_needed(ramp, noisy):
    with pytest.raises(ReferenceFileError, match=r"no readnoise reference for exposure.fits"):
        CleanFlickerNoise().process(ramp(noisy()))


def test_only_references_that_are_used_are_asked_for(ramp, references, reference, noisy):
    exposure = ramp(noisy(), exp_type="NIS_SOSS")
    given = references(
        flat=reference("flat", data=np.ones(SHAPE[2:])), pastasoss="N/A", **constants(exposure, reference)
    )
    CleanFlickerNoise(skip=False).run(exposure, given)
    assert exposure.meta.ref_file.flat.name is None
    assert exposure.meta.ref_file.pastasoss.name == "N/A"


# -- parts


def test_levels_are_those_of_what_is_left_without_outliers(backend, rng):
    values = rng.standard_normal((3, 5000)).astype("f4")
    values[:, :50] += 100
    values[1, 4000:] = np.nan
    levels = to_host(Ordered(backend.upload(values.copy())).clip(3.0, 2.0))
    for found, mine in zip(levels, values, strict=True):
        left = mine[50:].astype("f8")
        left = left[~np.isnan(left)]
        for _ in range(5):
            left = left[np.abs(left - np.median(left)) <= 3 * left.std()]
        assert found[COUNT] == left.size
        assert found[MEDIAN] == np.median(left)
        np.testing.assert_allclose(found[[SIGMA, MEAN]], [left.std(), left.mean()], rtol=1e-12)
        np.testing.assert_allclose(found[[LOW, HIGH]], np.median(left) + left.std() * np.array([-3, 2]), rtol=1e-12)


def test_lower_half_knows_nothing_of_what_shines(backend, rng):
    values = np.abs(rng.standard_normal((1, 20001))).astype("f4")
    values[0, ::2] *= -0.1
    ordered = Ordered(backend.upload(values.copy()))
    whole, lower = (
        to_host(Ordered(backend.upload(values.copy())).clip(3, 3)),
        to_host(ordered.clip(3, 3, lower_half=True)),
    )
    assert lower[0, SIGMA] < 0.3 * whole[0, SIGMA]
    assert lower[0, MEDIAN] == pytest.approx(whole[0, MEDIAN])


def test_range_and_medians_follow_the_limits(backend):
    ordered = Ordered(backend.upload(np.array([[9, 1, 2, 3, np.nan, 2], [np.nan] * 6], "f4")))
    assert to_host(ordered.range).tolist() == [[0, 5], [0, 0]]
    assert to_host(ordered.medians()).tolist()[0] == 2
    assert np.isnan(to_host(ordered.medians())[1])
    assert to_host(ordered.ends()).tolist() == [[1, 9], [np.inf, -np.inf]]


def test_constant_background_is_found_exactly(backend):
    image = np.full((40, 50), 3.5, "f4")
    image[:8, :10] = np.nan
    plane = to_host(background_plane(backend.upload(image), [8, 10], 0))
    assert np.all(plane == 3.5)


def test_background_without_enough_pixels_is_what_it_is_told(backend):
    plane = background_plane(backend.upload(np.full((8, 8), np.nan, "f4")), None, 7)
    assert np.all(to_host(plane) == 7)


@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
def test_slow_drifts_are_fitted_in_fourier_space(detector, backend, rng):
    """A wave of 20 periods over a subarray's readout, part of which is not seen."""
    ny, nx = 32, 128
    ticks = np.arange(nx)[:, None] * (ny + fourier.OVERHEAD) + np.arange(ny)
    wave = np.sin(2 * np.pi * 20 * ticks / ticks.max()).astype("f4")
    wave = np.ascontiguousarray((wave if detector == "NRS1" else wave[::-1]).T)
    masked = np.where(rng.random(wave.shape) < 0.7, wave, np.float32(np.nan))
    noise = to_host(fourier.subarray_noise(backend.upload(masked), detector))
    assert (noise - wave).std() < 0.1 * wave.std()


def test_trace_follows_the_pupil_wheel(ramp, tmp_path):
    from types import SimpleNamespace

    reference = SimpleNamespace(path=pastasoss(tmp_path))
    rows = []
    for angle in (245.76, 245.90):
        exposure = ramp((1, 2, 4, 4), subarray="SUBSTRIP256")
        exposure.tree.meta.instrument.pupil_position = angle
        mask = trace_mask((256, 2048), exposure, reference)
        rows.append(np.flatnonzero(mask[:, 1900])[0])
    assert rows[1] - rows[0] == pytest.approx((1900 - 1024) * np.radians(0.14), abs=1.5)
    exposure.tree.meta.instrument.pupil_position = 240.0
    with pytest.raises(InputError, match=r"PWCPOS 240.0 is outside the bounds"):
        trace_mask((256, 2048), exposure, reference)


@pytest.mark.parametrize(
    ("masked", "offset", "slope", "expected"),
    [
        (0.01, 0.10, 0.0, ("median", True)),
        (0.20, 0.10, 0.0, ("median", False)),
        (0.20, 0.01, 1e-3, ("model", False)),
        (0.01, 0.01, 1e-3, ("model", True)),
        (0.01, 0.01, 0.0, ("median", True)),
        (0.01, 0.00, 0.0, ("median", False)),
    ],
)
def test_uneven_backgrounds_are_modelled(masked, offset, slope, expected):
    assert automatic._choose(automatic.LIMITS["NRC_IMAGE"], masked, offset, slope, 10.0, 0.03) == expected


# -- backends


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"background_method": None},
        {"background_method": "model", "background_box_size": [8, 8]},
        {"background_method": "median_image"},
        {"apply_flat_field": True, "single_mask": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("slowaxis", [1, 2])
@pytest.mark.parametrize("scratch", [1, 2**26])
def test_backends_agree(step, slowaxis, scratch, same_as_twins, make_ramp, make_reference, noisy, rng, monkeypatch):
    monkeypatch.setattr(gpucal.flicker.cleaning, "SCRATCH", scratch)
    data, flags = noisy(level=20.0), (rng.random(SHAPE) < 0.02).astype("u1") * JUMP
    data[0, 1, 3, 4] = np.nan
    flat = rng.uniform(0.9, 1.1, SHAPE[2:])

    def run(device):
        exposure = make_ramp(device, data, groupdq=flags, slowaxis=slowaxis)
        plane = np.ones(SHAPE[2:])
        references = {name: make_reference(device, name, data=plane) for name in ("readnoise", "gain")}
        return CleanFlickerNoise(**step).process(exposure, flat=make_reference(device, "flat", data=flat), **references)

    same_as_twins(run)


def test_parts_of_an_integration_are_cleaned_as_the_whole(cleaned, noisy, monkeypatch):
    data = noisy()
    whole = to_host(cleaned(data).data)
    monkeypatch.setattr(gpucal.flicker.cleaning, "SCRATCH", 1)
    np.testing.assert_array_equal(to_host(cleaned(data).data), whole)
