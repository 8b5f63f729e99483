"""What a run writes: names, keywords, and the same bytes however it runs."""

import logging

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal.sample import make_exposures, make_references


@pytest.fixture(scope="module")
def products(made, tmp_path_factory):
    (fate,) = gpucal.run(made[0], tmp_path_factory.mktemp("out"), references=made[1])
    return fate.products


def test_products_are_named_after_the_exposure(products, made):
    stem = made[0].name.removesuffix("_uncal.fits")
    assert [path.name for path in products] == [f"{stem}_rate.fits", f"{stem}_rateints.fits"]


def test_every_step_and_every_reference_is_in_the_header(products, made):
    header = fits.getheader(products[0])
    complete = "S_DQINIT S_SATURA S_IPC S_SUPERB S_REFPIX S_LINEAR S_DARK S_JUMP S_RAMP".split()
    assert {header[word] for word in complete} == {"COMPLETE"}
    assert {header[word] for word in ("S_GRPSCL", "S_GANSCL")} == {"SKIPPED"}
    used = {"R_MASK": "mask", "R_SATURA": "saturation", "R_SUPERB": "superbias", "R_LINEAR": "linearity"}
    used |= {"R_DARK": "dark", "R_GAIN": "gain", "R_READNO": "readnoise", "R_IPC": "ipc"}
    assert {word: header[word] for word in used} == {w: str(made[1] / f"{t}.fits") for w, t in used.items()}
    assert header["CRDS_CTX"] == "N/A"


def test_gpucal_names_itself_and_does_not_pose_as_the_official_pipeline(products):
    header = fits.getheader(products[0])
    assert header["GPUCAL"] == gpucal.__version__
    assert "CAL_VER" not in header


def test_the_data_models_open_the_products_without_reading_headers_again(products, caplog):
    from stdatamodels.jwst import datamodels

    for path, kind in zip(products, ("ImageModel", "CubeModel"), strict=True):
        with caplog.at_level(logging.DEBUG, "stdatamodels"), datamodels.open(path) as model:
            assert type(model).__name__ == kind
            assert model.meta.cal_step.ramp_fit == "COMPLETE"
            assert model.meta.bunit_data == "DN/s"
            assert np.array_equal(model.data, fits.getdata(path), equal_nan=True)
    assert "FITS hash matches" in caplog.text


def test_the_cube_keeps_the_table_of_integration_times(products):
    with fits.open(products[1]) as hdus:
        assert len(hdus["INT_TIMES"].data) == 1


def without_date(path):
    """The bytes of a product but for the date in its header and in its ASDF tree."""
    with fits.open(path) as hdus:
        del hdus[0].header["DATE"]
        return [
            (str(hdu.header), None if hdu.data is None else hdu.data.tobytes()) for hdu in hdus if hdu.name != "ASDF"
        ]


@pytest.mark.parametrize("runner", ["inline", "stream"])
@pytest.mark.parametrize("device", ["host", "numpy"])
def test_every_runner_and_device_writes_the_same(runner, device, products, made, tmp_path):
    (fate,) = gpucal.run(
        made[0], tmp_path, references=made[1], device=device, runner={"kind": runner, "durable": False}
    )
    for one, other in zip(fate.products, products, strict=True):
        assert without_date(one) == without_date(other)


def test_asdf_products_hold_the_same(products, made, tmp_path):
    from gpucal import model

    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], output_ext="asdf")
    assert [path.suffix for path in fate.products] == [".asdf", ".asdf"]
    one, other = model.open(fate.products[0]), model.open(products[0])
    for name in one.held:
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
    assert one.meta.cal_step.jump == other.meta.cal_step.jump == "COMPLETE"


def test_the_result_of_a_step_is_saved_under_its_name(made, tmp_path):
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], steps={"linearity": {"save_results": True}})
    assert fate.products[0].name.endswith("_linearity.fits")
    with fits.open(fate.products[0]) as hdus:
        assert hdus["SCI"].data.shape == (1, 4, 160, 160)
        assert hdus["GROUPDQ"].data.dtype == np.uint8
        assert hdus[0].header["S_LINEAR"] == "COMPLETE"
        assert "S_JUMP" not in hdus[0].header


@pytest.mark.parametrize(("algorithm", "suffix"), [("OLS_C", "fitopt"), ("LIKELY", "likely_chisq")])
def test_optional_results_are_written_beside_the_rates(made, tmp_path, algorithm, suffix):
    parameters = {"save_opt": True, "algorithm": algorithm}
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], steps={"ramp_fit": parameters})
    stem = made[0].name.removesuffix("_uncal.fits")
    assert [path.name for path in fate.products] == [f"{stem}_{s}.fits" for s in ("rate", "rateints", suffix)]
    assert all(path.exists() for path in fate.products)
    parameters["opt_name"] = "elsewhere/another_rate.fits"
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], steps={"ramp_fit": parameters})
    assert fate.products[2] == tmp_path / f"another_{suffix}.fits"


def test_a_pipeline_that_ends_before_the_fit_writes_a_ramp(made, tmp_path):
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], pipeline="short", pipelines={"short": ["dq_init"]})
    assert [path.name for path in fate.products] == [made[0].name.replace("_uncal", "_ramp")]


def test_exposures_of_different_instruments_share_a_run(made, tmp_path):
    folder = tmp_path / "refs"
    make_references("mir_sub64", folder / "miri", ngroups=5)
    (miri,) = make_exposures("mir_sub64", tmp_path / "data", ngroups=5)
    for path in made[1].iterdir():
        (folder / path.name).symlink_to(path)
    fates = gpucal.run([made[0], miri], tmp_path / "out", references=folder)
    assert [fate.error for fate in fates] == ["", ""]
    steps = [[outcome.step for outcome in fate.outcomes] for fate in fates]
    assert "superbias" in steps[0]
    assert "lastframe" in steps[1]
    assert "superbias" not in steps[1]


def test_memory_does_not_grow_with_the_batch(made, tmp_path):
    """At any time at most one exposure waits, one is calibrated and one is written."""
    from gpucal.batch import runner

    alive, most = [0], [0]

    class Counted(runner._Job):
        def __init__(self, source):
            super().__init__(source)
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self):
            alive[0] -= 1

    exposures = make_exposures("nrc_sub160", tmp_path, ngroups=2, exposures=8)
    original, runner._Job = runner._Job, Counted
    try:
        fates = gpucal.run(exposures, tmp_path / "out", references=made[1])
    finally:
        runner._Job = original
    assert [fate.error for fate in fates] == [""] * 8
    assert most[0] <= 4  # one of them only just begun


def test_what_a_step_was_asked_to_keep_lies_beside_the_products(tmp_path):
    references = make_references("mir_sub64", tmp_path / "refs", ngroups=4)
    (exposure,) = make_exposures("mir_sub64", tmp_path, ngroups=4)
    wanted = {"skip": False, "onthefly_corr_freq": [390.625], "save_intermediate_results": True}
    (fate,) = gpucal.run(exposure, tmp_path / "out", references=references["mask"].parent, steps={"emicorr": wanted})
    stem = exposure.name.removesuffix("_uncal.fits")
    assert [path.name for path in fate.products] == [
        f"{stem}_rate.fits", f"{stem}_rateints.fits", f"{stem}_emi_ref_waves.asdf",
    ]  # fmt: skip
    assert all(path.is_file() for path in fate.products)
    assert fits.getheader(fate.products[0])["S_MIREMI"] == "COMPLETE"
    assert "R_MIREMI" not in fits.getheader(fate.products[0])


def test_byproducts_of_a_step_are_written_beside(made, tmp_path):
    settings = {"skip": False, "save_mask": True, "save_noise": True, "save_background": True, "single_mask": False}
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], steps={"clean_flicker_noise": settings})
    assert fate.error is None or not fate.error
    written = {path.name.removesuffix(".fits").partition("_nrcb1_")[2]: path for path in fate.products}
    assert written.keys() == {"rate", "rateints", "mask", "flicker_noise", "flicker_bkg"}
    shapes = {suffix: fits.getdata(written[suffix]).shape for suffix in ("mask", "flicker_noise", "flicker_bkg")}
    assert shapes == {"mask": (1, 160, 160), "flicker_noise": (1, 4, 160, 160), "flicker_bkg": (1, 4, 160, 160)}
    assert fits.getheader(written["rate"])["S_CLNFNS"] == "COMPLETE"
