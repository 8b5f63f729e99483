"""Refpix: drifts injected into amplifiers, columns and rows are removed exactly, whichever way the detector is read.

All numbers are whole, so that means and medians are exact and the truth must come back to the last bit.
"""

import itertools

import numpy as np
import pytest
from scipy.stats import sigmaclip

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.errors import InputError
from gpucal.steps import Refpix

SIZE, WIDTH = 2048, 512
DNU, REFERENCE = BITS["DO_NOT_USE"], BITS["REFERENCE_PIXEL"]
ORIENTATIONS = [(f, s) for f, s in itertools.product((1, -1, 2, -2), repeat=2) if abs(f) != abs(s)]
EVERY_ORIENTATION = pytest.mark.parametrize(("fastaxis", "slowaxis"), ORIENTATIONS)

ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]
IS_REFERENCE = (ROWS < 4) | (ROWS >= SIZE - 4) | (COLUMNS < 4) | (COLUMNS >= SIZE - 4)
AMPLIFIER, PARITY = COLUMNS // WIDTH, COLUMNS % 2
TRUTH = np.where(IS_REFERENCE, 0, (ROWS * 7 + COLUMNS * 13) % 101).astype("f4")

LEVELS = np.array([[10, 20], [-30, 40], [50, -60], [70, 80]])[AMPLIFIER, PARITY]
ROW_DRIFT = np.where(ROWS < 8, 100, 200)  # in steps that outlast the running median


def science(detector, fastaxis, slowaxis):
    """Turn an image from rows along the slow and columns along the fast direction to science orientation."""
    if abs(fastaxis) == 2:
        detector, fastaxis, slowaxis = detector.T, slowaxis, fastaxis
    return detector[:: 1 if slowaxis > 0 else -1, :: 1 if fastaxis > 0 else -1]


class Stripe:
    """The first 16 detector rows with all columns, read in some orientation by four amplifiers."""

    def __init__(self, fastaxis=-1, slowaxis=2):
        self.axes = {"fastaxis": fastaxis, "slowaxis": slowaxis}
        corner = np.zeros((SIZE, SIZE), bool)
        corner[:16] = True
        inside = science(corner, **self.axes)
        ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        self.cut = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        self.keywords = self.axes | {"ystart": int(ys[0]) + 1, "xstart": int(xs[0]) + 1, "noutputs": 4}

    def __call__(self, detector):
        """The stripe of a full-frame image in detector orientation."""
        return science(detector, **self.axes)[self.cut]


@pytest.fixture
def corrected(ramp):
    """Run the step on planes (one integration) of the stripe and return what remains."""

    def run(*detector_planes, stripe=None, bad=None, step=None, **options):
        stripe = stripe or Stripe()
        data = np.array([[stripe(plane) for plane in detector_planes]])
        pixeldq = 0 if bad is None else stripe(np.where(bad, DNU, 0))
        exposure = (step or Refpix()).process(ramp(data, pixeldq=pixeldq, **stripe.keywords | options))
        return to_host(exposure.data)[0]

    return run


# -- four outputs


@EVERY_ORIENTATION
def test_levels_of_amplifiers_and_columns_and_the_drift_along_rows_are_removed(corrected, fastaxis, slowaxis):
    stripe = Stripe(fastaxis, slowaxis)
    first, second = corrected(TRUTH + LEVELS + ROW_DRIFT, TRUTH - 2 * LEVELS + 3 * ROW_DRIFT, stripe=stripe)
    np.testing.assert_array_equal(first, stripe(TRUTH))
    np.testing.assert_array_equal(second, stripe(TRUTH))


@EVERY_ORIENTATION
def test_full_frame_takes_the_mean_of_the_first_and_the_last_rows(ramp, fastaxis, slowaxis):
    drifting = np.where(ROWS < SIZE // 2, LEVELS, 3 * LEVELS)
    data = science(TRUTH + drifting, fastaxis, slowaxis)[None, None]
    axes = {"fastaxis": fastaxis, "slowaxis": slowaxis}
    exposure = Refpix(use_side_ref_pixels=False).process(ramp(data, xstart=1, ystart=1, noutputs=None, **axes))
    expected = science(TRUTH + drifting - 2 * LEVELS, fastaxis, slowaxis)
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], expected)


def test_full_frame_follows_a_drift_along_its_rows(ramp):
    drift = np.where(ROWS < 300, 0, np.where(ROWS < 1500, 50, -20)) * (1 + 0 * COLUMNS)
    drift[-4:] = 0
    drift[-11:-4] = -20
    exposure = Refpix().process(ramp((TRUTH + LEVELS + drift)[None, None], xstart=1, ystart=1, fastaxis=1))
    away_from_the_end = slice(0, SIZE - 11)
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0, away_from_the_end], TRUTH[away_from_the_end])


def test_reference_pixels_that_are_not_to_be_used_do_not_count(corrected):
    bad = IS_REFERENCE & ((ROWS + COLUMNS // 2) % 3 == 0)
    (plane,) = corrected(np.where(bad, 5e4, TRUTH + LEVELS + ROW_DRIFT), bad=bad)
    good = ~Stripe()(bad)
    np.testing.assert_array_equal(plane[good], Stripe()(TRUTH)[good])


def test_outliers_among_reference_pixels_are_clipped(corrected):
    data = TRUTH + LEVELS
    data[2, 700] = 1e6
    (plane,) = corrected(data)
    data[2, 700] -= LEVELS[2, 700]
    np.testing.assert_array_equal(plane[4:], Stripe()(TRUTH)[4:])


def test_clipping_limit_can_be_raised(corrected):
    """Unclipped, one pixel of 1024 shifts the level by 1 for every 1024 DN."""
    data = TRUTH + LEVELS
    data[2, 700] += 1024
    (plane,) = corrected(data, step=Refpix(siglimit=1e6, use_side_ref_pixels=False))
    expected = TRUTH - ((AMPLIFIER == 1) & (PARITY == 0))
    np.testing.assert_array_equal(plane[4:], Stripe()(expected)[4:])


def test_flags_of_the_groups_make_no_difference(corrected):
    (plane,) = corrected(TRUTH + LEVELS, groupdq=GROUP.SATURATED | GROUP.DO_NOT_USE)
    np.testing.assert_array_equal(plane, Stripe()(TRUTH))


def test_flags_stay(ramp):
    stripe = Stripe()
    pixeldq = stripe(np.where(IS_REFERENCE, REFERENCE, BITS["HOT"]))
    exposure = Refpix().process(ramp(stripe(TRUTH)[None, None], pixeldq=pixeldq, groupdq=4, **stripe.keywords))
    np.testing.assert_array_equal(to_host(exposure.pixeldq), pixeldq)
    assert (to_host(exposure.groupdq) == 4).all()


def test_amplifier_without_good_pixels_of_one_parity_keeps_its_levels(corrected):
    bad = (AMPLIFIER == 1) & (PARITY == 0) & (ROWS < 4)
    (plane,) = corrected(TRUTH + LEVELS, bad=bad)
    np.testing.assert_array_equal(plane, Stripe()(TRUTH + LEVELS * (AMPLIFIER == 1)))


def test_even_and_odd_columns_can_be_taken_together(corrected):
    (plane,) = corrected(TRUTH + LEVELS, step=Refpix(odd_even_columns=False, use_side_ref_pixels=False))
    means = np.array([15, 5, -5, 75])[AMPLIFIER]
    np.testing.assert_array_equal(plane, Stripe()(TRUTH + LEVELS - means))


def test_drift_along_the_rows_can_be_left(corrected):
    (plane,) = corrected(TRUTH + LEVELS + ROW_DRIFT, step=Refpix(use_side_ref_pixels=False))
    np.testing.assert_array_equal(plane, Stripe()(TRUTH + ROW_DRIFT - 100))


def test_side_gain_is_the_fraction_that_is_removed(corrected):
    (plane,) = corrected(TRUTH + LEVELS + ROW_DRIFT, step=Refpix(side_gain=0.5))
    np.testing.assert_array_equal(plane, Stripe()(TRUTH + (ROW_DRIFT - 100) / 2))


@pytest.mark.parametrize(("left", "right", "removed"), [(10, 30, 20), (10, None, 10), (None, 30, 30), (None, None, 0)])
def test_drift_is_the_mean_of_both_sides_or_that_of_the_good_one(corrected, left, right, removed):
    at_left, at_right = (COLUMNS < 4) & (ROWS >= 4), (COLUMNS >= SIZE - 4) & (ROWS >= 4)
    data = TRUTH + at_left * (left or 0) + at_right * (right or 0)
    corners = (ROWS < 4) & ((COLUMNS < 4) | (COLUMNS >= SIZE - 4))
    bad = corners | at_left * (left is None) | at_right * (right is None)
    (plane,) = corrected(data, bad=bad > 0)
    np.testing.assert_array_equal(plane[9:, 4:-4], Stripe()(TRUTH - removed)[9:, 4:-4])


@pytest.mark.parametrize(
    ("length", "rows"), [(1, [10]), (3, [9, 10, 11]), (4, [9, 10, 11, 12]), (5, [8, 9, 10, 11, 12])]
)
def test_side_pixel_is_seen_from_the_rows_whose_box_contains_it(corrected, length, rows):
    """A single good side pixel decides alone; of an even number of rows, one more lies before the row."""
    data, bad = TRUTH.copy(), (COLUMNS < 4) | (COLUMNS >= SIZE - 4)
    data[10, 0], bad[10, 0] = 40, False
    (plane,) = corrected(data, bad=bad, step=Refpix(side_smoothing_length=length))
    shifted = (plane != Stripe()(TRUTH))[:, 4:-4].all(axis=1)
    assert np.flatnonzero(shifted).tolist() == rows


def test_rows_are_mirrored_at_the_detectors_ends(corrected):
    """Row 1 is seen from row 0 both directly and in the mirror; row 0 itself is not repeated."""
    data, bad = TRUTH.copy(), (COLUMNS < 4) | (COLUMNS >= SIZE - 4)
    for row, value in ((0, 7), (1, 8)):
        data[row, 0], bad[row, 0] = value, False
    (plane,) = corrected(data, bad=bad, step=Refpix(side_smoothing_length=3))
    np.testing.assert_array_equal(plane[0, 4:-4], -np.median([8, 7, 8]))


def test_first_plane_is_averaged_in_single_and_later_ones_in_double_precision(corrected, rng):
    """A peculiarity of the official pipeline, which must be followed to have its numbers."""
    noisy = rng.uniform(0, 100, (SIZE, SIZE)).astype("f4")
    bad = (COLUMNS < 4) | (COLUMNS >= SIZE - 4)  # no side pixels: their correction is 0
    first, second = corrected(noisy, noisy, bad=bad, step=Refpix(siglimit=1e6))
    used = noisy[:4, 2 * WIDTH : 3 * WIDTH : 2].ravel()
    there = noisy[5:16, 2 * WIDTH : 3 * WIDTH : 2]
    mine = np.s_[5:16, ::-1]
    in_single = there - used.mean()
    in_double = (there.astype("f8") - used.astype("f8").mean()).astype("f4")
    np.testing.assert_array_equal(first[mine][:, 2 * WIDTH : 3 * WIDTH : 2], in_single)
    np.testing.assert_array_equal(second[mine][:, 2 * WIDTH : 3 * WIDTH : 2], in_double)


def test_zero_frames_are_corrected_and_stay_0_where_they_are_bad(ramp):
    stripe = Stripe()
    frame = stripe(TRUTH + LEVELS + ROW_DRIFT)
    holes = stripe(~IS_REFERENCE & (COLUMNS % 10 == 0))
    frame = np.where(holes, 0, frame)
    exposure = Refpix().process(ramp(np.zeros((1, 1, *frame.shape)), zeroframe=frame, **stripe.keywords))
    np.testing.assert_array_equal(to_host(exposure.zeroframe)[0], np.where(holes, 0, stripe(TRUTH)))


# -- one output


class Corner:
    """A window of 20 x 24 pixels, read by one amplifier, at the first pixel in science orientation."""

    def __init__(self, fastaxis=1, slowaxis=2):
        self.axes = {"fastaxis": fastaxis, "slowaxis": slowaxis}
        self.keywords = self.axes | {"xstart": 1, "ystart": 1, "noutputs": 1}

    def __call__(self, detector):
        return science(detector, **self.axes)[:20, :24]


@EVERY_ORIENTATION
def test_levels_of_even_and_odd_columns_of_one_output_are_removed(ramp, fastaxis, slowaxis):
    corner = Corner(fastaxis, slowaxis)
    data = [[corner(TRUTH + level * (PARITY + 1)) for level in (10, -30)]]
    exposure = Refpix().process(ramp(data, pixeldq=corner(IS_REFERENCE * np.uint32(REFERENCE)), **corner.keywords))
    np.testing.assert_array_equal(to_host(exposure.data)[0], [corner(TRUTH)] * 2)


def test_level_of_one_output_is_scipys_clipped_mean(ramp, rng):
    corner = Corner()
    data = rng.normal(100, 5, (20, 24)).astype("f4")
    data[0, ::5] = 1e4
    exposure = Refpix().process(
        ramp(data[None, None], pixeldq=corner(IS_REFERENCE * np.uint32(REFERENCE)), **corner.keywords)
    )
    for parity in (0, 1):
        used = data[corner(IS_REFERENCE & (parity == PARITY))]
        level = sigmaclip(used, 3.0, 3.0).clipped.mean()
        np.testing.assert_array_equal(to_host(exposure.data)[0, 0, :, parity::2], data[:, parity::2] - level)


def test_only_good_pixels_that_the_mask_calls_reference_pixels_count(ramp):
    corner = Corner()
    pixeldq = np.zeros((20, 24), "u4")
    pixeldq[0, :4], pixeldq[1, :4] = REFERENCE, REFERENCE | DNU
    data = np.full((20, 24), 50.0)
    data[0, :4], data[1, :4] = 10, 1000
    exposure = Refpix().process(ramp(data[None, None], pixeldq=pixeldq, **corner.keywords))
    np.testing.assert_array_equal(to_host(exposure.data)[0, 0], data - 10)


def test_exposure_without_reference_pixels_stays_and_is_complete(ramp, references):
    data = np.full((1, 2, 4, 5), 50.0)
    exposure, outcome = Refpix().run(ramp(data, noutputs=1), references())
    assert outcome.status == "COMPLETE"
    np.testing.assert_array_equal(to_host(exposure.data), data)


def test_reference_pixels_of_one_parity_alone_are_refused(ramp):
    pixeldq = np.zeros((4, 5), "u4")
    pixeldq[:, ::2] = REFERENCE
    with pytest.raises(InputError, match="all good reference pixels are in"):
        Refpix().process(ramp((1, 1, 4, 5), pixeldq=pixeldq, noutputs=1))
    Refpix(odd_even_columns=False).process(ramp((1, 1, 4, 5), pixeldq=pixeldq, noutputs=1))


def test_window_that_is_not_on_the_detector_makes_the_step_skipped(ramp, references):
    _, outcome = Refpix().run(ramp((1, 1, 8, 8), xstart=2045), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "the subarray does not fit the detector")


@pytest.mark.parametrize(("keyword", "name"), [("fastaxis", "FASTAXIS"), ("noutputs", "NOUTPUTS")])
def test_header_that_does_not_tell_how_it_was_read_is_refused(ramp, keyword, name):
    with pytest.raises(InputError, match=f"keyword {name} is missing"):
        Refpix().process(ramp((1, 1, 8, 8), **{keyword: None}))


# -- MIRI

MIRI = {"instrument": "MIRI", "detector": "MIRIMAGE", "subarray": "FULL", "xstart": 1, "ystart": 1}
MIRI_ROWS, MIRI_COLUMNS = np.mgrid[:1024, :1032]
MIRI_LEVELS = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])[MIRI_COLUMNS % 4, MIRI_ROWS % 2]
MIRI_TRUTH = ((MIRI_ROWS * 7 + MIRI_COLUMNS * 13) % 101) * ((MIRI_COLUMNS >= 4) & (MIRI_COLUMNS < 1028))


def test_miri_levels_are_removed_relative_to_the_first_group(ramp):
    """The levels at the left and right edges differ by 2; their mean is what is removed."""
    tilted = MIRI_LEVELS * 2 + np.where(MIRI_COLUMNS < 4, -1, np.where(MIRI_COLUMNS >= 1028, 1, 0))
    exposure = Refpix().process(ramp([[MIRI_TRUTH + 500, 2 * MIRI_TRUTH + 500 + tilted]], **MIRI))
    first, second = to_host(exposure.data)[0]
    np.testing.assert_array_equal(first, MIRI_TRUTH + 500)
    np.testing.assert_array_equal(second[:, 4:-4], (2 * MIRI_TRUTH + 500)[:, 4:-4])


def test_miri_even_and_odd_rows_can_be_taken_together(ramp):
    exposure = Refpix(odd_even_rows=False).process(ramp([[MIRI_TRUTH, MIRI_TRUTH + 2 * MIRI_LEVELS]], **MIRI))
    means = np.array([3, 7, 11, 15])[MIRI_COLUMNS % 4]
    np.testing.assert_array_equal(to_host(exposure.data)[0, 1], MIRI_TRUTH + 2 * MIRI_LEVELS - means)


def test_miri_without_one_of_the_sides_stays(ramp):
    pixeldq = np.where(MIRI_COLUMNS == 2, DNU, 0)
    data = np.array([[MIRI_TRUTH, MIRI_TRUTH + MIRI_LEVELS]])
    exposure = Refpix().process(ramp(data, pixeldq=pixeldq, **MIRI))
    np.testing.assert_array_equal(to_host(exposure.data), data)


def test_miri_subarray_makes_the_step_skipped(ramp, references):
    _, outcome = Refpix().run(ramp((1, 2, 64, 72), **MIRI | {"subarray": "SUB64"}), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "MIRI subarrays have no correction")


# -- backends


@EVERY_ORIENTATION
def test_backends_agree_bit_for_bit_on_four_outputs(same_as_twins, make_ramp, rng, fastaxis, slowaxis):
    stripe = Stripe(fastaxis, slowaxis)
    shape = stripe(TRUTH).shape
    data, zeroframe = rng.normal(1000, 30, (2, 2, *shape)), rng.normal(1000, 30, (2, *shape))
    data[rng.random(data.shape) < 0.01] = 5e4
    pixeldq = rng.choice(np.array([0, DNU], "u4"), shape, p=[0.9, 0.1])

    def run(device):
        return Refpix().process(make_ramp(device, data, pixeldq=pixeldq, zeroframe=zeroframe, **stripe.keywords))

    same_as_twins(run)


@pytest.mark.parametrize(
    "options", [{}, {"odd_even_columns": False}, {"siglimit": 1.5}, {"use_side_ref_pixels": False}]
)
def test_backends_agree_bit_for_bit_on_one_output(same_as_twins, make_ramp, rng, options):
    corner = Corner(-2, 1)
    data = rng.normal(1000, 30, (3, 4, 20, 24))
    pixeldq = corner(IS_REFERENCE * np.uint32(REFERENCE)) | rng.choice(np.array([0, DNU], "u4"), (20, 24))

    def run(device):
        return Refpix(**options).process(make_ramp(device, data, pixeldq=pixeldq, zeroframe=7, **corner.keywords))

    same_as_twins(run)


def test_backends_agree_bit_for_bit_on_miri(same_as_twins, make_ramp, rng):
    data = rng.normal(1000, 30, (1, 2, 1024, 1032)).astype("f4")
    pixeldq = rng.choice(np.array([0, DNU], "u4"), (1024, 1032), p=[0.9, 0.1])
    same_as_twins(lambda device: Refpix().process(make_ramp(device, data, pixeldq=pixeldq, **MIRI)))
