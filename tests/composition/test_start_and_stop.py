"""A pipeline can stop after any step and go on from what it saved, with the result of an uninterrupted run."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal.settings import Settings

STEPS = [step.alias for step in Settings().pipeline("nircam").steps if not step.skip]


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """The products of an uninterrupted run."""
    (fate,) = gpucal.run(made[0], tmp_path_factory.mktemp("whole"), references=made[1])
    return fate.products


def arrays(path):
    """The pixels of every extension of a product."""
    with fits.open(path) as hdus:
        return {hdu.name: np.array(hdu.data) for hdu in hdus if hdu.is_image and hdu.data is not None}


# The kind of file matters not to the steps: a ramp and slopes suffice for ASDF.
@pytest.mark.parametrize(
    ("step", "ending"), [*((step, "fits") for step in STEPS[:-1]), ("saturation", "asdf"), ("ramp_fit", "asdf")]
)
def test_a_run_goes_on_where_it_stopped(step, ending, made, whole, tmp_path):
    (first,) = gpucal.run(made[0], tmp_path, references=made[1], stop_after=step, output_ext=ending)
    assert not first.error
    assert first.products[0].name == f"{made[0].name.removesuffix('_uncal.fits')}_{step}.{ending}"
    second = gpucal.run(first.products, tmp_path, references=made[1], start_after=step)
    products = [path for fate in second for path in fate.products]
    assert [path.name for path in products] == [path.name for path in whole]
    for mine, theirs in zip(products, whole, strict=True):
        expected, found = arrays(theirs), arrays(mine)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        mine, theirs = fits.getheader(mine), fits.getheader(theirs)
        assert {w: mine[w] for w in theirs if w[:2] in ("S_", "R_")} == {
            w: v for w, v in theirs.items() if w[:2] in ("S_", "R_")
        }


def test_save_all_writes_the_result_of_every_step(made, whole, tmp_path):
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], save_all=True, stop_after="ipc")
    stem = made[0].name.removesuffix("_uncal.fits")
    wanted = [f"{stem}_{step}.fits" for step in STEPS[: STEPS.index("ipc") + 1]]
    assert sorted({path.name for path in fate.products}) == sorted(wanted)
    assert sorted(path.name for path in tmp_path.glob("*.fits")) == sorted(wanted)


def test_the_calibrated_ramp_is_what_goes_into_the_fit(made, tmp_path):
    (fate,) = gpucal.run(
        made[0], tmp_path, references=made[1], save_calibrated_ramp=True, steps={"jump": {"save_results": True}}
    )
    names = [path.name.rpartition("_")[2] for path in fate.products]
    assert names == ["jump.fits", "ramp.fits", "rate.fits", "rateints.fits"]
    one, other = (arrays(path) for path in fate.products[:2])
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values)


def test_members_of_an_association_are_calibrated(made, tmp_path):
    import json
    import shutil

    shutil.copy(made[0], tmp_path)
    members = [{"expname": made[0].name, "exptype": "science"}, {"expname": "elsewhere.fits", "exptype": "background"}]
    association = tmp_path / "asn.json"
    association.write_text(json.dumps({"products": [{"name": "x", "members": members}]}))
    (fate,) = gpucal.run(association, tmp_path, references=made[1], stop_after="dq_init")
    assert not fate.error
    members[0]["expname"] = "gone_uncal.fits"
    association.write_text(json.dumps({"products": [{"name": "x", "members": members}]}))
    with pytest.raises(gpucal.errors.ConfigError, match=r"its member gone_uncal\.fits is not beside it"):
        gpucal.run(association, tmp_path)
    association.write_text("[1]")
    with pytest.raises(gpucal.errors.ConfigError, match="is not an association"):
        gpucal.run(association, tmp_path)


def test_products_can_have_other_names(made, tmp_path):
    (fate,) = gpucal.run(
        made[0], tmp_path, references=made[1], output_file="night.fits", stop_after="ipc",
        steps={"ipc": {"suffix": "mine"}, "dq_init": {"suffix": "first", "save_results": True}},
    )  # fmt: skip
    assert [path.name for path in fate.products] == ["night_first.fits", "night_mine.fits"]
    with pytest.raises(gpucal.errors.ConfigError, match="is one name, but there are 2 exposures"):
        gpucal.batch.calibrate([made[0], made[0]], Settings(values={"output_file": "night"}), None)
