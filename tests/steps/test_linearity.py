"""Linearity: a polynomial of the count, for every pixel its own."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.steps import Linearity

NO_LIN_CORR = BITS["NO_LIN_CORR"]


def planes(*coefficients, shape=(1, 1)):
    """Coefficient planes that are the same for every pixel."""
    return [np.full(shape, c, float) for c in coefficients]


def test_a_known_quadratic_is_undone(ramp, reference):
    """The true count of a measured s is s + s^2 / 2^12, exactly, for these counts."""
    measured = np.arange(0, 4096, 512.0)
    exposure = Linearity().process(ramp(measured), reference("linearity", coeffs=planes(0, 1, 2.0**-12)))
    np.testing.assert_array_equal(to_host(exposure.data).ravel(), measured + measured**2 / 2**12)


def test_every_power_has_its_coefficient(ramp, reference):
    s = np.array([1.0, 2, 3, -2])
    exposure = Linearity().process(ramp(s), reference("linearity", coeffs=planes(7, 5, 3, 2, 1)))
    np.testing.assert_array_equal(to_host(exposure.data).ravel(), 7 + 5 * s + 3 * s**2 + 2 * s**3 + s**4)


def test_every_pixel_has_its_own_polynomial(ramp, reference):
    scale = np.arange(1.0, 7).reshape(2, 3)
    exposure = Linearity().process(
        ramp(np.full((2, 2, 2, 3), 10.0)), reference("linearity", coeffs=[np.zeros((2, 3)), scale])
    )
    np.testing.assert_array_equal(to_host(exposure.data), np.broadcast_to(10 * scale, (2, 2, 2, 3)))


@pytest.mark.parametrize(
    ("flag", "corrected"),
    [(0, True), (GROUP.SATURATED, False), (GROUP.DO_NOT_USE, True), (GROUP.JUMP_DET, True), (GROUP.AD_FLOOR, True)],
)
def test_only_saturation_blocks_the_correction(ramp, reference, flag, corrected):
    exposure = Linearity().process(ramp([100.0], groupdq=[flag]), reference("linearity", coeffs=planes(0, 2)))
    assert to_host(exposure.data).item() == (200 if corrected else 100)
    assert to_host(exposure.groupdq).item() == flag


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_pixel_with_a_coefficient_that_is_nan_stays_and_is_flagged(ramp, reference, bad):
    coeffs = np.array(planes(0, 2, 0, shape=(1, 2)))
    coeffs[bad, 0, 0] = np.nan
    exposure = Linearity().process(ramp(np.full((1, 2, 1, 2), 100.0)), reference("linearity", coeffs=coeffs))
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], [[100, 200]])
    np.testing.assert_array_equal(to_host(exposure.pixeldq), [[NO_LIN_CORR, 0]])


def test_pixel_without_a_linear_term_stays_and_is_flagged(ramp, reference):
    coeffs = [np.zeros((1, 2)), np.array([[0.0, 2]]), np.full((1, 2), 1e-6)]
    coeffs[2][0, 1] = 0
    exposure = Linearity().process(ramp(np.full((1, 1, 1, 2), 100.0)), reference("linearity", coeffs=coeffs))
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], [[100, 200]])
    np.testing.assert_array_equal(to_host(exposure.pixeldq), [[NO_LIN_CORR, 0]])


def test_pixel_that_the_reference_flags_stays(ramp, reference):
    linearity = reference("linearity", coeffs=planes(0, 2, shape=(1, 2)), dq=[[NO_LIN_CORR | BITS["HOT"], BITS["HOT"]]])
    exposure = Linearity().process(ramp(np.full((1, 1, 1, 2), 100.0), pixeldq=BITS["DEAD"]), linearity)
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], [[100, 200]])
    expected = np.uint32([[NO_LIN_CORR | BITS["HOT"], BITS["HOT"]]]) | BITS["DEAD"]
    np.testing.assert_array_equal(to_host(exposure.pixeldq), expected)


def test_zero_frames_are_corrected_except_where_they_are_bad(ramp, reference):
    exposure = ramp((1, 1, 1, 2), zeroframe=[[0, 10]], groupdq=GROUP.SATURATED)
    Linearity().process(exposure, reference("linearity", coeffs=planes(3, 2, shape=(1, 2))))
    np.testing.assert_array_equal(to_host(exposure.zeroframe), [[[0, 23]]])


def test_a_reference_serves_many_exposures(ramp, reference):
    coeffs = np.array(planes(0, 2, shape=(1, 2)))
    coeffs[0, 0, 0] = np.nan
    linearity = reference("linearity", coeffs=coeffs)
    for _ in range(2):
        exposure = Linearity().process(ramp(np.full((1, 1, 1, 2), 100.0)), linearity)
        np.testing.assert_array_equal(to_host(exposure.data)[0, 0], [[100, 200]])
        np.testing.assert_array_equal(to_host(exposure.pixeldq), [[NO_LIN_CORR, 0]])


# -- groups that average frames


def mean_of_reads(counts, curve, nframes):
    """Groups of a ramp, counts per frame, whose response is s - curve s^2."""
    reads = np.arange(1, 5 * nframes + 1) * counts
    return (reads - curve * reads**2).reshape(5, nframes).mean(axis=1)


def inverse_of(curve, terms):
    """The first coefficients of the inverse of s - curve s^2."""
    catalan = [0, 1, 1, 2, 5, 14, 42, 132, 429]
    return planes(*[catalan[k] * curve ** (k - 1) if k else 0 for k in range(terms)])


def test_reads_are_corrected_before_they_are_averaged(ramp, reference):
    """A group that averages frames of a bent ramp is no point of the bent ramp; the reads are."""
    curve, nframes = 2e-6, 8
    measured = mean_of_reads(1000.0, curve, nframes)
    truth = np.arange(1, 5 * nframes + 1).reshape(5, nframes).mean(axis=1) * 1000
    files = {"coeffs": inverse_of(curve, 9), "inv_coeffs": planes(0, 1, -curve)}
    by_read = Linearity().process(ramp(measured, nframes=nframes), reference("linearity", **files))
    by_group = Linearity().process(ramp(measured, nframes=nframes), reference("linearity", coeffs=files["coeffs"]))
    assert np.abs(to_host(by_read.data).ravel() - truth).max() < 0.2
    assert np.abs(to_host(by_group.data).ravel() - truth).min() > 5


@pytest.mark.parametrize(
    ("case", "shape", "words"),
    [
        ("single frames", 5, {"nframes": 1}),
        ("read times of their own", 5, {"nframes": 8, "read_times": [[1.0], [2.0]]}),
        ("a single group", 1, {"nframes": 8}),
    ],
)
def test_groups_are_corrected_as_they_are_where_reads_are_not_known(ramp, reference, case, shape, words):
    read_times = words.pop("read_times", None)
    exposure = ramp(np.full(shape, 1000.0), **words)
    if read_times:
        exposure.meta.exposure.read_times = read_times
    Linearity().process(exposure, reference("linearity", coeffs=planes(0, 2), inv_coeffs=planes(0, 0.4)))
    assert (to_host(exposure.data) == 2000).all()


def test_saturated_groups_stay_and_do_not_tell_the_rate(ramp, reference):
    curve, nframes = 2e-6, 4
    measured = mean_of_reads(2000.0, curve, nframes)
    truth = np.arange(1, 5 * nframes + 1).reshape(5, nframes).mean(axis=1) * 2000
    measured[3:] = 60000
    files = {"coeffs": inverse_of(curve, 9), "inv_coeffs": planes(0, 1, -curve)}
    exposure = ramp(measured, groupdq=[0, 0, 0, GROUP.SATURATED, GROUP.SATURATED], nframes=nframes)
    result = to_host(Linearity().process(exposure, reference("linearity", **files)).data).ravel()
    assert np.abs(result[:3] - truth[:3]).max() < 0.2
    assert result[3:].tolist() == [60000, 60000]


@pytest.mark.parametrize("value", [np.nan, 0])
def test_pixel_whose_inverse_is_unusable_is_flagged(ramp, reference, value):
    inverse = np.array(planes(0, 0.5, 0, shape=(1, 2)))
    inverse[1, 0, 0] = value
    files = {"coeffs": planes(0, 2, shape=(1, 2)), "inv_coeffs": inverse}
    exposure = Linearity().process(ramp(np.full((1, 4, 1, 2), 100.0), nframes=4), reference("linearity", **files))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), [[NO_LIN_CORR, 0]])
    np.testing.assert_allclose(to_host(exposure.data), 200, rtol=1e-6)


def test_backends_agree_bit_for_bit_read_by_read(same_as_twins, make_ramp, make_reference, rng):
    data = np.sort(rng.uniform(100, 6e4, (2, 6, 23, 31)), axis=1)
    groupdq = np.maximum.accumulate(rng.choice(np.array([0, 2], "u1"), data.shape, p=[0.8, 0.2]), axis=1)
    coeffs = rng.normal([[[0]], [[1]], [[1e-6]], [[1e-12]]], 1e-8, (4, 23, 31))
    inverse = rng.normal([[[0]], [[1]], [[-1e-6]]], 1e-8, (3, 23, 31))
    inverse[:, rng.random((23, 31)) < 0.1] = np.nan
    dq = rng.choice(np.array([0, NO_LIN_CORR, 1], "u4"), (23, 31))

    def run(device):
        linearity = make_reference(device, "linearity", coeffs=coeffs, inv_coeffs=inverse, dq=dq)
        return Linearity().process(make_ramp(device, data, groupdq=groupdq, nframes=4), linearity)

    same_as_twins(run)


def test_backends_agree_bit_for_bit(same_as_twins, make_ramp, make_reference, rng):
    data = rng.uniform(-100, 6e4, (2, 7, 23, 31))
    groupdq = rng.choice(np.array([0, 1, 2, 4], "u1"), data.shape)
    coeffs = rng.normal([[[0]], [[1]], [[1e-6]], [[1e-12]], [[1e-18]]], 1e-8, (5, 23, 31))
    coeffs[:, rng.random((23, 31)) < 0.1] = np.nan
    coeffs[1, rng.random((23, 31)) < 0.1] = 0
    dq = rng.choice(np.array([0, NO_LIN_CORR, 1], "u4"), (23, 31))
    zeroframe = np.where(rng.random((2, 23, 31)) < 0.2, 0, rng.uniform(0, 6e4, (2, 23, 31)))

    def run(device):
        linearity = make_reference(device, "linearity", coeffs=coeffs, dq=dq)
        return Linearity().process(make_ramp(device, data, groupdq=groupdq, zeroframe=zeroframe), linearity)

    same_as_twins(run)


def test_step_without_a_reference_is_skipped(ramp, references):
    _, outcome = Linearity().run(ramp([1, 2]), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no linearity reference")
