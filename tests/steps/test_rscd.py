"""RSCD: the first groups of MIRI integrations are left out, but for pixels that saturate too soon to spare them."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP
from gpucal.errors import InputError
from gpucal.reference import Reference
from gpucal.steps import Rscd

DNU, SAT = GROUP.DO_NOT_USE, GROUP.SATURATED
MIRI = {"instrument": "MIRI", "detector": "MIRIMAGE", "subarray": "SUB64", "readpatt": "FASTR1"}
ROWS = [("FULL", "FASTR1", 9, 9), ("SUB64", "SLOWR1", 8, 8), ("SUB64", "FASTR1", 2, 4)]


@pytest.fixture
def rscd(reference_file, backend):
    """A reference that leaves out 2 groups of the first and 4 of later integrations."""
    path = reference_file("rscd")
    columns = [("subarray", "S13"), ("readpatt", "S8"), ("group_skip1", "i4"), ("group_skip", "i4")]
    fits.append(path, np.array(ROWS, columns), fits.Header({"EXTNAME": "RSCD_GROUP_SKIP"}))
    return Reference(path, "rscd", None, backend)


@pytest.fixture
def left_out(ramp, rscd):
    """Run the step; return, for each integration of one pixel, which groups are flagged DO_NOT_USE."""

    def run(shape, groupdq=0, **options):
        exposure = Rscd().process(ramp(shape, groupdq=groupdq, **MIRI | options), rscd)
        unused = to_host(exposure.groupdq)[:, :, 0, 0] & DNU != 0
        return [np.flatnonzero(integration).tolist() for integration in unused]

    return run


def saturated_from(*groups, ngroups=10):
    """Flags of integrations that saturate from these groups on."""
    return np.array([[SAT * (g >= first) for g in range(ngroups)] for first in groups]).reshape(-1, ngroups, 1, 1)


# -- how many groups


def test_first_and_later_integrations_have_their_own_numbers(left_out):
    assert left_out((3, 10, 1, 1)) == [[0, 1], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_later_segments_of_an_exposure_have_no_first_integration(left_out):
    assert left_out((2, 10, 1, 1), intstart=3) == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("ngroups", [3, 4, 5])
def test_short_integrations_lose_one_group_at_most(left_out, ngroups):
    expected = [0] if ngroups > 3 else []
    assert left_out((2, ngroups, 1, 1)) == [expected, expected]


@pytest.mark.parametrize(("ngroups", "kept"), [(6, [0, 1, 2]), (7, [0, 1, 2, 3]), (8, [0, 1, 2, 3])])
def test_three_groups_remain(left_out, ngroups, kept):
    assert left_out((2, ngroups, 1, 1))[1] == kept


@pytest.mark.parametrize("ngroups", [1, 2])
def test_too_few_groups_make_the_step_skipped(ramp, references, rscd, ngroups):
    exposure = ramp((1, ngroups, 1, 1), **MIRI)
    _, outcome = Rscd().run(exposure, references(rscd=rscd))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "fewer than three groups")
    assert not to_host(exposure.groupdq).any()


# -- pixels that saturate early


def test_pixel_saturated_soon_after_keeps_more_groups(ramp, rscd):
    """Of later integrations, group 5 is tested: saturated from there on, one more is kept; from 4 on, two (from 0)."""
    groupdq = saturated_from(10, 6, 5, 4)
    exposure = Rscd().process(ramp((4, 10, 1, 1), groupdq=groupdq, **MIRI), rscd)
    unused = (to_host(exposure.groupdq)[:, :, 0, 0] & DNU != 0).sum(axis=1)
    assert unused.tolist() == [2, 4, 3, 2]
    assert to_host(exposure.pixeldq).item() == BITS["FLUX_ESTIMATED"]


def test_pixel_saturated_from_the_second_group_on_keeps_all(left_out):
    assert left_out((2, 10, 1, 1), groupdq=saturated_from(10, 1))[1] == []


def test_pixel_saturated_from_the_first_group_on_keeps_none(left_out):
    assert left_out((2, 10, 1, 1), groupdq=saturated_from(10, 0))[1] == [0, 1, 2, 3]


def test_pixels_are_judged_one_by_one(ramp, rscd):
    groupdq = np.concatenate([saturated_from(1), saturated_from(10)], axis=3)
    exposure = Rscd().process(ramp((1, 10, 1, 2), groupdq=groupdq, **MIRI), rscd)
    assert (to_host(exposure.groupdq)[0, :3, 0] & DNU).tolist() == [[0, 1], [0, 1], [0, 0]]
    np.testing.assert_array_equal(to_host(exposure.pixeldq), [[BITS["FLUX_ESTIMATED"], 0]])


def test_other_flags_stay(ramp, rscd):
    exposure = Rscd().process(ramp((1, 10, 1, 1), groupdq=GROUP.JUMP_DET, pixeldq=BITS["HOT"], **MIRI), rscd)
    assert to_host(exposure.groupdq).ravel().tolist() == [5, 5] + [4] * 8
    assert to_host(exposure.pixeldq).item() == BITS["HOT"]


# -- exposures it is not for


def test_other_instruments_make_the_step_skipped(ramp, references, rscd):
    _, outcome = Rscd().run(ramp((1, 10, 1, 1)), references(rscd=rscd.path))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "only for MIRI")


@pytest.mark.parametrize("odd", [{"subarray": "SUB128"}, {"readpatt": "FAST"}])
def test_subarray_or_pattern_unknown_to_the_reference_makes_the_step_skipped(ramp, references, rscd, odd):
    _, outcome = Rscd().run(ramp((1, 10, 1, 1), **MIRI | odd), references(rscd=rscd))
    assert outcome.status == "SKIPPED"
    assert "has no row for" in outcome.reason


def test_header_without_the_pattern_is_refused(ramp, rscd):
    with pytest.raises(InputError, match="keyword READPATT is missing"):
        Rscd().process(ramp((1, 10, 1, 1), **MIRI | {"readpatt": None}), rscd)


def test_step_without_a_reference_is_skipped(ramp, references):
    _, outcome = Rscd().run(ramp((1, 10, 1, 1), **MIRI), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no rscd reference")
