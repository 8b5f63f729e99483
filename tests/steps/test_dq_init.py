"""DQ init: the mask's flags reach the pixels, and DO_NOT_USE every group."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal.device import to_host
from gpucal.dq import BITS
from gpucal.errors import InputError
from gpucal.steps import DqInit

MASK = [[0, BITS["DO_NOT_USE"]], [BITS["HOT"], BITS["REFERENCE_PIXEL"] | BITS["DO_NOT_USE"]]]


def test_pixels_get_all_flags_and_groups_only_do_not_use(ramp, reference):
    exposure = DqInit().process(ramp((2, 3, 2, 2)), reference("mask", dq=MASK))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), np.uint32(MASK), strict=True)
    expected = np.broadcast_to(np.uint8([[0, 1], [0, 1]]), (2, 3, 2, 2))
    np.testing.assert_array_equal(to_host(exposure.groupdq), expected, strict=True)


def test_flags_add_to_those_that_are_there(ramp, reference):
    exposure = ramp((1, 2, 2, 2), pixeldq=BITS["WARM"], groupdq=BITS["JUMP_DET"])
    DqInit().process(exposure, reference("mask", dq=MASK))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), np.uint32(MASK) | BITS["WARM"])
    np.testing.assert_array_equal(to_host(exposure.groupdq)[0, 0], [[4, 5], [4, 5]])


def test_counts_stay(ramp, reference):
    exposure = DqInit().process(ramp(np.full((1, 2, 2, 2), 7.0)), reference("mask", dq=MASK))
    assert (to_host(exposure.data) == 7).all()


def test_mask_is_cut_to_the_exposures_window(ramp, references, reference):
    mask = np.arange(16).reshape(4, 4) * 4
    exposure = ramp((1, 1, 2, 2), ystart=102, xstart=201)
    DqInit().run(exposure, references(mask=reference("mask", dq=mask, SUBSTRT1=200, SUBSTRT2=100)))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), mask[2:4, 1:3])


def test_users_own_flags_are_added(ramp, reference, tmp_path):
    fits.writeto(tmp_path / "mine.fits", np.int32([[BITS["DO_NOT_USE"], 0], [0, BITS["DEAD"]]]))
    step = DqInit(user_supplied_dq=str(tmp_path / "mine.fits"))
    exposure = step.process(ramp((1, 2, 2, 2)), reference("mask", dq=MASK))
    expected = np.uint32(MASK) | [[BITS["DO_NOT_USE"], 0], [0, BITS["DEAD"]]]
    np.testing.assert_array_equal(to_host(exposure.pixeldq), expected)
    np.testing.assert_array_equal(to_host(exposure.groupdq)[0, 1], [[1, 1], [0, 1]])


def test_users_flags_of_another_shape_are_refused(ramp, reference, tmp_path):
    fits.writeto(tmp_path / "mine.fits", np.zeros((3, 2), "i4"))
    step = DqInit(user_supplied_dq=str(tmp_path / "mine.fits"))
    with pytest.raises(InputError, match=r"mine.fits: shape \(3, 2\), expected \(2, 2\)"):
        step.process(ramp((1, 1, 2, 2)), reference("mask", dq=MASK))


def test_users_file_that_is_not_there_is_named(ramp, reference):
    with pytest.raises(InputError, match=r"user_supplied_dq=nowhere\.fits"):
        DqInit(user_supplied_dq="nowhere.fits").process(ramp((1, 1, 2, 2)), reference("mask", dq=MASK))


def test_exposure_without_a_mask_is_left_alone(ramp, references):
    exposure = ramp((1, 1, 2, 2))
    _, outcome = DqInit().run(exposure, references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no mask reference")
    assert not to_host(exposure.pixeldq).any()
