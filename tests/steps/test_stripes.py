"""Stripes: where their rows lie on the detector, and what becomes of exposures made of them."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import BITS
from gpucal.errors import InputError
from gpucal.model import Ramp, SuperstripeRamp
from gpucal.model.collate import collated, read_times
from gpucal.steps import DqInit, GroupScale, Ipc, Linearity, Refpix, Saturation, Superbias
from gpucal.stripes import Stripes
from tests.conftest import header

WORDS = ("multistripe_reads1", "multistripe_skips1", "multistripe_reads2", "multistripe_skips2", "repeat_stripe",
         "interleave_reads1", "superstripe_step", "num_superstripe")  # fmt: skip


@pytest.fixture
def striped(backend):
    """Make an exposure from (nints, ngroups, ny, nx) data and the stripes' keywords."""

    def make(data, *numbers, **keywords):
        data = np.array(data, "f4", order="C")
        kind = SuperstripeRamp if numbers[-1] else Ramp
        words = {"ystart": 101, "xstart": 201, "fastaxis": 1, "subarray": "GENERIC", **keywords}
        tree = header(data.shape, **words)
        for word, number in zip(WORDS, numbers, strict=True):
            setattr(tree.meta.subarray, word, number)
        return kind(tree, "exposure.fits", data=backend.upload(data))

    return make


def rows(exposure):
    return [list(stripe) for stripe in Stripes.of(exposure).rows]


def test_ordinary_exposure_has_none(ramp):
    assert Stripes.of(ramp([1, 2])) is None


def test_substripes_follow_each_other(striped):
    assert rows(striped(np.zeros((1, 1, 7, 1)), 1, 10, 3, 5, 0, 0, 0, 0)) == [[100, 111, 112, 113, 119, 120, 121]]


def test_first_rows_are_interleaved(striped):
    assert rows(striped(np.zeros((1, 1, 6, 1)), 1, 10, 2, 5, 1, 1, 0, 0)) == [[100, 111, 112, 100, 118, 119]]


def test_the_same_rows_are_repeated(striped):
    assert rows(striped(np.zeros((1, 1, 6, 1)), 1, 10, 2, 5, 1, 0, 0, 0)) == [[100, 111, 112, 100, 111, 112]]


def test_superstripes_move_on(striped):
    assert rows(striped(np.zeros((3, 1, 3, 1)), 1, 0, 0, 0, 0, 0, 2, 3)) == [
        [100, 101, 102], [100, 103, 104], [100, 105, 106],
    ]  # fmt: skip


def test_rows_are_counted_from_the_end_against_the_axis(striped):
    exposure = striped(np.zeros((1, 1, 3, 1)), 1, 10, 2, 0, 0, 0, 0, 0, slowaxis=-2, ystart=2048)
    assert rows(exposure) == [[2047 - 12, 2047 - 11, 2047]]


def test_slow_direction_may_be_x(striped, backend):
    exposure = striped(np.zeros((2, 1, 2, 3)), 1, 0, 0, 0, 0, 0, 2, 2, fastaxis=2, slowaxis=1, xstart=1, ystart=3)
    detector = backend.upload(np.arange(2 * 2048).reshape(2, 2048))
    found = to_host(Stripes.of(exposure).gather(detector))
    np.testing.assert_array_equal(found[:, 1], [[2048, 2049, 2050], [2048, 2051, 2052]])


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ((1, 0, 2, 0, 0, 0, 0, 0), r"has 4 rows, its stripes 5 \(MSTR_\*, SSTR_\*\), the last at row 105"),
        ((0, 0, 0, 0, 0, 0, 0, 2), r"stripes of 0 and 0 rows cannot be \(MSTR_RD1, MSTR_RD2\)"),
        ((0, 2000, 4, 0, 0, 0, 0, 0), "the last at row 2104"),
        ((1, None, 2, 0, 0, 0, 0, 0), "keyword MSTR_SK1 is missing"),
        ((1, 0, 2, 0, 0, 0, None, 2), "keyword SSTR_STP is missing"),
    ],
)
def test_stripes_that_cannot_be_are_refused(numbers, why, striped):
    with pytest.raises(InputError, match=f"^exposure.fits: .*{why}$"):
        Stripes.of(striped(np.zeros((2, 1, 4, 1)), *numbers))


@pytest.fixture
def superstripes(striped):
    """Two images of two stripes, of one reference row and two others each; pixels hold their row on the detector."""
    places = np.array([[0, 1, 2], [0, 3, 4]], "f4")[[0, 1, 0, 1], None, :, None]
    return striped(np.broadcast_to(places + 100, (4, 2, 3, 2)), 1, 0, 0, 0, 0, 0, 2, 2, ystart=101)


def test_stripes_are_collated_into_images(superstripes):
    image = collated(superstripes)
    assert type(image) is Ramp
    assert image.shape == (2, 2, 4, 2)
    np.testing.assert_array_equal(to_host(image.data)[1, 1, :, 0], [101, 102, 103, 104])
    subarray, exposure = image.meta.subarray, image.meta.exposure
    assert (subarray.ystart, subarray.ysize, exposure.nints, exposure.ngroups) == (102, 4, 2, 2)
    assert Stripes.of(image) is None
    assert not exposure.read_times


def test_repeats_become_groups(striped):
    data = np.arange(4, dtype="f4").reshape(1, 1, 4, 1).repeat(2, axis=0)
    exposure = striped(data, 0, 0, 2, 0, 1, 0, 2, 2, noutputs=4)
    image = collated(exposure)
    np.testing.assert_array_equal(to_host(image.data)[0, :, :, 0], [[0, 1, 0, 1], [2, 3, 2, 3]])
    reset, repeat = (0.25 + 12) * 3 + 1, (0.25 + 12) * 2
    np.testing.assert_allclose(read_times(exposure), np.array([[reset], [reset + repeat]]) * 1e-5)
    assert image.meta.exposure.read_times == read_times(exposure)


def test_incomplete_images_are_refused(striped):
    exposure = striped(np.zeros((3, 1, 2, 1)), 0, 0, 0, 0, 0, 0, 2, 2)
    with pytest.raises(InputError, match="3 integrations are no multiple of the 2 stripes of an image"):
        collated(exposure)


def test_references_are_taken_from_every_stripe(superstripes, references, reference):
    bias = np.broadcast_to(np.arange(2048.0)[:, None], (2048, 2))
    given = references(superbias=reference("superbias", data=bias, SUBSTRT1=201, SUBSTRT2=1))
    result, outcome = Superbias().run(superstripes, given)
    assert outcome.status == "COMPLETE"
    np.testing.assert_array_equal(to_host(result.data), 0)


def test_flags_differ_from_stripe_to_stripe(superstripes, references, reference):
    mask = np.zeros((2048, 2), "u4")
    mask[103] = BITS["DO_NOT_USE"] | BITS["HOT"]
    given = references(mask=reference("mask", dq=mask, SUBSTRT1=201, SUBSTRT2=1))
    result, _ = DqInit().run(superstripes, given)
    np.testing.assert_array_equal(to_host(result.pixeldq)[:, :, 0], [[0, 0, 0], [0, 2049, 0]])
    np.testing.assert_array_equal(to_host(result.groupdq)[:, 1, 1, 0], [0, 1, 0, 1])


def test_saturation_does_not_spread_from_stripe_to_stripe(superstripes, references, reference):
    threshold = np.full((2048, 2), 1000.0)
    threshold[102] = 50
    given = references(saturation=reference("saturation", data=threshold, SUBSTRT1=201, SUBSTRT2=1))
    result, _ = Saturation().run(superstripes, given)
    np.testing.assert_array_equal(to_host(result.groupdq)[:2, 0, :, 0], [[0, 2, 2], [0, 0, 0]])


def test_reference_pixels_are_subtracted_stripe_by_stripe(superstripes, references):
    superstripes.pixeldq[:, 0] = BITS["REFERENCE_PIXEL"]
    result, _ = Refpix().run(superstripes, references())
    np.testing.assert_array_equal(to_host(result.data)[:, :, :, 0], np.broadcast_to([1, 2, 3, 4], (2, 2, 4)))


def test_ipc_outside_the_detector_is_skipped(striped, references, reference):
    exposure = striped(np.zeros((1, 1, 3, 1)), 1, 10, 2, 0, 0, 0, 0, 0, slowaxis=-2, ystart=2048)
    given = references(ipc=reference("ipc", data=np.eye(3), SUBSTRT1=None, SUBSTRT2=None))
    _, outcome = Ipc().run(exposure, given)
    assert (outcome.status, outcome.reason) == ("SKIPPED", "the subarray does not fit the detector")


def test_steps_after_refpix_refuse_superstripes(superstripes, references):
    expected = r"^linearity: exposure.fits: linearity cannot take superstripes exposures \(EXP_TYPE NRC_IMAGE\)$"
    with pytest.raises(InputError, match=expected):
        Linearity().run(superstripes, references())


def test_group_scale_takes_all_stripes(striped, references):
    exposure = striped(np.full((2, 1, 2, 1), 4), 0, 0, 0, 0, 0, 0, 2, 2, nframes=5, frame_divisor=4)
    result, _ = GroupScale().run(exposure, references())
    np.testing.assert_allclose(to_host(result.data), 3.2)
