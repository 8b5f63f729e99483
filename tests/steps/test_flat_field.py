"""Flat field of images: what is divided, how errors follow, and what is lost."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import BITS, PIXEL
from gpucal.errors import ConfigError, InputError
from gpucal.model import Slopes
from gpucal.steps import FlatField
from tests.steps.images import make_image

BAD = PIXEL.NO_FLAT_FIELD | PIXEL.DO_NOT_USE
ALL = ("data", "err", "var_poisson", "var_rnoise", "var_flat")


@pytest.fixture
def image(backend):
    """Make an image or a cube from its data: variances 3 and 1."""
    return lambda data, **given: make_image(backend, data, **given)


def values(model):
    return {name: to_host(getattr(model, name)) for name in (*ALL, "dq")}


def test_rates_and_variances_are_divided_and_errors_made_anew(image, reference):
    found = values(FlatField().process(image([[8, 6]], err=99), reference("flat", data=[[2, 0.5]], err=[[0.5, 0.1]])))
    np.testing.assert_array_equal(found["data"], [[4, 12]])
    np.testing.assert_array_equal(found["var_poisson"], [[0.75, 12]])
    np.testing.assert_array_equal(found["var_rnoise"], [[0.25, 4]])
    var_flat = np.array([[16 / 4, 144 / 0.25]], "f4") * np.array([[0.5, 0.1]], "f4") ** 2
    np.testing.assert_array_equal(found["var_flat"], var_flat)
    np.testing.assert_array_equal(found["err"], np.sqrt(np.array([[1, 16]], "f4") + var_flat))
    np.testing.assert_array_equal(found["dq"], [[0, 0]])


def test_flat_can_be_put_back(image, reference):
    found = values(FlatField(inverse=True).process(image([[4, 12]]), reference("flat", data=[[2, 0.5]], err=[[9, 9]])))
    np.testing.assert_array_equal(found["data"], [[8, 6]])
    np.testing.assert_array_equal(found["var_poisson"], [[12, 0.75]])
    np.testing.assert_array_equal(found["var_flat"], [[0, 0]])
    np.testing.assert_array_equal(found["err"], [[4, 1]])


def test_every_integration_is_divided(image, reference):
    corrected = FlatField().process(image([[[2, 4]], [[6, np.nan]]]), reference("flat", data=[[2, 4]]))
    np.testing.assert_array_equal(to_host(corrected.data), [[[1, 1]], [[3, np.nan]]])
    np.testing.assert_array_equal(to_host(corrected.dq), [[[0, 0]], [[0, PIXEL.DO_NOT_USE]]])


@pytest.mark.parametrize(
    ("response", "flags", "expected"),
    [
        (np.nan, 0, BAD),
        (0, 0, BAD),
        (2, PIXEL.NO_FLAT_FIELD, BAD),
        (2, PIXEL.DO_NOT_USE, PIXEL.DO_NOT_USE),
    ],
)
def test_a_pixel_without_flat_is_lost(response, flags, expected, image, reference):
    flat = reference("flat", data=[[response, 2]], dq=[[flags, 0]])
    found = values(FlatField().process(image([[8, 8]], dq=4), flat))
    np.testing.assert_array_equal(found["dq"], [[expected | 4, 4]])
    for name in ALL:
        np.testing.assert_array_equal(np.isnan(found[name]), [[True, False]], err_msg=name)


def test_an_unreliable_flat_divides(image, reference):
    flat = reference("flat", data=[[2]], dq=[[BITS["UNRELIABLE_FLAT"]]])
    corrected = FlatField().process(image([[8]]), flat)
    assert to_host(corrected.data).item() == 4
    assert to_host(corrected.dq).item() == BITS["UNRELIABLE_FLAT"]


@pytest.mark.parametrize("name", ["data", "var_poisson", "var_rnoise", "dq", "negative"])
def test_what_is_lost_in_one_array_is_lost_in_all(name, image, reference):
    exposure = image([[8, 8]])
    if name == "dq":
        exposure.dq[0, 0] = PIXEL.DO_NOT_USE
    elif name == "negative":  # whose root is NaN
        exposure.var_poisson[0, 0] = -9
    else:
        getattr(exposure, name)[0, 0] = np.nan
    found = values(FlatField().process(exposure, reference("flat", data=[[1, 1]])))
    np.testing.assert_array_equal(found["dq"], [[PIXEL.DO_NOT_USE, 0]])
    for array in ALL:
        np.testing.assert_array_equal(np.isnan(found[array]), [[True, False]], err_msg=array)


def test_all_backends_agree(rng, same_as_twins, make_reference):
    shape = (3, 40, 70)
    data, variance = rng.normal(2, 3, shape), rng.normal(1, 0.5, shape)
    data[rng.random(shape) < 0.02] = np.nan
    dq = rng.choice(np.array([0, 1, 4], "u4"), shape, p=[0.8, 0.1, 0.1])
    response = rng.normal(1, 0.1, shape[1:])
    response[rng.random(shape[1:]) < 0.02] = 0

    for inverse in (False, True):

        def run(device, inverse=inverse):
            flat = make_reference(device, "flat", data=response, err=np.full(shape[1:], 0.01))
            cube = make_image(device, data, dq=dq, var_poisson=variance)
            return FlatField(inverse=inverse).process(cube, flat)

        same_as_twins(run)


def test_what_is_usable_is_made_once(image, reference):
    flat = reference("flat", data=[[2, np.nan]])
    first, second = (to_host(FlatField().process(image([[8, 6]]), flat).data) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert flat.made("usable", None)[0] is flat.made("usable", None)[0]
    np.testing.assert_array_equal(to_host(flat.made("usable", None)[0]), [[2, 1]])


def test_both_products_of_a_fit_are_corrected(image, references, reference):
    slopes = Slopes(image([[8, 6]]), image([[[8, 6]], [[4, 2]]]))
    result, outcome = FlatField().run(slopes, references(flat=reference("flat", data=[[2, 2]])))
    assert outcome.status == "COMPLETE"
    for one, expected in zip(result, ([[4, 3]], [[[4, 3]], [[2, 1]]]), strict=True):
        np.testing.assert_array_equal(to_host(one.data), expected)
        assert one.meta.cal_step.flat_field == "COMPLETE"


def test_the_flat_is_cut_to_the_image(image, references, reference):
    flat = reference("flat", data=np.arange(1, 13).reshape(3, 4), SUBSTRT1=1024, SUBSTRT2=1024)
    result, _ = FlatField().run(image([[42, 42]]), references(flat=flat))
    np.testing.assert_array_equal(to_host(result.data), np.float32([[42, 42]]) / np.float32([[6, 7]]))
    assert result.meta.ref_file.dflat.name == "N/A"


def test_a_flat_of_ones_own_goes_before_all_others(image, references, reference):
    own = reference("flat", data=[[4]])
    step = FlatField(user_supplied_flat=str(own.path))
    result, _ = step.run(image([[8]]), references(flat=reference("flat", data=[[2]])))
    assert to_host(result.data).item() == 2
    assert result.meta.ref_file.flat.name == own.path.name


def test_the_flat_can_be_saved(image, references, reference):
    step = FlatField(save_interpolated_flat=True)
    result, _ = step.run(image([[8, 8]]), references(flat=reference("flat", data=[[2, np.nan]])))
    np.testing.assert_array_equal(result.byproducts["interpolatedflat"].tree.data, [[2, 1]])


def test_a_flat_of_ones_own_that_is_not_there_is_refused(image, references):
    with pytest.raises(ConfigError, match=r"flat_field: user_supplied_flat=nowhere\.fits: no such file"):
        FlatField(user_supplied_flat="nowhere.fits").run(image([[8]]), references())


def test_a_flat_smaller_than_the_image_is_no_flat(image, references, reference):
    result, outcome = FlatField().run(image([[8, 8]]), references(flat=reference("flat", data=[[2]])))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "the flat is smaller than the exposure")
    np.testing.assert_array_equal(to_host(result.data), [[8, 8]])


@pytest.mark.parametrize("exp_type", ["NRC_TSGRISM", "NIS_SOSS", "MIR_LRS-FIXEDSLIT", "NRS_IFU"])
def test_spectra_are_left_to_the_official_step(exp_type, image, reference):
    message = f"flat_field takes images, EXP_TYPE is {exp_type}; jwst::flat_field takes all kinds"
    with pytest.raises(InputError, match=message):
        FlatField().process(image([[8]], exp_type=exp_type), reference("flat", data=[[2]]))


def test_ramps_get_no_flat(ramp, reference):
    with pytest.raises(InputError, match="flat_field takes rates, this is what comes before them"):
        FlatField().process(ramp([1, 2, 3]), reference("flat", data=[[2]]))


def test_rates_without_variances_are_refused(image, reference):
    exposure = image([[8]])
    exposure.var_rnoise = None
    with pytest.raises(InputError, match="no VAR_RNOISE extension with pixels, which flat_field needs"):
        FlatField().process(exposure, reference("flat", data=[[2]]))
