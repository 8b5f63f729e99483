"""Guider CDS and the guider's flat field: rates from few reads, their errors, and what cannot be corrected."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import PIXEL
from gpucal.errors import InputError, ReferenceFileError
from gpucal.model import GuiderRamp, GuiderRate
from gpucal.steps import DqInit, FlatField, GuiderCds, Jump, RampFit
from tests.conftest import header


@pytest.fixture
def guider(backend):
    """Make a guider exposure from (nints, ngroups, ny, nx) counts."""

    def make(exp_type, data, **keywords):
        from stdatamodels.jwst.datamodels import GuiderRawModel

        data = np.array(data, "f4", ndmin=4)
        words = {"instrument": "FGS", "detector": "GUIDER1", "group_time": 0.5, "exp_type": exp_type, **keywords}
        tree = GuiderRawModel()
        tree.update(header(data.shape, **words))
        return GuiderRamp(tree, "exposure.fits", data=backend.upload(data))

    return make


def column(*reads):
    """One pixel read some times, in one integration."""
    return np.reshape(reads, (1, -1, 1, 1))


def given(reference, gain=2.0, noise=3.0):
    return reference("gain", data=[[gain]]), reference("readnoise", data=[[noise]])


@pytest.mark.parametrize("exp_type", ["FGS_ACQ1", "FGS_ACQ2", "FGS_TRACK"])
def test_rate_is_the_second_read_less_the_first(exp_type, guider, reference):
    data = np.concatenate([column(10, 25), column(10, 5)])
    rates = GuiderCds().process(guider(exp_type, data), *given(reference))
    assert isinstance(rates, GuiderRate)
    np.testing.assert_array_equal(to_host(rates.data).ravel(), [30, -10])
    noise = 2 * (3 / 0.5) ** 2
    np.testing.assert_allclose(to_host(rates.err).ravel(), np.sqrt([15 / (2 * 0.5) + noise, noise]), rtol=1e-6)
    assert rates.meta.bunit_data == "DN/s"


@pytest.mark.parametrize("exp_type", ["FGS_ID-IMAGE", "FGS_ID-STACK"])
def test_of_two_identification_images_the_lesser_counts(exp_type, guider, reference):
    rates = GuiderCds().process(guider(exp_type, np.concatenate([column(10, 90), column(10, 25)])), *given(reference))
    np.testing.assert_array_equal(to_host(rates.data), [[[30]]], strict=False)
    assert rates.data.shape == rates.err.shape == (1, 1, 1)


def test_fine_guiding_averages_four_reads_at_each_end(guider, reference):
    rates = GuiderCds().process(guider("FGS_FINEGUIDE", column(1, 2, 3, 4, 99, 11, 12, 13, 14)), *given(reference))
    assert to_host(rates.data).item() == (12.5 - 2.5) / 0.5


def test_stack_beyond_the_detector_gets_the_mean_noise(guider, reference):
    data = np.zeros((2, 2, 3, 2))
    data[:, 1] = 6
    stack = guider("FGS_ID-STACK", data, xstart=1, ystart=2047)
    gain, noise = (reference(t, data=[[1, 3], [2, 2]], SUBSTRT1=1, SUBSTRT2=1) for t in ("gain", "readnoise"))
    rates = GuiderCds().process(stack, gain, noise)
    np.testing.assert_allclose(to_host(rates.err), np.sqrt(6 / (2 * 0.5) + 2 * (2 / 0.5) ** 2), rtol=1e-6)


def test_missing_references_leave_the_counts(guider, references):
    exposure = guider("FGS_ACQ1", column(1, 2))
    result, outcome = GuiderCds().run(exposure, references())
    assert result is exposure
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no gain reference")


@pytest.mark.parametrize(
    ("exp_type", "data", "why"),
    [
        ("FGS_ACQ1", column(1), "FGS_ACQ1 with 1 group, a difference needs two"),
        ("FGS_ID-IMAGE", column(1, 2), "FGS_ID-IMAGE with 1 integration, cosmic rays need two to be told apart"),
    ],
)
def test_too_few_reads_are_refused(exp_type, data, why, guider, reference):
    with pytest.raises(InputError, match=f"^exposure.fits: {why}$"):
        GuiderCds().process(guider(exp_type, data), *given(reference))


def test_other_exposures_are_refused(ramp, reference):
    with pytest.raises(InputError, match=r"exposure.fits: EXP_TYPE is NRC_IMAGE"):
        GuiderCds().process(ramp([1, 2]), *given(reference))


@pytest.mark.parametrize("step", [Jump(), RampFit()], ids=lambda step: step.alias)
def test_steps_of_other_exposures_refuse_the_guiders(step, guider, references):
    expected = rf"^{step.alias}: exposure.fits: {step.alias} cannot take guider exposures \(EXP_TYPE FGS_TRACK\)$"
    with pytest.raises(InputError, match=expected):
        step.run(guider("FGS_TRACK", column(1, 2)), references())


def test_mask_goes_to_the_flags_of_the_pixels(guider, reference):
    exposure = DqInit().process(guider("FGS_ACQ2", np.zeros((2, 2, 1, 2))), reference("mask", dq=[[1, 2]]))
    np.testing.assert_array_equal(to_host(exposure.dq), np.uint32([[1, 2]]), strict=True)


def test_mask_of_another_shape_is_refused(guider, reference):
    with pytest.raises(InputError, match=r"exposure.fits: has \(1, 2\) pixels, the mask .* \(1, 3\)"):
        DqInit().process(guider("FGS_ACQ2", np.zeros((2, 2, 1, 2))), reference("mask", dq=[[1, 2, 3]]))


@pytest.fixture
def rates(guider, reference):
    return GuiderCds().process(guider("FGS_TRACK", np.stack([np.ones((1, 3)), np.full((1, 3), 5)])), *given(reference))


def test_flat_divides_and_adds_its_error(rates, reference):
    error = to_host(rates.err).copy()
    flat = reference("flat", data=[[2, np.nan, 0.5]], err=[[0.1, 0.1, 0.1]], dq=[[0, 0, PIXEL.NO_FLAT_FIELD]])
    corrected = FlatField().process(rates, flat)
    np.testing.assert_array_equal(to_host(corrected.data), [[[4, 8, 8]]])
    expected = np.sqrt(error[0, 0] ** 2 + np.float32([4, 8, 8]) ** 2 / np.float32([4, 1, 1]) * 0.1**2)
    np.testing.assert_allclose(to_host(corrected.err)[0, 0], expected, rtol=1e-6)
    bad = PIXEL.NO_FLAT_FIELD | PIXEL.DO_NOT_USE
    np.testing.assert_array_equal(to_host(corrected.dq), [[0, bad, bad]])


def test_flat_can_be_put_back(rates, reference):
    corrected = FlatField(inverse=True).process(rates, reference("flat", data=[[2, 1, 0.5]]))
    np.testing.assert_array_equal(to_host(corrected.data), [[[16, 8, 4]]])


def test_flat_smaller_than_the_exposure_is_skipped(rates, references, reference):
    _, outcome = FlatField().run(rates, references(flat=reference("flat", data=[[1, 1]])))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "the flat is smaller than the exposure")


def test_flat_of_another_place_is_refused(rates, references, reference):
    flat = reference("flat", data=[[1, 1, 1]], SUBSTRT1=1)
    with pytest.raises(ReferenceFileError, match="covers columns 1 to 3"):
        FlatField().run(rates, references(flat=flat))


def test_flat_of_another_shape_is_refused(rates, reference):
    with pytest.raises(InputError, match=r"exposure.fits: has \(1, 3\) pixels, the flat .* \(2, 3\)"):
        FlatField().process(rates, reference("flat", data=[[1, 1, 1], [1, 1, 1]]))


def test_counts_get_no_flat(guider, reference):
    with pytest.raises(InputError, match="flat_field takes rates, this is what comes before them"):
        FlatField().process(guider("FGS_TRACK", column(1, 2)), reference("flat", data=[[1]]))
