"""SIRS: side pixels smoothed by given kernels; and the subarrays of NIRSpec whose outermost columns are references."""

import numpy as np
import pytest

from gpucal import sirs
from gpucal.device import to_host
from gpucal.errors import ReferenceFileError
from gpucal.reference import Reference
from gpucal.steps import Refpix

NROWS = 40
FULL = {"instrument": "NIRISS", "detector": "NIS", "subarray": "FULL", "xstart": 1, "ystart": 1}
FULL |= {"fastaxis": 1, "slowaxis": 2}


def kernels(left, right, length=5):
    """Kernels of one value in the middle, for the four amplifiers."""
    result = np.zeros((2, 4, length))
    result[0, :, length // 2], result[1, :, length // 2] = left, right
    return result


@pytest.fixture
def sirskernel(tmp_path, backend):
    """Write coefficients for a detector, and open them as a reference."""
    from stdatamodels.jwst.datamodels import SIRSKernelModel

    def make(gamma, zeta, detector="nis"):
        model = SIRSKernelModel()
        model[detector] = {"gamma": gamma, "zeta": zeta}
        model.meta.instrument.name, model.meta.useafter = "NIRISS", "2020-01-01T00:00:00"
        model.meta.description = model.meta.author = model.meta.pedigree = "GROUND"
        path = tmp_path / "sirskernel.asdf"
        model.to_asdf(str(path))
        return Reference(path, "sirskernel", None, backend)

    return make


def test_flat_response_is_a_kernel_of_one_value(sirskernel):
    """A coefficient of 1 at all frequencies is no smoothing at all; the window of the low-pass filter remains."""
    made = sirs.kernels(sirskernel(np.ones((4, 33)), 2 * np.ones((4, 33))), "NIS", gaussmooth=0.1, halfwidth=3)
    np.testing.assert_allclose(made, kernels(1, 2, 7), atol=1e-12)


def test_low_pass_filter_is_a_normal_distribution(sirskernel):
    made = sirs.kernels(sirskernel(np.ones((4, 33)), np.ones((4, 33))), "NIS", gaussmooth=2.0, halfwidth=10)
    window = np.exp(-(np.arange(-10, 11) ** 2) / 8)
    np.testing.assert_allclose(made[0, 0], window / window.sum(), rtol=1e-12)


def test_unknown_detector_has_no_kernels(sirskernel):
    assert sirs.kernels(sirskernel(np.ones((4, 33)), np.ones((4, 33))), "NRCA1", 1.0, 3) is None


@pytest.mark.parametrize("shape", [(4, 9), (3, 33)])
def test_coefficients_that_do_not_suffice_are_refused(sirskernel, shape):
    with pytest.raises(ReferenceFileError, match=r"of NIS have shape \(., .*\), expected \(4, 10 or more\)"):
        sirs.kernels(sirskernel(np.ones(shape), np.ones(shape)), "NIS", 1.0, 8)


def test_signal_is_the_weighed_mean_of_the_side_pixels(backend, rng):
    values = rng.normal(0, 1, (3, 2, NROWS, 4))
    signals = sirs.side_signals(backend.upload(values), kernels([0.5, 0.6, 0.7, 0.8], 0.25), sigreject=100)
    means = values.mean(axis=-1)
    expected = [share * means[:, 0] + 0.25 * means[:, 1] for share in (0.5, 0.6, 0.7, 0.8)]
    np.testing.assert_allclose(to_host(signals), np.moveaxis(expected, 0, 1), rtol=1e-12)


def test_outliers_among_the_side_pixels_do_not_count(backend, rng):
    values = rng.normal(0, 1, (1, 2, NROWS, 4))
    values[0, 1], values[0, 0, 7, 2] = 0, 1000
    signals = sirs.side_signals(backend.upload(values), kernels(1, 1), sigreject=6)
    assert to_host(signals)[0, 0, 7] == pytest.approx(np.delete(values[0, 0, 7], 2).mean())


def test_kernel_smooths_along_the_rows_and_sees_nothing_beyond_the_ends(backend, rng):
    values = np.broadcast_to(rng.normal(0, 1, (1, 2, NROWS, 1)), (1, 2, NROWS, 4)).copy()
    values[0, 1] = 0
    kernel = np.broadcast_to([0.0, 1, 2, 3, 0], (2, 4, 5))
    signals = sirs.side_signals(backend.upload(values), kernel, sigreject=100)
    expected = np.convolve(values[0, 0, :, 0], kernel[0, 0], mode="same")
    np.testing.assert_allclose(to_host(signals)[0], [expected] * 4, atol=1e-12)


def test_drift_along_the_rows_of_a_full_frame_is_removed(ramp, sirskernel):
    """Half of it from the left, half from the right, row by row; the running median would smooth it away."""
    drift = np.zeros((2048, 1))
    drift[10:-10] = np.resize([50.0, -50.0, 20.0], (2028, 1))
    reference = sirskernel(np.full((4, 129), 0.5), np.full((4, 129), 0.5))
    step = Refpix(refpix_algorithm="sirs", gaussmooth=0.05)
    exposure = ramp((drift + np.zeros((2048, 2048)))[None, None], **FULL)
    exposure = step.process(exposure, sirskernel=reference)
    np.testing.assert_allclose(to_host(exposure.data)[0, 0], 0, atol=1e-5)
    other = Refpix().process(ramp((drift + np.zeros((2048, 2048)))[None, None], **FULL))
    assert np.abs(to_host(other.data)).max() > 20


@pytest.mark.parametrize(
    ("words", "taken"),
    [(FULL, True), (FULL | {"subarray": "SUB64"}, False), (FULL | {"instrument": "MIRI"}, False)],
)
def test_only_near_infrared_full_frames_take_kernels(ramp, words, taken):
    exposure = ramp((1, 1, 8, 8), **words)
    assert Refpix(refpix_algorithm="sirs").uses("sirskernel", exposure) == taken
    assert not Refpix().uses("sirskernel", exposure)
    assert not Refpix().uses("refpix", exposure)


def test_median_serves_where_there_are_no_kernels(ramp, references):
    data = np.zeros((1, 1, 2048, 2048))
    data[..., :300, :] = 30
    plain = Refpix().process(ramp(data, **FULL))
    exposure, outcome = Refpix(refpix_algorithm="sirs").run(ramp(data, **FULL), references(sirskernel="N/A"))
    assert outcome.status == "COMPLETE"
    np.testing.assert_array_equal(to_host(exposure.data), to_host(plain.data))


# -- NIRSpec's subarrays without reference pixels


@pytest.mark.parametrize(
    ("subarray", "corrected"), [("SUB32", True), ("SUB512", True), ("SUB512S", True), ("ALLSLITS", False)]
)
def test_outermost_columns_serve_as_reference_pixels(ramp, subarray, corrected):
    data = np.full((1, 1, 10, 32), 9.0)
    data[..., :4], data[..., -4:] = 2, 4
    words = {"instrument": "NIRSPEC", "detector": "NRS1", "noutputs": 1, "fastaxis": 2, "slowaxis": 1}
    exposure = Refpix().process(ramp(data, subarray=subarray, **words))
    np.testing.assert_array_equal(to_host(exposure.data), data - 3 * corrected)
    assert not to_host(exposure.pixeldq).any()
