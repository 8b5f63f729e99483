"""Official steps in gpucal's pipelines give what they give in their own."""

import functools
import logging
import re
import shlex

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import model, sample
from gpucal.device import choose, to_host
from gpucal.errors import ConfigError, GpucalError
from gpucal.official import installed
from gpucal.settings import Settings
from gpucal.step import STEPS, find
from tests.parity.conftest import ROOT
from tests.parity.test_products import NOT_YET

pytestmark = pytest.mark.slow

OWN = "tests.parity.stpipe_steps."
STAGE2 = ["jwst::assign_wcs", "jwst::flat_field", "jwst::photom", "jwst::resample"]
# Written by one of the two alone, or different by nature.
DIFFERENT = {"DATE", "CRDS_VER", "CRDS_CTX", "GPUCAL", "", "HISTORY", "COMMENT"} | NOT_YET


class Work:
    """An exposure, its references, and the products of the official pipelines."""

    def __init__(self, configuration, folder, official):
        self.folder, self.refs = folder, folder / "refs"
        sample.make_references(configuration, self.refs, ngroups=4)
        (self.uncal,) = sample.make_exposures(configuration, folder, ngroups=4)
        self.stem = self.uncal.name.removesuffix("_uncal.fits")
        (folder / "theirs").mkdir()
        official.silence()
        official.main(self.refs, str(folder / "theirs"), str(self.uncal))
        self.rate = self.theirs("rate")
        self.official = official
        pipe = self.pipeline("Image2Pipeline")
        pipe.output_dir, pipe.save_results = str(folder / "theirs"), True
        pipe.run(str(self.rate))

    def theirs(self, suffix):
        """The official product."""
        return self.folder / "theirs" / f"{self.stem}_{suffix}.fits"

    def pipeline(self, name, **settings):
        """The official pipeline, with these references."""
        return self.official.pipeline(name, self.official.references(self.refs), **settings)

    def run(self, source, output_dir, **settings):
        """Run gpucal; return {suffix: product}."""
        (fate,) = gpucal.run(source, output_dir, references=self.refs, **settings)
        assert not fate.error
        return {path.stem.removeprefix(f"{self.stem}_"): path for path in fate.products}


@pytest.fixture(scope="module")
def works(tmp_path_factory, official):
    """Make Work of a configuration, once."""
    return functools.cache(lambda name: Work(name, tmp_path_factory.mktemp(name), official))


@pytest.fixture(params=["nrc_sub160", "nis_sub64"])
def work(request, works):
    """Work of two instruments."""
    return works(request.param)


@pytest.fixture
def one(works):
    """Work of one instrument, for what does not depend on it."""
    return works("nis_sub64")


@pytest.fixture(autouse=True)
def _no_server(monkeypatch, official):
    """Gpucal asks no server; what scripts/official.py has put in place of the questions would hide it."""
    import crds

    def asked(*args, **kwargs):
        raise AssertionError("the reference system was asked")

    monkeypatch.setattr(crds, "getreferences", asked)
    logging.disable(logging.NOTSET)


def same(ours, theirs, headers=True):
    """Both products have the same pixels, to the last bit, and say the same."""
    with fits.open(ours) as mine, fits.open(theirs) as official:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in official]
        for a, b in zip(mine[:-1], official[:-1], strict=True):
            if headers:
                keywords = (set(a.header) | set(b.header)) - DIFFERENT
                assert {k: a.header.get(k) for k in keywords} == {k: b.header.get(k) for k in keywords}
            if a.is_image and a.data is not None:
                np.testing.assert_array_equal(a.data, b.data, err_msg=a.name)


# -- chains


def test_stages_1_and_2_in_one_run_give_the_official_products(work, tmp_path):
    products = work.run(work.uncal, tmp_path, pipeline="all", pipelines={"all": ["detector1", "image2"]})
    assert set(products) == {"cal", "i2d", "calints"}
    same(products["cal"], work.theirs("cal"))
    same(products["i2d"], work.theirs("i2d"))


def test_a_list_of_official_steps_gives_the_official_products(one, tmp_path):
    listed = {"pipeline": "mine", "pipelines": {"mine": STAGE2}}
    suffixes = {"jwst_photom": {"save_results": True, "suffix": "cal"}}
    products = one.run(one.rate, tmp_path, **listed, steps=suffixes)
    assert list(products) == ["cal", "i2d"]
    for suffix, path in products.items():
        same(path, one.theirs(suffix), headers=False)  # no association is noted


def test_the_wcs_is_the_official_one(one, tmp_path):
    from stdatamodels.jwst import datamodels

    product = one.run(one.rate, tmp_path, pipeline="image2")["cal"]
    with datamodels.open(str(product)) as mine, datamodels.open(str(one.theirs("cal"))) as official:
        assert mine.meta.wcs(10, 20) == official.meta.wcs(10, 20)
        assert mine.meta.wcs.available_frames == official.meta.wcs.available_frames


@pytest.mark.parametrize("ending", ["fits", "asdf"])
def test_a_chain_goes_on_where_it_stopped(ending, one, tmp_path):
    listed = {"pipeline": "mine", "pipelines": {"mine": STAGE2}}
    first = one.run(one.rate, tmp_path, **listed, stop_after="jwst::flat_field", output_ext=ending)
    assert list(first) == ["jwst_flat_field"]
    (last,) = one.run(first["jwst_flat_field"], tmp_path, **listed, start_after="jwst_flat_field").values()
    same(last, one.theirs("i2d"), headers=False)


def test_in_memory_products_lie_beside_the_result(one):
    cal = gpucal.pipeline("image2", references=one.refs)(one.rate)
    assert cal.suffix == "cal"
    np.testing.assert_array_equal(to_host(cal.data), fits.getdata(one.theirs("cal")))
    np.testing.assert_array_equal(to_host(cal.byproducts["i2d"].data), fits.getdata(one.theirs("i2d")))


def test_an_official_model_is_taken_and_left_as_it_is(one):
    from stdatamodels.jwst import datamodels

    with datamodels.open(str(one.theirs("cal"))) as cal:
        before = cal.data.copy()
        undone = find("jwst::flat_field")(inverse=True, override_flat=str(one.refs / "flat.fits"))(cal)
        np.testing.assert_array_equal(cal.data, before)
        assert cal.meta.wcs is not None
        assert not np.array_equal(to_host(undone.data), before, equal_nan=True)
        assert undone.meta.wcs(3, 4) == cal.meta.wcs(3, 4)


def test_an_official_pipeline_is_a_step(one, tmp_path):
    products = one.run(one.rate, tmp_path, pipeline="jwst::Image2Pipeline")
    assert set(products) == {"cal", "i2d"}
    for suffix, path in products.items():
        same(path, one.theirs(suffix))


def test_steps_of_an_official_pipeline_have_parameters(one, tmp_path):
    given = {name: {"skip": True} for name in ("assign_wcs", "flat_field", "resample")}
    settings = {"pipeline": "jwst::calwebb_image2", "steps": {"jwst_calwebb_image2": {"steps": given}}}
    (product,) = one.run(one.rate, tmp_path, **settings).values()
    assert [fits.getval(product, word) for word in ("S_WCS", "S_FLAT", "S_PHOTOM")] == [
        "SKIPPED",
        "SKIPPED",
        "COMPLETE",
    ]


def test_the_official_first_stage_is_a_step(one, tmp_path):
    products = one.run(one.uncal, tmp_path, pipeline="jwst::calwebb_detector1")
    assert set(products) == {"rate", "rateints"}
    for suffix, path in products.items():
        same(path, one.theirs(suffix))


def test_spectra_are_left_to_the_official_pipeline():
    (step,) = Settings(["pipeline=spec2"]).pipeline("nirspec").steps
    assert step.official.__name__ == "Spec2Pipeline"


# -- single steps


def test_theirs_in_the_place_of_ours_changes_nothing(one, tmp_path):
    names = ["dq_init", "superbias", "jump", "ramp_fit", "gain_scale"]
    products = one.run(one.uncal, tmp_path, replace={name: f"jwst::{name}" for name in names})
    assert list(products) == ["rate", "rateints"]
    for suffix, path in products.items():
        same(path, one.theirs(suffix), headers=False)
        assert fits.getval(path, "S_RAMP") == "COMPLETE"


def test_parameters_are_passed_on(one, tmp_path):
    strict = {"rejection_threshold": 2.0, "flag_4_neighbors": False}
    ours = one.run(one.uncal, tmp_path / "ours", steps={"jump": strict})
    theirs = one.run(one.uncal, tmp_path / "theirs", replace={"jump": "jwst::jump"}, steps={"jwst_jump": strict})
    same(ours["rate"], theirs["rate"], headers=False)
    assert (fits.getdata(ours["rate"]) != fits.getdata(one.rate)).any()


def test_parameters_are_written_on_the_command_line_as_usual():
    settings = Settings(["insert_after.gain_scale=[jwst::assign_wcs,jwst::photom]", "steps.jwst_photom.inverse=true"])
    *_, wcs, photom = settings.pipeline("nircam").steps
    assert (wcs.alias, wcs.sip_approx, photom.inverse) == ("jwst_assign_wcs", True, True)


@pytest.mark.parametrize("how", ["library", "override", "step"])
def test_references_are_those_gpucal_chooses(how, one, tmp_path):
    flat = str(one.refs / "flat.fits")
    given = {
        "library": {"references": one.refs},
        "override": {"override": {"flat": flat}},
        "step": {"steps": {"jwst_flat_field": {"override_flat": flat}}},
    }[how]
    (fate,) = gpucal.run(one.rate, tmp_path, pipeline="jwst::flat_field", **given)
    header = fits.getheader(fate.products[0])
    assert (header["S_FLAT"], header["R_FLAT"], header["R_FFLAT"]) == ("COMPLETE", flat, "N/A")
    assert fate.products[0].name == f"{one.stem}_jwst_flat_field.fits"
    assert [outcome[:2] for outcome in fate.outcomes] == [("jwst_flat_field", "COMPLETE")]


def test_no_reference_is_a_reason_to_skip(one, tmp_path):
    (fate,) = gpucal.run(one.rate, tmp_path, pipeline="jwst::photom", override={"photom": "N/A"})
    assert [outcome[:3] for outcome in fate.outcomes] == [("jwst_photom", "SKIPPED", "No PHOTOM reference file found")]
    header = fits.getheader(fate.products[0])
    assert (header["S_PHOTOM"], header["R_PHOTOM"]) == ("SKIPPED", "N/A")
    np.testing.assert_array_equal(fits.getdata(fate.products[0]), fits.getdata(one.rate))


@pytest.mark.parametrize(("name", "keyword"), [("dark_current", "S_DARK"), ("linearity", "S_LINEAR")])
def test_a_skipped_step_is_noted(name, keyword, one, tmp_path):
    settings = {"replace": {name: f"jwst::{name}"}, "steps": {f"jwst_{name}": {"skip": True}}, "stop_after": "jump"}
    products = one.run(one.uncal, tmp_path, **settings)
    assert fits.getval(products["jump"], keyword) == "SKIPPED"


def test_ours_and_theirs_can_be_saved_side_by_side(one, tmp_path):
    products = one.run(one.uncal, tmp_path, insert_after={"dq_init": "jwst::dq_init"}, save_all=True, stop_after="ipc")
    assert {"dq_init", "jwst_dq_init"} <= set(products)
    assert model.names.stem(products["jwst_dq_init"]) == one.stem


def test_hooks_are_official_steps_too(one, tmp_path):
    settings = {"steps": {"jump": {"post_hooks": ["jwst::superbias"]}}, "stop_after": "jump"}
    products = one.run(one.uncal, tmp_path, **settings)
    plain = one.run(one.uncal, tmp_path / "plain", stop_after="jump")
    assert not np.array_equal(fits.getdata(products["jump"]), fits.getdata(plain["jump"]))


def test_what_was_done_by_whom_is_in_the_log(one, tmp_path, caplog):
    with caplog.at_level("INFO", logger="gpucal"):
        one.run(one.rate, tmp_path, pipeline="jwst::flat_field")
    assert f"{one.rate}: jwst_flat_field by jwst 3.0.0" in caplog.text


# -- models


def test_arrays_are_lent_and_not_copied(one):
    from gpucal.model.official import adopt, lend

    rate = model.open(one.rate, choose("numpy"))
    tree = lend(rate)
    names = list(rate.held)
    assert all(np.shares_memory(getattr(tree, name), getattr(rate, name)) for name in names)
    back = adopt(tree, one.rate, choose("numpy"))
    assert all(np.shares_memory(getattr(back, name), getattr(rate, name)) for name in names)
    assert not tree.hasattr("data")


def test_arrays_come_from_the_device_and_go_back(one, monkeypatch):
    from tests import fake_cupy

    expected = gpucal.pipeline("image2", references=one.refs, device="numpy")(one.rate)
    fake_cupy.install(monkeypatch)
    result = gpucal.pipeline("image2", references=one.refs, device="cuda")(one.rate)
    assert hasattr(result.data, "__cuda_array_interface__")
    for name in result.held:
        np.testing.assert_array_equal(to_host(getattr(result, name)), getattr(expected, name), err_msg=name)
    np.testing.assert_array_equal(to_host(result.byproducts["i2d"].data), expected.byproducts["i2d"].data)


def test_other_models_pass_through_as_they_are(one, tmp_path):
    from stdatamodels.jwst import datamodels

    chain = ["jwst::assign_wcs", f"{OWN}CutSlits", "jwst::srctype"]
    products = one.run(
        one.rate, tmp_path, pipeline="slits", pipelines={"slits": chain}, steps={"tests_cut_slits": {"count": 3}}
    )
    (path,) = products.values()
    assert path.name == f"{one.stem}_srctype.fits"
    with datamodels.open(str(path)) as slits:
        assert type(slits).__name__ == "MultiSlitModel"
        assert len(slits.slits) == 3
        assert slits.meta.cal_step.assign_wcs == "COMPLETE"
    assert fits.getval(path, "GPUCAL")
    again = one.run(path, tmp_path / "again", pipeline="jwst::srctype", output_ext="asdf")
    assert list(again) == ["srctype"]


def test_products_that_a_step_saves_are_products(one, tmp_path):
    products = one.run(one.rate, tmp_path, pipeline=f"{OWN}CutSlits", steps={"tests_cut_slits": {"count": 6}})
    assert sorted(products) == ["cut_slits", "many"]


def test_a_list_of_models_becomes_a_list_of_products(one, tmp_path):
    products = one.run(one.rate, tmp_path, pipeline=f"{OWN}SeveralImages")
    assert sorted(products) == ["0_several_images", "1_several_images"]
    assert fits.getdata(products["1_several_images"]).mean() == 2
    result = gpucal.pipeline(f"{OWN}SeveralImages")(one.rate)
    result.copy().save(tmp_path / "x_cal.fits")
    assert (tmp_path / "x_0_cal.fits").exists()


def test_our_steps_refuse_other_models_in_one_line(one, tmp_path):
    (fate,) = gpucal.run(
        one.rate, tmp_path, pipeline="slits", pipelines={"slits": [f"{OWN}CutSlits", "gain_scale"]}, references=one.refs
    )
    assert fate.error == (f"gain_scale: {one.rate}: is a MultiSlitModel now, with which only official steps can go on")


# -- mistakes


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pipeline=jwst::asign_wcs"], "jwst::asign_wcs: no such step (did you mean jwst::assign_wcs?)"),
        (["insert_after.jump=nowhere::jump"], "nowhere::jump: package nowhere offers no steps to stpipe"),
        (["steps.jwst_jump.rejecton_threshold=5"], "no such parameter (did you mean rejection_threshold?)"),
        (
            ["steps.jwst_jump.rejection_threshold=x"],
            "steps.jwst_jump: 'rejection_threshold': the value \"x\" is of the",
        ),
        (["steps.jwst_assign_wcs.sip_degree=9"], "steps.jwst_assign_wcs: 'sip_degree': the value \"9\" is too big"),
        (["steps.jwst_JumpStep.skip=true"], "steps.jwst_JumpStep: is written steps.jwst_jump"),
        (["steps.jwst_calwebb_image2.steps.flatfield.skip=true"], "steps.jwst_calwebb_image2: Extra value 'flatfield'"),
        (["override.fla=x.fits"], "override.fla: no such setting (did you mean override.flat?)"),
    ],
)
def test_a_mistake_is_one_line(overrides, message):
    with pytest.raises(ConfigError) as caught:
        Settings(overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pipeline": "jwst::resample"}, "jwst_resample: {}: KeyError: 'meta.wcsinfo.s_region'"),
        ({"pipeline": "jwst::ramp_fit"}, "jwst_ramp_fit: {}: "),
        (
            {
                "pipeline": "jwst::flat_field",
                "steps": {"jwst_flat_field": {"override_flat": "/nowhere.fits"}},
                "reference": {"on_missing": "skip_exposure"},
            },
            "{}: flat: override.flat=/nowhere.fits: no such file",
        ),
    ],
)
def test_a_failure_is_one_line_and_ends_one_exposure(settings, message, one, tmp_path):
    (fate,) = gpucal.run(one.rate, tmp_path, **settings)
    assert fate.error.startswith(message.format(one.rate))
    assert "\n" not in fate.error
    assert not fate.products


def test_image2_wants_rates(one, tmp_path):
    (fate,) = gpucal.run(one.uncal, tmp_path, pipeline="image2")
    assert fate.error == f"{one.uncal}: image2 goes on with rates; pipelines.NAME=[detector1,image2] makes them first"


@pytest.mark.parametrize("name", ["jwst::assign_wcs", "image2", "jwst.step.AssignWcsStep"])
def test_without_the_official_pipeline_one_line_says_what_to_install(name, one, tmp_path, monkeypatch):
    import sys

    installed._steps.cache_clear()
    for module in ("jwst", "jwst.step", "stpipe", "stpipe.entry_points"):
        monkeypatch.setitem(sys.modules, module, None)
    with monkeypatch.context() as context:
        for alias in [alias for alias, step in STEPS.items() if hasattr(step, "official")]:
            context.delitem(STEPS, alias)
        with pytest.raises(GpucalError, match=r"is not installed: pip install 'gpucal\[parity\]'"):
            gpucal.pipeline(name)(one.rate)
    installed._steps.cache_clear()


# -- the document


DOCUMENT = (ROOT / "docs" / "stpipe_both_ways.md").read_text()


@pytest.mark.parametrize("line", re.findall(r"^gpucal (.*?)(?:  +#.*)?$", DOCUMENT, re.M))
def test_the_documents_commands_are_understood(line, official):
    kept = [word for word in shlex.split(line) if not word.startswith("reference.path=")]
    assert Settings(kept).default_pipeline.steps or "pipeline=image2" in line


@pytest.mark.parametrize("line", re.findall(r"^strun (.*)$", DOCUMENT, re.M))
def test_the_documents_strun_commands_are_understood(line, official):
    from stpipe import _cmdline

    name, *arguments = shlex.split(line)
    step_class, *_ = _cmdline._get_config_and_class(name)
    parser = _cmdline._build_arg_parser_from_spec(
        step_class.load_spec_file(), step_class, parent=_cmdline._build_parent_arg_parser()
    )
    assert len(parser.parse_args([name, *arguments]).args) == 1


def test_the_documents_programs_run(one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "REFS").symlink_to(one.refs)
    (tmp_path / "x_rate.fits").symlink_to(one.rate)
    (ramp,) = one.run(one.uncal, tmp_path, stop_after="dark_current").values()
    ramp.rename("x_dark_current.fits")
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.M | re.S)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert names["ramp"].meta.cal_step.jump == "COMPLETE"
    assert {"x_cal.fits", "x_i2d.fits"} <= {path.name for path in tmp_path.iterdir()}
