"""Superbias: a fixed image goes from every group."""

import numpy as np

from gpucal.device import to_host
from gpucal.dq import BITS
from gpucal.steps import Superbias


def test_bias_goes_from_every_group_of_every_integration(ramp, reference):
    bias = np.float32([[10000, 10001], [10002, 9999]])
    light = np.arange(2 * 3, dtype="f4").reshape(2, 3, 1, 1)
    exposure = Superbias().process(ramp(light + bias), reference("superbias", data=bias))
    np.testing.assert_array_equal(to_host(exposure.data), np.broadcast_to(light, (2, 3, 2, 2)))


def test_bias_that_is_nan_counts_as_zero(ramp, reference):
    exposure = Superbias().process(ramp(np.full((1, 2, 1, 2), 7.0)), reference("superbias", data=[[np.nan, 3]]))
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], [[7, 4]])
    assert not to_host(exposure.pixeldq).any()


def test_flags_of_the_reference_reach_the_pixels_and_not_the_groups(ramp, reference):
    flags = [[BITS["UNRELIABLE_BIAS"], BITS["DO_NOT_USE"]]]
    exposure = ramp((1, 2, 1, 2), pixeldq=BITS["HOT"])
    Superbias().process(exposure, reference("superbias", data=[[0, 0]], dq=flags))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), np.uint32(flags) | BITS["HOT"])
    assert not to_host(exposure.groupdq).any()


def test_zero_frame_loses_its_bias_except_where_it_is_bad(ramp, reference):
    exposure = ramp((1, 2, 1, 3), zeroframe=[[0, 12, 10]])
    Superbias().process(exposure, reference("superbias", data=[[10, 10, 10]]))
    np.testing.assert_array_equal(to_host(exposure.zeroframe), [[[0, 2, 0]]])


def test_reference_is_not_changed(ramp, reference):
    bias = reference("superbias", data=[[np.nan, 3]])
    for _ in range(2):
        exposure = Superbias().process(ramp(np.full((1, 1, 1, 2), 7.0)), bias)
        np.testing.assert_array_equal(to_host(exposure.data), [[[[7, 4]]]])


def test_step_without_a_reference_is_skipped(ramp, references):
    _, outcome = Superbias().run(ramp([1, 2]), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no superbias reference")
