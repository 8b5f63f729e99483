"""IPC: a convolution of the science pixels that puts leaked signal back."""

import numpy as np
import pytest
from scipy.signal import convolve2d

import gpucal.steps.ipc
from gpucal.device import to_host
from gpucal.steps import Ipc

ASYMMETRIC = np.arange(1.0, 10).reshape(3, 3)  # whole numbers: sums of products are exact in any order


def scene(shape, seed=3):
    """Whole counts."""
    return np.random.default_rng(seed).integers(0, 100, shape).astype("f4")


def test_point_source_takes_the_shape_of_the_kernel(ramp, reference):
    data = np.zeros((1, 1, 5, 6))
    data[0, 0, 2, 3] = 1
    exposure = Ipc().process(ramp(data), reference("ipc", data=ASYMMETRIC))
    expected = np.zeros((5, 6))
    expected[1:4, 2:5] = ASYMMETRIC
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], expected)


def test_every_group_is_convolved_with_zeros_beyond_the_edges(ramp, reference):
    data = scene((2, 3, 6, 7))
    exposure = Ipc().process(ramp(data), reference("ipc", data=ASYMMETRIC))
    for plane, measured in zip(to_host(exposure.data).reshape(6, 6, 7), data.reshape(6, 6, 7), strict=True):
        np.testing.assert_array_equal(plane, convolve2d(measured, ASYMMETRIC, mode="same"))


def test_leak_to_the_next_column_is_undone(ramp, reference):
    """Half of each pixel is copied to its right; 1, -1/2, 1/4, ... along the row undoes that."""
    truth = scene((1, 1, 4, 8)) * 256
    measured = truth.copy()
    measured[..., 1:] += truth[..., :-1] / 2
    inverse = np.zeros((1, 15))
    inverse[0, 7:] = (-0.5) ** np.arange(8)
    exposure = Ipc().process(ramp(measured), reference("ipc", data=inverse))
    np.testing.assert_array_equal(to_host(exposure.data), truth)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 3), (1, 5), (5, 5)])
def test_kernels_of_any_odd_size_fit(ramp, reference, size):
    kernel, data = scene(size, seed=5), scene((1, 1, 6, 7))
    exposure = Ipc().process(ramp(data), reference("ipc", data=kernel))
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], convolve2d(data[0, 0], kernel, mode="same"))


CORNERS = {
    "near infrared, first corner": ({"xstart": 1, "ystart": 1}, np.s_[4:, 4:]),
    "near infrared, last corner": ({"xstart": 2048 - 11, "ystart": 2048 - 9}, np.s_[:-4, :-4]),
    "near infrared, inside": ({"xstart": 100, "ystart": 100}, np.s_[:, :]),
    "near infrared, two columns in": ({"xstart": 3, "ystart": 100}, np.s_[:, 2:]),
    "mid infrared, first corner": ({"xstart": 1, "ystart": 1, "instrument": "MIRI"}, np.s_[:, 4:]),
    "mid infrared, last corner": ({"xstart": 1032 - 11, "ystart": 1024 - 9, "instrument": "MIRI"}, np.s_[:, :-4]),
}


@pytest.mark.parametrize(("place", "science"), CORNERS.values(), ids=CORNERS)
def test_reference_pixels_neither_give_nor_take(ramp, reference, place, science):
    data = scene((1, 1, 10, 12))
    exposure = Ipc().process(ramp(data, **place), reference("ipc", data=ASYMMETRIC))
    expected = data[0, 0].copy()
    expected[science] = convolve2d(data[0, 0][science], ASYMMETRIC, mode="same")
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], expected)


def test_window_of_reference_pixels_alone_is_left_as_it_is(ramp, reference):
    data = scene((1, 2, 3, 12))
    exposure = Ipc().process(ramp(data, xstart=1, ystart=1), reference("ipc", data=ASYMMETRIC))
    np.testing.assert_array_equal(to_host(exposure.data), data)


def test_kernel_of_each_pixel_is_that_of_the_pixel_it_makes(ramp, reference):
    kernels = scene((3, 3, 5, 6), seed=9)
    data = scene((2, 1, 5, 6))
    exposure = Ipc().process(ramp(data), reference("ipc", data=kernels))
    for plane, measured in zip(to_host(exposure.data)[:, 0], data[:, 0], strict=True):
        for y, x in np.ndindex(plane.shape):
            assert plane[y, x] == convolve2d(measured, kernels[:, :, y, x], mode="same")[y, x]


def test_kernels_of_each_pixel_are_cut_to_the_window(ramp, references, reference):
    kernels = scene((3, 3, 8, 9), seed=9)
    data = scene((1, 1, 5, 6))
    ipc = references(ipc=reference("ipc", data=kernels, SUBSTRT1=99, SUBSTRT2=49))
    cut, _ = Ipc().run(ramp(data, xstart=101, ystart=50), ipc)
    whole = Ipc().process(ramp(data), reference("ipc", data=kernels[:, :, 1:6, 2:8]))
    np.testing.assert_array_equal(to_host(cut.data), to_host(whole.data))


def test_saturated_pixels_and_flags_make_no_difference(ramp, reference):
    data = scene((1, 1, 4, 5))
    flagged = Ipc().process(ramp(data, groupdq=3, pixeldq=1), reference("ipc", data=ASYMMETRIC))
    plain = Ipc().process(ramp(data), reference("ipc", data=ASYMMETRIC))
    np.testing.assert_array_equal(to_host(flagged.data), to_host(plain.data))
    assert (to_host(flagged.groupdq) == 3).all()
    assert (to_host(flagged.pixeldq) == 1).all()


def test_zero_frames_stay(ramp, reference):
    exposure = Ipc().process(ramp((1, 1, 3, 3), zeroframe=5), reference("ipc", data=ASYMMETRIC))
    assert (to_host(exposure.zeroframe) == 5).all()


def test_number_of_planes_at_a_time_makes_no_difference(ramp, reference, monkeypatch):
    data = scene((2, 5, 6, 7))
    at_once = Ipc().process(ramp(data), reference("ipc", data=ASYMMETRIC))
    for planes in (1, 3):
        monkeypatch.setattr(gpucal.steps.ipc, "CHUNK", planes * 6 * 7 * 4)
        in_parts = Ipc().process(ramp(data), reference("ipc", data=ASYMMETRIC))
        np.testing.assert_array_equal(to_host(in_parts.data), to_host(at_once.data))


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 20, 24), (5, 5), (1, 3, 20, 24)])
def test_backends_agree_bit_for_bit(same_as_twins, make_ramp, make_reference, rng, shape):
    kernel, data = rng.normal(0, 0.1, shape), rng.normal(1000, 300, (2, 3, 20, 24))

    def run(device):
        return Ipc().process(make_ramp(device, data, xstart=1, ystart=3), make_reference(device, "ipc", data=kernel))

    same_as_twins(run)


def test_step_without_a_reference_is_skipped(ramp, references):
    _, outcome = Ipc().run(ramp([1, 2]), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no ipc reference")
