"""Ramp fit by maximum likelihood: the textbook's generalised least squares, and jumps that are found and left out.

Unless a test says otherwise: single reads 10 s apart, gain 2, read noise 4 DN for the difference of two reads.
"""

import itertools
import logging

import numpy as np
import pytest

import gpucal.slopes
from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.errors import InputError
from gpucal.steps import RampFit

JUMP, SAT, DNU = GROUP.JUMP_DET, GROUP.SATURATED, GROUP.DO_NOT_USE
TIME, GAIN, NOISE = 10.0, 2.0, 4.0
LIKELY = RampFit(algorithm="LIKELY", save_opt=True)
NAMES = ("data", "err", "var_poisson", "var_rnoise", "dq")
AVERAGED = {"nframes": 4, "groupgap": 1, "frame_time": 2.0, "group_time": TIME}
UNEVEN = [[1.0], [11.0, 12.0], [21.0, 22.0, 23.0], [40.0, 41.0], [60.0], [61.0, 62.0]]


@pytest.fixture
def fit(ramp, reference):
    """Fit ramps and return the slopes on the host, and the exposure."""

    def run(data, step=LIKELY, gain=GAIN, readnoise=NOISE, read_times=None, **options):
        exposure = ramp(data, **options)
        if read_times:
            exposure.meta.exposure.read_times = read_times
        plane = exposure.shape[2:]
        files = [
            reference(name, data=np.broadcast_to(value, plane))
            for name, value in (("readnoise", readnoise), ("gain", gain))
        ]
        slopes = step.process(exposure, *files)
        for model in (*slopes, slopes.optional):
            for name in model.held if model else ():
                setattr(model, name, to_host(getattr(model, name)))
        return slopes, exposure

    return run


@pytest.fixture
def numbers(fit):
    """Fit one pixel and return its numbers in the exposure's product, and chi^2."""

    def run(*arguments, **options):
        slopes, _ = fit(*arguments, **options)
        return *(getattr(slopes.rate, name).item() for name in NAMES), slopes.optional.data.item()

    return run


def reads_of(ngroups, nframes=1, groupgap=0, frame_time=TIME, **_):
    return [frame_time * (np.arange(1, nframes + 1) + g * (nframes + groupgap)) for g in range(ngroups)]


def least_squares(data, reads, guess, usable=slice(None), gain=GAIN, readnoise=NOISE):
    """Rate, variances, chi^2 from the full covariance of all reads, which share the photons before the earlier."""
    times = np.concatenate(reads)
    average = np.zeros((len(reads), len(times)))
    for g, place in enumerate(np.split(np.arange(len(times)), np.cumsum([len(r) for r in reads])[:-1])):
        average[g, place] = 1 / len(place)
    mean = average @ times
    to_rates = np.diff(average, axis=0) / np.diff(mean)[:, None]
    photon = to_rates @ np.minimum.outer(times, times) @ to_rates.T * guess / gain
    read = to_rates @ to_rates.T * readnoise**2 / 2
    d = np.diff(data) / np.diff(mean)
    photon, read, d = photon[usable][:, usable], read[usable][:, usable], d[usable]
    inverse = np.linalg.inv(photon + read)
    weights = inverse.sum(axis=0) / inverse.sum()
    rate = weights @ d
    return rate, weights @ photon @ weights, weights @ read @ weights, (d - rate) @ inverse @ (d - rate)


# -- the fit


def test_ramp_of_photons_alone_gives_its_mean_rate(numbers):
    data = np.array([0, 40, 110, 150, 210.0])
    rate, err, poisson, noise, dq, _ = numbers(data, readnoise=1e-3)
    assert (rate, dq) == (pytest.approx(210 / 40), 0)
    assert poisson == pytest.approx(210 / 40 / (GAIN * 40), rel=1e-5)
    assert err == pytest.approx(np.sqrt(poisson + noise), rel=1e-6)


def test_ramp_of_read_noise_alone_gives_the_slope_of_least_squares(numbers):
    data = 100 - np.array([0, 5, 3, 9, 12, 14.0])  # falling: no photons
    rate, _, poisson, noise, _, _ = numbers(data)
    assert rate == pytest.approx(np.polyfit(TIME * np.arange(6), data, 1)[0], rel=1e-6)
    assert poisson == 0
    assert noise == pytest.approx(12 * NOISE**2 / 2 / ((6**3 - 6) * TIME**2), rel=1e-6)


@pytest.mark.parametrize("n", [4, 5, 9, 10, 11, 25, 64, 65, 66, 90])
@pytest.mark.parametrize("options", [{}, AVERAGED], ids=["single", "averaged"])
def test_fit_is_that_of_the_full_covariance(numbers, rng, n, options):
    data = (np.cumsum(rng.normal(30, 4, n))).astype("f4").astype("f8")
    reads = reads_of(n, **options)
    guess = least_squares(data, reads, np.median(np.diff(data)) / TIME)[0]
    rate, err, poisson, noise, _, chisq = numbers(data, **options)
    np.testing.assert_allclose([rate, poisson, noise, chisq], least_squares(data, reads, guess), rtol=2e-6)
    assert err == pytest.approx(np.sqrt(poisson + noise), rel=1e-6)


@pytest.mark.parametrize("groupdq", [[0, 0, SAT, SAT, SAT, SAT], [0, JUMP, 0, 0, 0, 0], [DNU, 0, 0, 0, 0, DNU]])
def test_differences_with_a_flag_at_either_end_are_left_out(numbers, groupdq):
    data = np.array([0, 30, 65, 95, 130, 160.0])
    usable = np.array([not (a or b) for a, b in itertools.pairwise(groupdq)])
    guess = least_squares(data, reads_of(6), 3.0, usable)[0]
    rate, _, poisson, noise, _, chisq = numbers(data, groupdq=groupdq)
    found = least_squares(data, reads_of(6), guess, usable)
    np.testing.assert_allclose([rate, poisson, noise, chisq], found, rtol=2e-6, atol=1e-6)


def test_zero_frame_is_a_group_of_its_own_taken_out_of_the_first(numbers):
    """The mean of 4 reads, the first of which is known, tells the mean of the other three."""
    reads = reads_of(5, **AVERAGED)
    data = np.array([20, 52, 81, 115, 140.0])
    zero = 8.0
    split = np.concatenate([[zero, (20 * 4 - zero) / 3], data[1:]]).astype("f4").astype("f8")
    times = [reads[0][:1], reads[0][1:], *reads[1:]]
    mean = np.array([t.mean() for t in times])
    guess = least_squares(split, times, np.median(np.diff(split) / np.diff(mean)))[0]
    found = numbers(data, zeroframe=zero, **AVERAGED)
    np.testing.assert_allclose([*found[:1], *found[2:4], found[5]], least_squares(split, times, guess), rtol=2e-6)


def test_zero_frame_that_is_the_first_group_tells_nothing_new(numbers):
    data = [0, 31, 60, 92, 119]
    assert numbers(data, zeroframe=77.0) == numbers(data)


def test_groups_at_uneven_times_are_fitted_so_whatever_algorithm_is_asked_for(numbers, caplog):
    reads = [np.array(times) for times in UNEVEN]
    data = np.array([3, 36, 65, 124, 180, 186.0])
    mean = np.array([t.mean() for t in reads])
    guess = least_squares(data, reads, np.median(np.diff(data) / np.diff(mean)))[0]
    with caplog.at_level(logging.WARNING):
        found = numbers(data, step=RampFit(save_opt=True), read_times=UNEVEN)
    np.testing.assert_allclose([*found[:1], *found[2:4], found[5]], least_squares(data, reads, guess), rtol=2e-6)
    assert "exposure.fits: groups at uneven times, fitted with algorithm LIKELY" in caplog.text


def test_read_times_of_another_number_of_groups_are_refused(fit):
    with pytest.raises(InputError, match=r"exposure.fits: read times of 6 groups are given, but there are 5"):
        fit([0, 1, 2, 3, 4], read_times=UNEVEN)


def test_dark_current_adds_to_the_photon_noise(numbers):
    data = [0, 30, 61, 89, 120]
    assert numbers(data, dark=3.0)[2] > 1.5 * numbers(data)[2]


def test_too_few_groups_are_fitted_by_least_squares(fit, caplog):
    with caplog.at_level(logging.WARNING):
        slopes, _ = fit([0, 30, 60])
    assert slopes.rate.data.item() == 3
    assert slopes.optional.suffix == "fitopt"
    assert "too few groups for algorithm LIKELY" in caplog.text


# -- jumps


def test_jump_between_two_groups_is_left_out_and_flagged(fit):
    data = 30.0 * np.arange(8)
    data[5:] += 200
    slopes, exposure = fit(data)
    assert slopes.rate.data.item() == pytest.approx(3, rel=1e-5)
    assert slopes.rate.dq.item() == slopes.rateints.dq.item() == JUMP
    assert to_host(exposure.groupdq).ravel().tolist() == [0, 0, 0, 0, 0, JUMP, 0, 0]


def test_jump_within_an_averaged_group_takes_both_differences_with_it(fit):
    data = 30.0 * np.arange(9)
    data[4] += 100
    data[5:] += 200
    slopes, exposure = fit(data, **AVERAGED)
    assert slopes.rate.data.item() == pytest.approx(3, rel=1e-5)
    assert to_host(exposure.groupdq).ravel().tolist() == [0, 0, 0, 0, JUMP, JUMP, 0, 0, 0]


def test_several_jumps_are_found_one_after_the_other(fit):
    data = 30.0 * np.arange(12)
    data[3:] += 500
    data[8:] += 300
    slopes, exposure = fit(data)
    assert slopes.rate.data.item() == pytest.approx(3, rel=1e-5)
    assert np.flatnonzero(to_host(exposure.groupdq)).tolist() == [3, 8]


def test_jump_after_the_zero_frame_is_flagged_in_the_first_group(fit):
    zero, rest = 6.0, 18 + 200.0
    data = 15 + 200 + 30.0 * np.arange(7)
    data[0] = (zero + 3 * rest) / 4
    slopes, exposure = fit(data, zeroframe=zero, **AVERAGED)
    assert slopes.rate.data.item() == pytest.approx(3, rel=1e-5)
    assert slopes.rate.dq.item() == JUMP
    assert to_host(exposure.groupdq).ravel().tolist() == [JUMP, *[0] * 6]


@pytest.mark.parametrize(("sigma", "found"), [(4.3, False), (4.7, True)])
def test_jumps_of_four_and_a_half_sigma_are_found(fit, sigma, found):
    """Of a dark ramp, where one of 10 differences falls out of the 9 others."""
    n = 11
    data = np.zeros(n)
    reads = reads_of(n)
    data[5:] += 1.0
    fall = least_squares(data, reads, 0)[3]
    data[5:] *= sigma / np.sqrt(fall)
    slopes, _ = fit(-data)
    assert (slopes.rate.dq.item() == JUMP) == found


def test_chi_square_is_that_of_as_many_numbers_as_differences_less_one(fit, rng):
    shape = (1, 12, 40, 50)
    photons = rng.poisson(3 * TIME * GAIN, shape).cumsum(axis=1) / GAIN
    slopes, _ = fit(photons + rng.normal(0, NOISE / np.sqrt(2), shape))
    assert np.median(slopes.optional.data) == pytest.approx(10 - 2 / 3, rel=0.05)
    assert slopes.rate.data.mean() == pytest.approx(3, rel=0.01)
    scatter = slopes.rate.data[slopes.rate.dq == 0].std()
    assert scatter == pytest.approx(np.median(slopes.rate.err), rel=0.05)


# -- what cannot be used


@pytest.mark.parametrize("groupdq", [[SAT] * 5, [0, SAT, SAT, SAT, SAT], [0, DNU, 0, DNU, 0]])
def test_ramp_without_a_difference_has_no_rate(numbers, groupdq):
    rate, err, poisson, noise, dq, _ = numbers(30.0 * np.arange(5), groupdq=groupdq)
    assert np.isnan([rate, err, poisson, noise]).all()
    assert dq == (SAT if SAT in groupdq else 0) | (DNU if groupdq[0] == SAT else 0)


@pytest.mark.parametrize("gain", [0.0, np.nan])
def test_pixel_without_a_gain_has_no_rate(fit, gain):
    data = np.repeat(30.0 * np.arange(5), 2).reshape(1, 5, 1, 2)
    slopes, _ = fit(data, gain=[[gain, GAIN]])
    assert np.isnan([getattr(slopes.rate, name)[0, 0] for name in NAMES[:4]]).all()
    assert slopes.rate.data[0, 1] == pytest.approx(3, rel=1e-5)


def test_flags_of_the_pixel_pass_through(numbers):
    assert numbers(30.0 * np.arange(5), pixeldq=BITS["HOT"])[4] == BITS["HOT"]


# -- several integrations


def test_like_integrations_are_averaged(fit):
    data = np.tile(30.0 * np.arange(6), 3).reshape(3, 6, 1, 1)
    slopes, _ = fit(data)
    one, _ = fit(data[:1])
    assert slopes.rate.data.item() == pytest.approx(3, rel=1e-6)
    for name in ("var_poisson", "var_rnoise"):
        assert getattr(slopes.rate, name).item() == pytest.approx(getattr(one.rate, name).item() / 3, rel=1e-5)


def test_integration_that_happens_to_be_faint_does_not_count_for_more(fit):
    data = np.stack([30.0 * np.arange(6), 60.0 * np.arange(6)]).reshape(2, 6, 1, 1)
    slopes, _ = fit(data, readnoise=0.01)
    assert slopes.rate.data.item() == pytest.approx(4.5, rel=1e-3)


def test_integration_without_a_rate_does_not_count(fit):
    data = np.tile(30.0 * np.arange(6), 2).reshape(2, 6, 1, 1)
    groupdq = np.array([[SAT] * 6, [0] * 6]).reshape(2, 6, 1, 1)
    slopes, _ = fit(data, groupdq=groupdq)
    assert (slopes.rate.data.item(), slopes.rate.dq.item()) == (pytest.approx(3, rel=1e-6), SAT)
    assert slopes.rateints.dq.ravel().tolist() == [DNU | SAT, 0]


def test_the_products_share_no_memory(fit):
    slopes, _ = fit(30.0 * np.arange(6))
    assert not any(np.shares_memory(getattr(slopes.rate, name), getattr(slopes.rateints, name)) for name in NAMES)


# -- backends


@pytest.fixture
def random_run(make_ramp, make_reference, rng):
    """Prepare a run(device) on random ramps with jumps and flags."""

    def prepare(shape, **options):
        data = np.cumsum(rng.normal(30, 5, shape) + 300 * (rng.random(shape) < 0.02), axis=1)
        groupdq = rng.choice([0, 1, JUMP], shape, p=[0.94, 0.03, 0.03])
        gain, readnoise = rng.normal(2, 0.1, shape[2:]), rng.normal(4, 0.1, shape[2:])
        gain[0, 0] = -1

        def run(device):
            files = (make_reference(device, "readnoise", data=readnoise), make_reference(device, "gain", data=gain))
            slopes = LIKELY.process(make_ramp(device, data, groupdq=groupdq, **options), *files)
            return [*slopes, slopes.optional]

        return run

    return prepare


@pytest.mark.parametrize("shape", [(1, 8, 7, 11), (3, 12, 7, 11), (70, 6, 3, 5), (1, 66, 3, 11), (2, 67, 3, 11)])
@pytest.mark.parametrize("options", [{}, AVERAGED | {"zeroframe": 5.0, "dark": 0.5}], ids=["single", "averaged"])
def test_backends_agree_bit_for_bit(same_as_twins, random_run, shape, options):
    same_as_twins(random_run(shape, **options))


def test_scratch_memory_makes_no_difference(backend, random_run, monkeypatch):
    run = random_run((2, 70, 7, 11))
    expected = run(backend)
    for pixels in (1, 20):
        monkeypatch.setattr(gpucal.slopes, "SCRATCH", 8 * 8 * 70 * pixels)
        for mine, theirs in zip(run(backend), expected, strict=True):
            for name in theirs.held:
                np.testing.assert_array_equal(to_host(getattr(mine, name)), to_host(getattr(theirs, name)))
