"""Dark current: a dark ramp, read out like the exposure, is subtracted."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.errors import InputError, ReferenceFileError
from gpucal.steps import DarkCurrent


def dark_of(counts, **keywords):
    """A dark of one pixel whose frames have these counts."""
    return {"data": np.reshape(counts, (-1, 1, 1)), "NFRAMES": 1, "GROUPGAP": 0} | keywords


def remaining(exposure):
    return to_host(exposure.data).ravel().tolist()


# -- one frame per group, or several


def test_dark_read_like_the_exposure_is_subtracted_group_by_group(ramp, reference):
    exposure = DarkCurrent().process(ramp([10, 20, 30]), reference("dark", **dark_of([1, 2, 4])))
    assert remaining(exposure) == [9, 18, 26]


def test_groups_a_dark_has_more_than_the_exposure_are_not_used(ramp, reference):
    exposure = DarkCurrent().process(ramp([10, 20]), reference("dark", **dark_of([1, 2, 400, 500])))
    assert remaining(exposure) == [9, 18]


def test_every_integration_loses_the_same(ramp, reference):
    exposure = DarkCurrent().process(ramp(np.full((3, 2, 1, 1), 10.0)), reference("dark", **dark_of([1, 2])))
    assert remaining(exposure) == [9, 8] * 3


def test_frames_of_the_dark_are_averaged_like_the_exposures(ramp, reference):
    """Groups of 2 frames with 1 dropped in between: frames 1-2, 4-5, 7-8."""
    dark = reference("dark", **dark_of([1, 3, 100, 10, 20, 100, 40, 80]))
    exposure = DarkCurrent().process(ramp([100, 100, 100], nframes=2, groupgap=1), dark)
    assert remaining(exposure) == [98, 85, 40]


def test_averaged_dark_that_matches_is_taken_as_it_is(ramp, reference):
    dark = reference("dark", **dark_of([1, 2, 4], NFRAMES=4, GROUPGAP=1))
    exposure = DarkCurrent().process(ramp([10, 20, 30], nframes=4, groupgap=1), dark)
    assert remaining(exposure) == [9, 18, 26]


@pytest.mark.parametrize("pattern", [{"nframes": 1}, {"nframes": 2}])
def test_nan_counts_as_zero(ramp, reference, pattern):
    dark = reference("dark", **dark_of([np.nan, 2, 4, np.nan]))
    exposure = DarkCurrent().process(ramp([10, 20], **pattern), dark)
    assert remaining(exposure) == {1: [10, 18], 2: [9, 18]}[pattern["nframes"]]


# -- darks that are too short


def test_short_dark_goes_on_with_its_last_difference(ramp, reference):
    exposure = DarkCurrent().process(ramp([10.0] * 5), reference("dark", **dark_of([1, 2, 4])))
    assert remaining(exposure) == [9, 8, 6, 4, 2]


def test_short_dark_is_continued_before_it_is_averaged(ramp, reference):
    """Frames 1 2 3 4 | 5 6: groups of two average 1.5, 3.5, 5.5."""
    exposure = DarkCurrent().process(ramp([10.0] * 3, nframes=2), reference("dark", **dark_of([1, 2, 3, 4])))
    assert remaining(exposure) == [8.5, 6.5, 4.5]


def test_short_dark_whose_last_difference_is_nan_adds_nothing_beyond(ramp, reference):
    exposure = DarkCurrent().process(ramp([10.0] * 4), reference("dark", **dark_of([1, np.nan, 3])))
    assert remaining(exposure) == [9, 10, 7, 10]


def test_dark_of_one_group_cannot_be_continued(ramp, reference):
    with pytest.raises(ReferenceFileError, match="too few groups to be extrapolated"):
        DarkCurrent().process(ramp([10, 20]), reference("dark", **dark_of([1])))


# -- darks that do not fit


@pytest.mark.parametrize("pattern", [{"NFRAMES": 4, "GROUPGAP": 1}, {"NFRAMES": 2, "GROUPGAP": 2}])
def test_dark_of_a_slower_pattern_makes_the_step_skipped(ramp, references, reference, pattern):
    exposure = ramp([10, 20], nframes=2, groupgap=1)
    _, outcome = DarkCurrent().run(exposure, references(dark=reference("dark", **dark_of([1, 2], **pattern))))
    assert outcome.status == "SKIPPED"
    assert "exceeds the exposure's" in outcome.reason
    assert exposure.meta.cal_step.dark_sub == "SKIPPED"
    assert remaining(exposure) == [10, 20]


@pytest.mark.parametrize("word", ["NFRAMES", "GROUPGAP"])
def test_dark_that_does_not_tell_its_pattern_is_refused(ramp, reference, word):
    with pytest.raises(ReferenceFileError, match=f"keyword {word} is missing"):
        DarkCurrent().process(ramp([10, 20]), reference("dark", **dark_of([1, 2], **{word: None})))


def test_exposure_that_does_not_tell_its_pattern_is_refused(ramp, reference):
    with pytest.raises(InputError, match=r"exposure.fits: keyword GROUPGAP is missing"):
        DarkCurrent().process(ramp([10, 20], groupgap=None), reference("dark", **dark_of([1, 2])))


# -- MIRI: a dark for each of the first integrations


@pytest.fixture
def miri(ramp, reference):
    """Subtract a dark whose two integrations are 1 and 2 from three integrations; return what each lost."""

    def run(**keywords):
        data = np.array([[1, 1], [2, 2]]).reshape(2, 2, 1, 1)
        dq = np.array([BITS["HOT"], BITS["DEAD"]]).reshape(2, 1, 1, 1)
        dark = reference("dark", data=data, dq=dq, NFRAMES=1, GROUPGAP=0)
        exposure = DarkCurrent().process(ramp(np.full((3, 2, 1, 1), 10.0), instrument="MIRI", **keywords), dark)
        return exposure, (10 - to_host(exposure.data)[:, 0, 0, 0]).tolist()

    return run


def test_integrations_beyond_the_darks_get_its_last(miri):
    assert miri()[1] == [1, 2, 2]


def test_later_segments_of_an_exposure_get_the_last_dark_throughout(miri):
    assert miri(intstart=4)[1] == [2, 2, 2]


def test_missing_intstart_counts_as_the_first_segment(miri):
    assert miri(intstart=None)[1] == [1, 2, 2]


def test_flags_of_all_its_integrations_reach_the_pixels(miri):
    assert to_host(miri()[0].pixeldq).item() == BITS["HOT"] | BITS["DEAD"]


# -- what else changes, and what does not


def test_flags_of_the_dark_reach_the_pixels_and_not_the_groups(ramp, reference):
    exposure = ramp([10, 20], pixeldq=BITS["WARM"], groupdq=[GROUP.JUMP_DET, 0])
    DarkCurrent().process(exposure, reference("dark", dq=[[BITS["HOT"]]], **dark_of([1, 2])))
    assert to_host(exposure.pixeldq).item() == BITS["WARM"] | BITS["HOT"]
    assert to_host(exposure.groupdq).ravel().tolist() == [GROUP.JUMP_DET, 0]


def test_zero_frames_stay(ramp, reference):
    exposure = DarkCurrent().process(ramp([10, 20], zeroframe=5), reference("dark", **dark_of([1, 2])))
    assert to_host(exposure.zeroframe).item() == 5


def test_dark_is_cut_to_the_window(ramp, references, reference):
    dark = reference("dark", data=np.arange(24).reshape(2, 3, 4), NFRAMES=1, GROUPGAP=0, SUBSTRT1=10, SUBSTRT2=20)
    exposure, _ = DarkCurrent().run(ramp((1, 2, 2, 2), xstart=11, ystart=21), references(dark=dark))
    expected = -np.arange(24).reshape(2, 3, 4)[:, 1:3, 1:3]
    np.testing.assert_array_equal(to_host(exposure.data)[0], expected)


def test_step_without_a_reference_is_skipped(ramp, references):
    exposure = ramp([1, 2])
    _, outcome = DarkCurrent().run(exposure, references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no dark reference")
    assert exposure.meta.cal_step.dark_sub == "SKIPPED"


# -- the mean dark current, for the noise of the slopes


@pytest.mark.parametrize(
    ("parameter", "keyword", "kept"), [(None, None, 0), (None, 0.25, 0.25), (0.5, 0.25, 0.5), (0.0, 0.25, 0.0)]
)
def test_parameter_goes_before_the_references_keyword(ramp, reference, parameter, keyword, kept):
    dark = reference("dark", **dark_of([1, 2], AVDRKCUR=keyword))
    exposure = DarkCurrent(average_dark_current=parameter).process(ramp([10, 20]), dark)
    assert to_host(exposure.average_dark_current).tolist() == [[kept]]


def test_image_of_the_dark_current_is_not_used(ramp, reference):
    """As in the official pipeline, where it is not by intention."""
    dark = reference("dark", average_dark_current=[[0.25]], **dark_of([1, 2]))
    assert DarkCurrent().process(ramp([10, 20]), dark).average_dark_current is None


# -- the dark on its own


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ({}, [1, 3, 0, 9]),
        ({"nframes": 2}, [2, 4.5]),
        ({"ngroups": 6}, [1, 3, 0, 9, 18, 27]),
    ],
    ids=["as it is", "averaged", "extrapolated"],
)
def test_dark_is_written_as_it_was_subtracted(ramp, reference, tmp_path, pattern, written):
    pattern = dict(pattern)
    counts = [1, 3, np.nan, 9] if len(written) < 6 else [1, 3, 0, 9]
    dark = reference("dark", dq=[[BITS["HOT"]]], **dark_of(counts))
    exposure = ramp([10.0] * pattern.pop("ngroups", 2), **pattern)
    DarkCurrent(dark_output=str(tmp_path / "dark.asdf")).process(exposure, dark)
    with fits.open(tmp_path / "dark.fits") as file:
        assert file["SCI"].data.ravel().tolist() == written
        assert file["DQ"].data.item() == BITS["HOT"]
        header = file[0].header
        assert (header["NFRAMES"], header["NGROUPS"]) == (pattern.get("nframes", 1), len(written))
        assert header["REFTYPE"] == "DARK"


def test_integrations_that_were_not_averaged_are_zero(ramp, reference):
    """As in the official pipeline, which averages darks for as many integrations as the exposure has."""
    frames = np.arange(1.0, 9).reshape(2, 4, 1, 1)
    dark = reference("dark", data=frames, dq=np.zeros((2, 1, 1, 1), "u4"), NFRAMES=1, GROUPGAP=0)
    assert remaining(DarkCurrent().process(ramp([10, 10], nframes=2), dark)) == [8.5, 6.5]
    assert remaining(DarkCurrent().process(ramp([10, 10], nframes=2, intstart=2), dark)) == [10, 10]
    assert remaining(DarkCurrent().process(ramp([10, 10], intstart=2), dark)) == [5, 4]


# -- backends


@pytest.mark.parametrize(
    ("frames", "pattern"),
    [(6, {}), (4, {}), (40, {"nframes": 4, "groupgap": 2}), (20, {"nframes": 4, "groupgap": 2})],
    ids=["match", "extrapolated", "averaged", "extrapolated and averaged"],
)
def test_backends_agree_bit_for_bit(same_as_twins, make_ramp, make_reference, rng, frames, pattern):
    dark = rng.normal(1, 10, (frames, 13, 17))
    dark[rng.random(dark.shape) < 0.02] = np.nan
    data = rng.normal(1000, 100, (2, 6, 13, 17))

    def run(device):
        reference = make_reference(device, "dark", data=dark, NFRAMES=1, GROUPGAP=0, AVDRKCUR=0.01)
        return DarkCurrent().process(make_ramp(device, data, **pattern), reference)

    same_as_twins(run)
