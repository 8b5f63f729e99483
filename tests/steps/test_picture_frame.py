"""Picture frame: the picture goes, scaled to each group's centre and edges, where it may and can."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.errors import ReferenceFileError
from gpucal.steps import PictureFrame
from gpucal.steps.picture_frame import regions

NIRSPEC = {
    "instrument": "NIRSPEC",
    "detector": "NRS1",
    "exp_type": "NRS_IMAGE",
    "subarray": "FULL",
    "xstart": 1,
    "ystart": 1,
}
WHOLE = {"SUBSTRT1": 1, "SUBSTRT2": 1}


@pytest.fixture(scope="module")
def frame():
    """A picture that is 1 at the edges and 0 at the centre."""
    picture = np.ones((2048, 2048), "f4")
    picture[76:1984, 76:1984] = 0
    return picture


def run(ramp, reference, references, data, frame, **parameters):
    exposure = ramp(data, **NIRSPEC)
    plane = np.ones(data.shape[2:], "f4")
    given = {"pictureframe": frame, "readnoise": plane, "gain": plane}
    given = {name: reference(name, data=value, **WHOLE) for name, value in given.items()}
    return PictureFrame(skip=False, **parameters).run(exposure, references(**given))


def test_scaled_picture_is_subtracted(ramp, reference, references, frame):
    data = np.zeros((1, 3, 2048, 2048), "f4")
    data[0, 0] = 7
    data[0, 1], data[0, 2] = 7 + 2 * frame, 9 + 3 * frame
    given = data.copy()
    parameters = {"mask_science_regions": False, "n_sigma": 0.0, "save_correction": True, "save_mask": True}
    exposure, outcome = run(ramp, reference, references, data, frame, **parameters)
    assert outcome.status == "COMPLETE"
    result = to_host(exposure.data)
    assert np.all(result == 7)
    np.testing.assert_array_equal(to_host(exposure.byproducts["pctfrm_correction"].data), result - given)
    assert exposure.byproducts["pctfrm_mask"].data.shape == (2048, 2048)


def test_regions_leave_out_reference_pixels_and_what_is_between(backend):
    centre, edge = (to_host(r) for r in regions(backend.xp.ones((2048, 2048), bool)))
    rows, columns = np.divmod(edge, 2048)
    assert centre.size == 1908**2
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 2042, 4, 2042)
    assert not np.any(edge == 75 * 2048 + 100)
    assert edge.size == 2039**2 - 1910**2


def test_science_regions_cannot_be_masked_yet(ramp, reference, references, frame):
    data = np.ones((1, 2, 2048, 2048), "f4")
    exposure, outcome = run(ramp, reference, references, data, frame)
    assert outcome.status == exposure.meta.cal_step.picture_frame == "FAILED"
    assert "assign_wcs" in outcome.reason
    assert np.all(to_host(exposure.data) == 1)


@pytest.mark.parametrize(
    ("shape", "keywords", "reason"),
    [
        ((1, 2, 4, 4), {}, "only full frames of NIRSpec"),
        ((1, 2, 4, 4), {"instrument": "NIRSPEC"}, "only full frames of NIRSpec"),
        ((1, 1, 4, 4), {"instrument": "NIRSPEC", "subarray": "FULL", "detector": "NRS1"}, "a single group"),
    ],
)
def test_other_exposures_are_skipped(shape, keywords, reason, ramp, reference, references):
    given = references(pictureframe=reference("pictureframe", data=np.ones((4, 4))))
    exposure, outcome = PictureFrame(skip=False).run(ramp(shape, **keywords), given)
    assert outcome.status == "SKIPPED"
    assert reason in outcome.reason


def test_without_a_picture_the_step_is_skipped(ramp, references):
    _, outcome = PictureFrame(skip=False).run(ramp((1, 2, 4, 4)), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no pictureframe reference")


def test_without_background_at_the_edges_the_step_is_skipped(ramp, reference, references):
    constants = {name: reference(name, data=np.ones((60, 60))) for name in ("readnoise", "gain", "pictureframe")}
    exposure = ramp((1, 2, 60, 60), **NIRSPEC | {"xstart": 1025, "ystart": 1025})
    _, outcome = PictureFrame(skip=False, mask_science_regions=False).run(exposure, references(**constants))
    assert outcome.reason == "no background at the centre or at the edges"


def test_gain_is_needed(ramp, reference, references):
    exposure = ramp((1, 2, 4, 4), **NIRSPEC | {"xstart": 1025, "ystart": 1025})
    given = references(pictureframe=reference("pictureframe", data=np.ones((4, 4))))
    with pytest.raises(ReferenceFileError, match="no readnoise reference"):
        PictureFrame(skip=False, mask_science_regions=False).run(exposure, given)
