"""Ramp fit: straight ramps give their slopes and the textbook's variances exactly, whatever was flagged in between.

Unless a test says otherwise: groups 10 s apart, each the mean of 8 frames of 1 s; gain 2; read noise 4 DN, so that the
noise of a group is 4 * 2 / sqrt(2 * 8) = 2 electrons.
"""

import logging

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import gpucal.slopes
from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.errors import InputError, ReferenceFileError
from gpucal.steps import RampFit
from gpucal.steps.ramp_fit import POWERS, weights

DNU, SAT, JUMP, PERSISTENCE = GROUP.DO_NOT_USE, GROUP.SATURATED, GROUP.JUMP_DET, GROUP.PERSISTENCE
NO_GAIN = BITS["NO_GAIN_VALUE"]
TIME, GAIN, NOISE = 10.0, 2.0, 2.0
TO_THE_MIDDLE = (8 + 1) * 1.0 / 2  # s; to the middle of the 8 frames of the first group
DEFAULTS = {"group_time": TIME, "frame_time": 1.0, "nframes": 8}


def poisson(rate, n, time=TIME, dark=0.0):
    """The variance of the slope of n groups from photon noise, (DN/s)^2."""
    return (rate + dark) / (time * GAIN * max(n - 1, 1))


def noise(n, time=TIME):
    """The variance of the slope of n groups from read noise, (DN/s)^2."""
    return 12 * (NOISE / time) ** 2 / ((n**3 - n or 6) * GAIN**2)


@pytest.fixture
def fit(ramp, reference):
    """Fit ramps and return the slopes on the host."""

    def run(data, step=None, gain=GAIN, readnoise=4.0, **options):
        exposure = ramp(data, **DEFAULTS | options)
        plane = exposure.shape[2:]
        gain, readnoise = (np.broadcast_to(value, plane) for value in (gain, readnoise))
        references = reference("readnoise", data=readnoise), reference("gain", data=gain)
        return on_host((step or RampFit()).process(exposure, *references))

    return run


def on_host(slopes):
    for model in slopes:
        for name in model.held:
            setattr(model, name, to_host(getattr(model, name)))
    return slopes


@pytest.fixture
def numbers(fit):
    """Fit one pixel and return its five numbers in the exposure's product: rate, err, var_poisson, var_rnoise, dq."""

    def run(*arguments, **options):
        rate = fit(*arguments, **options).rate
        return tuple(getattr(rate, name).item() for name in ("data", "err", "var_poisson", "var_rnoise", "dq"))

    return run


def single(*values):
    """Round to single precision, as products are stored."""
    return tuple(float(np.float32(value)) for value in values)


def straight(n, slope=5.0, offset=100.0):
    """A ramp of n groups, DN, with a slope in DN/s."""
    return offset + slope * TIME * np.arange(n)


def expected(rate, *segments, dq=0, dark=0.0):
    """The numbers of an exposure fitted in segments of n groups, each with the same slope."""
    p = 1 / sum(1 / poisson(rate, n, dark=dark) for n in segments)
    r = 1 / sum(1 / noise(n) for n in segments)
    return (*single(rate, np.sqrt(p + r), p, r), dq)


# -- one segment


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 33, 64, 65, 100])
@pytest.mark.parametrize("slope", [0.25, 5.0, 1000.0])
def test_straight_ramp_gives_its_slope_and_the_textbooks_variances(numbers, n, slope):
    assert numbers(straight(n, slope)) == expected(slope, n)


def test_offset_makes_no_difference(numbers):
    assert numbers(straight(6, offset=-1000)) == numbers(straight(6, offset=30000)) == expected(5, 6)


def test_falling_ramp_has_no_photon_noise(numbers):
    rate, err, var_poisson, var_rnoise, _ = numbers(straight(5, slope=-3.0))
    assert (rate, var_poisson) == (-3, 0)
    assert (err, var_rnoise) == single(np.sqrt(noise(5)), noise(5))


def test_dark_current_adds_to_the_photon_noise(numbers):
    assert numbers(straight(5), dark=3.0) == expected(5, 5, dark=3.0)


def test_dark_current_alone_is_the_photon_noise_of_a_falling_ramp(numbers):
    assert numbers(straight(5, slope=-3.0), dark=3.0)[2] == single(poisson(0, 5, dark=3.0))[0]


def test_two_groups_give_their_difference(numbers):
    assert numbers([100, 160]) == expected(6, 2)


def test_one_group_is_divided_by_the_time_to_its_middle(numbers):
    rate = 90 / TO_THE_MIDDLE
    p, r = poisson(rate, 1, time=TO_THE_MIDDLE), noise(1, time=TO_THE_MIDDLE)
    assert numbers([90]) == (*single(rate, np.sqrt(p + r), p, r), 0)


def test_one_group_has_a_slope_whether_lone_groups_are_suppressed_or_not(numbers):
    assert numbers([90]) == numbers([90], step=RampFit(suppress_one_group=False))


def test_times_are_read_in_single_precision(numbers):
    """As in the official fit."""
    assert numbers([0, 7], group_time=0.27864)[0] == np.float32(7 / float(np.float32(0.27864)))


# -- the weights of a segment

SNR_TO_POWER = [(1, 0.0), (5.5, 0.4), (15, 1.0), (40, 3.0), (70, 6.0), (500, 10.0)]


@pytest.mark.parametrize(("snr", "power"), SNR_TO_POWER)
@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_brighter_ramps_weigh_their_ends_more(numbers, rng, snr, power, n):
    """The slope of least squares with weights |(i - m) / m|^P, P growing with the signal-to-noise ratio."""
    rise = (snr**2 + snr * np.sqrt(snr**2 + 4 * NOISE**2)) / 2 / GAIN  # DN; snr = GAIN rise / sqrt(NOISE^2 + GAIN rise)
    data = np.linspace(0, rise, n) + rng.normal(0, rise / n, n)
    data[[0, -1]] = 0, rise
    data = data.astype("f4").astype("f8")
    i, m = np.arange(n), (n - 1) / 2
    w = np.abs((i - m) / m) ** power
    centre = np.sum(w * i) / np.sum(w)
    slope = np.sum(w * (i - centre) * data) / np.sum(w * (i - centre) ** 2) / TIME
    np.testing.assert_allclose(numbers(data)[0], slope, rtol=2**-22)


@pytest.mark.parametrize("n", [3, 4, 7, 65])
def test_table_of_weights_is_the_power_of_the_distance_from_the_middle(n):
    i, m = np.arange(n), (n - 1) / 2
    for table, power in zip(weights(n), POWERS, strict=True):
        np.testing.assert_allclose(table[n, :n], np.abs((i - m) / m) ** power, rtol=2e-6)
        assert (table[n, :n] == table[n, :n][::-1]).all()


# -- several segments


def test_jump_begins_a_new_segment(numbers):
    data = straight(7)
    data[3:] += 1000
    assert numbers(data, groupdq=[0, 0, 0, JUMP, 0, 0, 0]) == expected(5, 3, 4, dq=JUMP)


def test_group_left_out_ends_a_segment(numbers):
    assert numbers(straight(7), groupdq=[0, 0, 0, DNU, 0, 0, 0]) == expected(5, 3, 3)


def test_jump_flag_beside_another_flag_belongs_to_no_segment(numbers):
    assert numbers(straight(7), groupdq=[0, 0, 0, JUMP | DNU, 0, 0, 0]) == expected(5, 3, 3, dq=JUMP)


def test_persistence_does_not_end_a_segment(numbers):
    assert numbers(straight(5), groupdq=[0, PERSISTENCE, PERSISTENCE, 0, 0]) == expected(5, 5, dq=PERSISTENCE)


def test_segments_of_one_group_are_dropped_beside_longer_ones(numbers):
    assert numbers(straight(6), groupdq=[0, DNU, 0, DNU, 0, 0]) == expected(5, 2)


def test_of_several_segments_of_one_group_the_first_counts(numbers):
    p, r = poisson(3, 1), noise(1)
    assert numbers([30, 1, 99, 1, 70], groupdq=[0, DNU, 0, DNU, 0]) == (*single(3, np.sqrt(p + r), p, r), 0)


def test_jump_in_the_last_group_is_left_out(numbers):
    data = straight(4)
    data[3] += 1000
    assert numbers(data, groupdq=[0, 0, 0, JUMP]) == expected(5, 3, dq=JUMP)


def test_jump_in_the_second_group_leaves_the_first_alone(numbers):
    data = straight(4)
    data[0] -= 1000
    assert numbers(data, groupdq=[0, JUMP, 0, 0]) == expected(5, 3, dq=JUMP)


def test_ramp_of_jumps_alone_has_slope_zero_and_may_be_used(numbers):
    assert numbers(straight(3), groupdq=[JUMP, JUMP, JUMP]) == (0, 0, 0, 0, JUMP)


def test_segments_are_averaged_with_the_weights_of_their_read_noise(numbers):
    """Slopes of 4 over 3 groups and 8 over 5: noise variances as 1/24 and 1/120."""
    data = np.concatenate([straight(3, 4.0), straight(5, 8.0)])
    assert numbers(data, groupdq=[0, 0, 0, JUMP, 0, 0, 0, 0])[0] == single((4 * 24 + 8 * 120) / 144)[0]


# -- saturation


def test_saturated_ramp_keeps_the_slope_before(fit):
    slopes = fit([100, 150, 200, 1000, 1000], groupdq=[0, 0, 0, SAT, SAT])
    for model in slopes:
        assert (model.data.item(), model.dq.item()) == (5, SAT)
        assert model.var_rnoise.item() == single(noise(3))[0]


def test_ramp_saturated_in_its_second_group_has_a_lone_group(numbers):
    assert_bad(numbers(straight(3), groupdq=[0, SAT, SAT]), dq=DNU | SAT)


def test_ramp_saturated_from_its_first_group_on_has_no_slope(fit):
    data = np.repeat(straight(3).reshape(1, 3, 1, 1), 2, axis=3)
    groupdq = np.zeros(data.shape)
    groupdq[..., 0] = SAT
    for model in fit(data, groupdq=groupdq):
        assert np.isnan(model.data.ravel()[0])
        assert (model.err.ravel()[0], model.var_poisson.ravel()[0], model.var_rnoise.ravel()[0]) == (0, 0, 0)
        assert model.dq.ravel().tolist() == [DNU | SAT, 0]
        assert model.data.ravel()[1] == 5


def test_exposure_saturated_from_its_first_group_on_is_refused(fit):
    with pytest.raises(InputError, match=r"exposure.fits: every pixel is saturated from the first group on"):
        fit(straight(3), groupdq=[SAT, SAT, SAT])


# -- bad groups and bad pixels


def assert_bad(numbers, dq):
    """No slope, no variances, and flags that say so."""
    rate, *rest = numbers
    assert np.isnan(rate)
    assert rest == [0, 0, 0, dq]


def test_ramp_without_a_good_group_has_no_slope(numbers):
    assert_bad(numbers(straight(3), groupdq=[DNU, DNU, DNU]), dq=DNU)


def test_pixel_not_to_be_used_has_no_slope(fit):
    slopes = fit(straight(3), pixeldq=BITS["DEAD"] | DNU)
    for model in slopes:
        assert np.isnan(model.data.item())
        assert (model.var_poisson.item(), model.dq.item()) == (0, BITS["DEAD"] | DNU)


def test_other_pixel_flags_pass_through(numbers):
    assert numbers(straight(3), pixeldq=BITS["HOT"] | BITS["REFERENCE_PIXEL"]) == expected(
        5, 3, dq=BITS["HOT"] | BITS["REFERENCE_PIXEL"]
    )


@pytest.mark.parametrize("gain", [0.0, -2.0, np.nan])
def test_pixel_without_a_usable_gain_has_no_slope(fit, gain):
    rate = fit(np.full((1, 3, 1, 2), 7.0), gain=[[gain, GAIN]]).rate
    assert np.isnan(rate.data[0, 0])
    assert rate.dq.tolist() == [[NO_GAIN | DNU, 0]]
    assert rate.err[0, 0] == rate.var_poisson[0, 0] == rate.var_rnoise[0, 0] == 0


def test_pixel_whose_read_noise_is_nan_is_nan_without_a_flag(fit):
    """As in the official pipeline, whose later steps flag it."""
    for model in fit(np.repeat(straight(4).reshape(1, 4, 1, 1), 2, axis=3), readnoise=[[np.nan, 4.0]]):
        bad, good = (getattr(model, name).reshape(-1, 2)[0] for name in ("data", "dq")), model.data.ravel()[1]
        data, dq = bad
        assert np.isnan(data[0])
        assert np.isnan(model.var_rnoise.ravel()[0])
        assert np.isnan(model.err.ravel()[0])
        assert dq[0] == 0
        assert good == 5


def test_variances_too_large_to_mean_anything_are_zero(numbers):
    """From 1e6 (DN/s)^2 on; the slope, weighted by it, goes with it."""
    rate, _, var_poisson, var_rnoise, dq = numbers(straight(2), readnoise=1e5)
    assert (rate, var_rnoise, dq) == (0, 0, 0)
    assert var_poisson == single(poisson(5, 2))[0]


# -- a lone good group


def test_lone_good_group_gives_no_slope(numbers):
    assert_bad(numbers(straight(3), groupdq=[0, DNU, DNU]), dq=DNU)


def test_lone_good_group_among_jumps_gives_no_slope(numbers):
    assert_bad(numbers(straight(3), groupdq=[0, JUMP, JUMP]), dq=DNU | JUMP)


def test_lone_group_with_persistence_counts_as_good(numbers):
    assert_bad(numbers(straight(3), groupdq=[PERSISTENCE, DNU, DNU]), dq=DNU | PERSISTENCE)


def test_lone_first_group_can_be_used_with_the_time_to_its_middle(numbers):
    rate = 90 / TO_THE_MIDDLE
    p, r = poisson(rate, 1, time=TO_THE_MIDDLE), noise(1, time=TO_THE_MIDDLE)
    result = numbers([90, 500, 500], groupdq=[0, SAT, SAT], step=RampFit(suppress_one_group=False))
    assert result == (*single(rate, np.sqrt(p + r), p, r), SAT)


def test_lone_later_group_can_be_used_with_the_group_time(numbers):
    p, r = poisson(9, 1), noise(1)
    result = numbers([50, 90, 50], groupdq=[DNU, 0, DNU], step=RampFit(suppress_one_group=False))
    # No difference and no first group is good: the rate that the photon noise is taken from is 0.
    assert result == (*single(9, np.sqrt(r), 0, r), 0)
    assert p != 0


def test_lone_groups_are_judged_integration_by_integration(fit):
    groupdq = np.array([[0, 0, 0], [0, DNU, DNU]]).reshape(2, 3, 1, 1)
    data = np.broadcast_to(straight(3).reshape(3, 1, 1), (2, 3, 1, 1))
    slopes = fit(data, groupdq=groupdq)
    np.testing.assert_array_equal(slopes.rateints.data.ravel(), [5, np.nan])
    assert slopes.rateints.dq.ravel().tolist() == [0, DNU]
    assert (slopes.rate.data.item(), slopes.rate.dq.item()) == (5, 0)


# -- zero frames


@pytest.fixture
def saturated_beside_good(fit):
    """Fit a pixel saturated from the first group on, with a zero frame, beside a good one; return its numbers."""

    def run(zeroframe, **options):
        data = np.repeat(straight(3).reshape(1, 3, 1, 1), 2, axis=3)
        groupdq = np.zeros(data.shape)
        groupdq[..., 0] = SAT
        rate = fit(data, groupdq=groupdq, zeroframe=[[zeroframe, 0]], **options).rate
        names = ("data", "err", "var_poisson", "var_rnoise", "dq")
        return tuple(getattr(rate, name)[0, 0].item() for name in names)

    return run


def test_zero_frame_stands_in_where_no_group_is_good(saturated_beside_good):
    p, r = poisson(40, 1, time=1.0), noise(1, time=1.0)
    result = saturated_beside_good(40.0, step=RampFit(suppress_one_group=False))
    assert result == (*single(40, np.sqrt(p + r), p, r), SAT)


def test_zero_frame_is_not_used_where_lone_groups_are_suppressed(saturated_beside_good):
    assert_bad(saturated_beside_good(40.0), dq=DNU | SAT)


def test_zero_frame_that_is_0_is_bad(saturated_beside_good):
    assert_bad(saturated_beside_good(0.0, step=RampFit(suppress_one_group=False)), dq=DNU | SAT)


def test_zero_frame_is_not_used_where_a_group_is_good(numbers):
    assert numbers(straight(4), zeroframe=4000.0, step=RampFit(suppress_one_group=False)) == expected(5, 4)


# -- charge that has moved to the neighbours

LOST = GROUP.CHARGELOSS | DNU


def test_groups_left_out_for_charge_migration_count_for_the_read_noise(fit):
    """They were left out for their light, not their noise."""
    slopes = fit(straight(8), groupdq=[0, 0, 0, 0, LOST, LOST, LOST, LOST])
    for model in slopes:
        assert (model.data.item(), model.dq.item()) == (5, 0)
        assert model.var_rnoise.item() == single(noise(8))[0]
        assert model.var_poisson.item() == single(poisson(5, 4))[0]
        assert model.err.item() == single(np.sqrt(poisson(5, 4) + noise(4)))[0]


def test_jumps_among_groups_left_out_for_charge_migration_still_separate_segments(numbers):
    assert (
        numbers(straight(8), groupdq=[0, 0, 0, LOST, LOST | JUMP, LOST, LOST, LOST])[3]
        == single(1 / (1 / noise(4) + 1 / noise(4)))[0]
    )


def test_lone_group_suppressed_beside_lost_charge_keeps_its_noise(numbers):
    """As in the official pipeline, which looks at the flags from before lone groups were suppressed."""
    rate, err, var_poisson, var_rnoise, dq = numbers(straight(5), groupdq=[0, LOST, LOST, LOST, LOST])
    assert np.isnan(rate)
    assert (err, var_poisson, dq) == (0, 0, DNU)
    assert var_rnoise == single(noise(5))[0]


def test_integrations_without_migration_are_averaged_with_those_with_it(fit):
    data = np.tile(straight(6), 2).reshape(2, 6, 1, 1)
    groupdq = np.array([[0] * 6, [0, 0, 0, LOST, LOST, LOST]]).reshape(2, 6, 1, 1)
    assert fit(data, groupdq=groupdq).rate.var_rnoise.item() == single(noise(6) / 2)[0]


# -- several integrations


def test_integrations_are_fitted_alone_and_averaged(fit):
    data = np.stack([straight(4, 5.0), straight(4, 7.0)]).reshape(2, 4, 1, 1)
    slopes = fit(data)
    p, r = poisson(6, 4), noise(4)
    assert slopes.rateints.data.ravel().tolist() == [5, 7]
    assert slopes.rateints.var_poisson.ravel().tolist() == [*single(p, p)]
    assert slopes.rateints.var_rnoise.ravel().tolist() == [*single(r, r)]
    assert slopes.rateints.err.ravel().tolist() == [*single(np.sqrt(p + r), np.sqrt(p + r))]
    assert slopes.rate.data.item() == 6
    assert (slopes.rate.var_poisson.item(), slopes.rate.var_rnoise.item()) == single(p / 2, r / 2)
    assert slopes.rate.err.item() == single(np.sqrt(p / 2 + r / 2))[0]


def test_integrations_are_weighted_by_their_read_noise(fit):
    data = np.stack([straight(5, 4.0), straight(5, 8.0)]).reshape(2, 5, 1, 1)
    groupdq = np.array([[0, 0, 0, SAT, SAT], [0, 0, 0, 0, 0]]).reshape(2, 5, 1, 1)
    rate = fit(data, groupdq=groupdq).rate
    assert rate.data.item() == single((4 * 24 + 8 * 120) / 144)[0]
    assert rate.dq.item() == SAT


def test_error_of_an_integration_adds_the_variances_segment_by_segment(fit):
    """And that of the exposure adds its two variances: the official formulas differ."""
    data = straight(7)
    data[4:] += 1000
    slopes = fit(data, groupdq=[0, 0, 0, 0, JUMP, 0, 0])
    by_segment = 1 / (1 / (poisson(5, 4) + noise(4)) + 1 / (poisson(5, 3) + noise(3)))
    assert slopes.rateints.err.item() == single(np.sqrt(by_segment))[0]
    assert slopes.rate.err.item() == expected(5, 4, 3)[1]


def test_exposure_is_bad_only_if_all_its_integrations_are(fit):
    data = np.broadcast_to(straight(3).reshape(3, 1, 1), (2, 3, 1, 1))
    groupdq = np.zeros((2, 3, 1, 1))
    groupdq[0] = DNU
    slopes = fit(data, groupdq=groupdq)
    assert slopes.rateints.dq.ravel().tolist() == [DNU, 0]
    assert (slopes.rate.data.item(), slopes.rate.dq.item()) == (5, 0)


def test_jumps_are_noted_in_their_integration_and_the_exposure(fit):
    data = np.broadcast_to(straight(3).reshape(3, 1, 1), (2, 3, 1, 1))
    groupdq = np.zeros((2, 3, 1, 1))
    groupdq[1, 2] = JUMP
    slopes = fit(data, groupdq=groupdq)
    assert slopes.rateints.dq.ravel().tolist() == [0, JUMP]
    assert slopes.rate.dq.item() == JUMP


# -- groups that are left out


def test_groups_before_the_first_and_after_the_last_are_left_out(numbers):
    data = np.concatenate([[900, 800], straight(4), [0]])
    assert numbers(data, step=RampFit(firstgroup=2, lastgroup=5)) == expected(5, 4)


def test_first_group_alone_can_be_given(numbers):
    assert numbers(np.concatenate([[900], straight(4)]), step=RampFit(firstgroup=1)) == expected(5, 4)


def test_last_group_alone_can_be_given(numbers):
    assert numbers(np.concatenate([straight(4), [0]]), step=RampFit(lastgroup=3)) == expected(5, 4)


@pytest.mark.parametrize(("first", "last"), [(3, 2), (2, 2), (None, 0), (9, None)])
def test_groups_in_the_wrong_order_are_ignored_with_a_warning(numbers, caplog, first, last):
    with caplog.at_level(logging.WARNING):
        assert numbers(straight(5), step=RampFit(firstgroup=first, lastgroup=last)) == expected(5, 5)
    assert "is not before lastgroup" in caplog.text


# -- MIRI: groups that no pixel uses are cut off

MIRI = {"instrument": "MIRI", "detector": "MIRIMAGE"}


def test_leading_and_last_groups_that_no_pixel_uses_are_cut_off(numbers):
    data = np.concatenate([[900, 800], straight(4), [0]])
    groupdq = [DNU, DNU, 0, 0, 0, 0, DNU]
    assert numbers(data, groupdq=groupdq, **MIRI) == expected(5, 4)


def test_jump_at_the_new_first_group_is_forgotten(numbers):
    groupdq = [DNU, JUMP, 0, 0, 0]
    assert numbers(straight(5), groupdq=groupdq, **MIRI) == expected(5, 4)
    assert numbers(straight(5), groupdq=groupdq) == expected(5, 4, dq=JUMP)


def test_group_that_some_pixel_uses_is_not_cut_off(fit):
    data = np.repeat(straight(5).reshape(1, 5, 1, 1), 2, axis=3)
    groupdq = np.zeros(data.shape)
    groupdq[0, 0, 0, 0], groupdq[0, 1, 0] = DNU, JUMP
    assert fit(data, groupdq=groupdq, **MIRI).rate.dq.tolist() == [[JUMP, JUMP]]


def test_only_one_group_is_cut_off_at_the_end(numbers):
    """A lone pair of unused groups at the end makes no difference to the slope."""
    assert numbers(straight(6), groupdq=[0, 0, 0, 0, DNU, DNU], **MIRI) == expected(5, 4)


@pytest.mark.parametrize("groupdq", [[DNU, DNU, DNU], [DNU, DNU, 0], [0, DNU, DNU], [DNU, 0, DNU]])
def test_fewer_than_two_groups_are_refused(fit, groupdq):
    with pytest.raises(InputError, match="fewer than two groups can be used"):
        fit(straight(3), groupdq=groupdq, **MIRI)


def test_miri_exposure_of_one_group_is_fitted(numbers):
    assert numbers([90], **MIRI) == numbers([90])


# -- the step


def test_products_carry_the_exposures_header(fit):
    slopes = fit(straight(3), filter="F150W")
    for model, shape in ((slopes.rate, (1, 1)), (slopes.rateints, (1, 1, 1))):
        assert model.meta.instrument.filter == "F150W"
        assert (model.meta.bunit_data, model.meta.bunit_err) == ("DN/s", "DN/s")
        assert {getattr(model, name).shape for name in model.held} == {shape}
    assert (slopes.rate.meta.model_type, slopes.rateints.meta.model_type) == ("ImageModel", "CubeModel")


def test_both_products_are_marked_complete(ramp, references, reference):
    given = references(gain=reference("gain", data=[[2.0]]), readnoise=reference("readnoise", data=[[4.0]]))
    slopes, outcome = RampFit().run(ramp(straight(3)), given)
    assert outcome.status == "COMPLETE"
    assert [model.meta.cal_step.ramp_fit for model in slopes] == ["COMPLETE", "COMPLETE"]
    assert slopes.rate.meta.ref_file.gain.name.endswith(".fits")


@pytest.mark.parametrize("missing", ["gain", "readnoise"])
def test_exposure_fails_without_its_references(ramp, references, reference, missing):
    given = {reftype: reference(reftype, data=[[1.0]]) for reftype in ("gain", "readnoise") if reftype != missing}
    with pytest.raises(ReferenceFileError, match=f"ramp_fit: no {missing} reference for exposure.fits"):
        RampFit().run(ramp(straight(3)), references(**given))


@pytest.mark.parametrize(
    ("keyword", "name"), [("nframes", "NFRAMES"), ("group_time", "TGROUP"), ("frame_time", "TFRAME")]
)
def test_header_without_the_times_is_refused(fit, keyword, name):
    with pytest.raises(InputError, match=f"keyword {name} is missing"):
        fit(straight(3), **{keyword: None})


# -- laws

GROUP_FLAGS = np.array([0, DNU, SAT, JUMP, JUMP | DNU, PERSISTENCE, GROUP.AD_FLOOR | DNU, GROUP.CHARGELOSS], "u1")


def random_exposure(rng, shape):
    """Noisy ramps with flags of all kinds, and references with bad pixels: the arguments of a run."""
    nints, ngroups, ny, nx = shape
    groupdq = rng.choice(GROUP_FLAGS, shape, p=[0.72, *[0.04] * 7])
    from_here = rng.integers(0, 3 * ngroups + 1, (nints, 1, ny, nx))
    groupdq |= (np.arange(ngroups).reshape(-1, 1, 1) >= from_here) * np.uint8(SAT)
    plane = ny, nx
    return {
        "data": np.cumsum(rng.normal(50, 200, shape) * rng.choice([0.01, 1, 100], plane), axis=1),
        "groupdq": groupdq,
        "pixeldq": rng.choice(np.array([0, DNU, BITS["HOT"]], "u4"), plane, p=[0.9, 0.05, 0.05]),
        "zeroframe": rng.choice([0.0, 30.0], (nints, ny, nx)),
        "gain": np.where(rng.random(plane) < 0.1, rng.choice([0, -1, np.nan], plane), rng.uniform(1, 3, plane)),
        "readnoise": np.where(rng.random(plane) < 0.1, rng.choice([0, np.nan, 1e6], plane), rng.uniform(2, 9, plane)),
    }


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 3), st.integers(1, 5)),
    suppress=st.booleans(),
)
def test_a_pixel_does_not_depend_on_its_place(fit, seed, shape, suppress):
    exposure = random_exposure(np.random.default_rng(seed), shape)
    exposure["groupdq"][:, 0, 0, 0] = 0  # not all saturated
    assume(all(np.isfinite(exposure[name]).any() for name in ("gain", "readnoise")))  # others are refused
    mirrored = {name: array[..., ::-1, ::-1] for name, array in exposure.items()}
    step = RampFit(suppress_one_group=suppress)
    for one, other in zip(fit(step=step, **exposure), fit(step=step, **mirrored), strict=True):
        for name in one.held:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[..., ::-1, ::-1], err_msg=name)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12), slope=st.integers(-64, 64))
def test_whole_numbers_on_a_line_give_its_slope_whatever_is_flagged(numbers, seed, n, slope):
    groupdq = np.random.default_rng(seed).choice([0, DNU, JUMP], n, p=[0.8, 0.1, 0.1])
    groupdq[:2] = 0
    assert numbers(straight(n, slope / 4), groupdq=groupdq)[0] == slope / 4


# -- backends, and the memory for long ramps

SHAPES = [
    (1, 1, 7, 11),
    (4, 1, 7, 11),
    (1, 2, 7, 11),
    (2, 3, 7, 11),
    (3, 8, 7, 11),
    (2, 64, 7, 11),
    (2, 65, 7, 11),
    (1, 120, 5, 3),
]


@pytest.fixture
def random_run(make_ramp, make_reference, rng):
    """Prepare a run(device) on a random exposure."""

    def prepare(shape, step=None, **options):
        exposure = random_exposure(rng, shape)
        readnoise, gain = exposure.pop("readnoise"), exposure.pop("gain")

        def run(device):
            references = (
                make_reference(device, "readnoise", data=readnoise),
                make_reference(device, "gain", data=gain),
            )
            return (step or RampFit()).process(make_ramp(device, **exposure, **DEFAULTS, **options), *references)

        return run

    return prepare


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suppress", [True, False])
def test_backends_agree_bit_for_bit(same_as_twins, random_run, shape, suppress):
    same_as_twins(random_run(shape, step=RampFit(suppress_one_group=suppress), dark=0.5))


@pytest.mark.parametrize("shape", [(2, 6, 7, 11), (1, 80, 7, 11)])
def test_backends_agree_bit_for_bit_on_cut_ramps(same_as_twins, random_run, shape):
    same_as_twins(random_run(shape, step=RampFit(firstgroup=1, lastgroup=shape[1] - 2), **MIRI))


def test_scratch_memory_makes_no_difference(backend, random_run, monkeypatch):
    run = random_run((2, 70, 7, 11))
    expected = on_host(run(backend))
    for pixels in (1, 10):
        monkeypatch.setattr(gpucal.slopes, "SCRATCH", 8 * 70 * pixels)
        for mine, theirs in zip(on_host(run(backend)), expected, strict=True):
            for name in theirs.held:
                np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
