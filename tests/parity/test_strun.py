"""Gpucal's steps run as steps of the official kind, by strun and from Python, and give gpucal's own results."""

import functools
import logging
import subprocess
import sys

import asdf
import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import sample
from gpucal.steps import STEPS

pytestmark = pytest.mark.slow

DIFFERENT = {"DATE", "FILENAME", "", "HISTORY", "COMMENT"}
STRUN = [sys.executable, "-W", "ignore", "-c", "from stpipe._cli.strun import main; main()"]
OWN = {alias: step for alias, step in sorted(STEPS.items()) if step.__module__.startswith("gpucal.steps.")}


@pytest.fixture(scope="module")
def work(tmp_path_factory, official):
    """(A raw exposure, a later one of it, {type: reference})."""
    folder = tmp_path_factory.mktemp("strun")
    files = sample.make_references("nis_sub64", folder / "refs", ngroups=4)
    (uncal,) = sample.make_exposures("nis_sub64", folder, ngroups=4)
    (fate,) = gpucal.run(uncal, folder, references=folder / "refs", stop_after="dark_current")
    return uncal, fate.products[0], files


@pytest.fixture(scope="module")
def own(work, tmp_path_factory):
    """Run gpucal by itself, once for each set of settings; return {suffix: product}."""

    @functools.cache
    def run(source, settings):
        folder = tmp_path_factory.mktemp("own")
        (fate,) = gpucal.run(source, folder, references=work[0].parent / "refs", **dict(settings))
        assert not fate.error
        return {path.stem.rpartition("_")[2]: path for path in fate.products}

    return run


@pytest.fixture(autouse=True)
def _log_is_on():
    logging.disable(logging.NOTSET)  # other tests silence the official packages


def overrides(files, *aliases):
    """Arguments that give every reference of some steps, for strun; of one step, or of a pipeline's."""
    from gpucal.stpipe import Detector1Pipeline

    given = []
    for alias in aliases or Detector1Pipeline.step_defs:
        before = "" if aliases else f"steps.{alias}."
        given += [f"--{before}override_{reftype}={files.get(reftype, 'N/A')}" for reftype in OWN[alias].references]
    return given


def strun(*arguments):
    """Run a step as strun does, in this process."""
    from stpipe import Step

    return Step.from_cmdline([str(argument) for argument in arguments])


def same(ours, theirs):
    """Both files hold the same, but for their names."""
    with fits.open(ours) as mine, fits.open(theirs) as other:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in other]
        for a, b in zip(mine[:-1], other[:-1], strict=True):
            keywords = (set(a.header) | set(b.header)) - DIFFERENT
            assert {k: a.header.get(k) for k in keywords} == {k: b.header.get(k) for k in keywords}
            if a.is_image and a.data is not None:
                np.testing.assert_array_equal(a.data, b.data, err_msg=a.name)


def test_a_step_gives_gpucals_result(work, own, tmp_path):
    _, dark, files = work
    arguments = ("--rejection_threshold=2.0", "--flag_4_neighbors=false", *overrides(files, "jump"))
    strun("gpucal.stpipe.JumpStep", dark, f"--output_dir={tmp_path}", *arguments)
    (product,) = tmp_path.iterdir()
    assert product.name == dark.name.replace("_dark_current", "_jump")
    (fate,) = gpucal.run(
        dark, tmp_path / "own", references=work[0].parent / "refs", pipeline="jump",
        steps={"jump": {"rejection_threshold": 2.0, "flag_4_neighbors": False}},
    )  # fmt: skip
    same(product, fate.products[0])


def test_the_pipeline_gives_gpucals_products(work, own, tmp_path):
    uncal, _, files = work
    strun("gpucal.stpipe.Detector1Pipeline", uncal, f"--output_dir={tmp_path}", *overrides(files))
    expected = own(uncal, ())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in expected.values())
    for path in expected.values():
        same(tmp_path / path.name, path)


def test_steps_of_the_pipeline_have_parameters(work, own, tmp_path):
    uncal, _, files = work
    strun(
        "gpucal.stpipe.Detector1Pipeline", uncal, f"--output_dir={tmp_path}", *overrides(files),
        "--steps.jump.skip=true", "--steps.dq_init.save_results=true", "--save_calibrated_ramp=true",
        "--steps.linearity.post_hooks=tests.parity.stpipe_steps.double,",
    )  # fmt: skip
    found = {path.stem.rpartition("_")[2]: path for path in tmp_path.iterdir()}
    assert sorted(found) == ["init", "ramp", "rate", "rateints"]
    assert fits.getval(found["rate"], "S_JUMP") == "SKIPPED"
    plain = own(uncal, (("save_calibrated_ramp", True),))
    assert np.nanmedian(fits.getdata(found["ramp"]) / fits.getdata(plain["ramp"])) == pytest.approx(2, abs=0.2)


def test_it_is_a_command(work, own, tmp_path):
    uncal, dark, files = work
    arguments = [dark, *overrides(files, "jump"), "--output_file=mine"]
    done = subprocess.run([*STRUN, "gpucal.stpipe.JumpStep", *map(str, arguments)], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    (fate,) = gpucal.run(dark, tmp_path / "own", references=uncal.parent / "refs", pipeline="jump")
    same(tmp_path / "mine_jump.fits", fate.products[0])


def test_a_failure_is_one_line_and_an_exit_status(work, capsys, monkeypatch):
    from stpipe._cli.strun import main

    _, dark, files = work
    given = [*overrides(files, "jump"), "--override_gain=N/A"]
    monkeypatch.setattr(sys, "argv", ["strun", "gpucal.stpipe.JumpStep", str(dark), *given])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    printed = capsys.readouterr()
    assert "ERROR RUNNING STEP 'JumpStep':" in printed.out
    assert "jump: no gain reference for" in " ".join(printed.out.split())
    assert "Traceback" not in printed.out + printed.err


def test_a_step_takes_models_and_leaves_them(work):
    from stdatamodels.jwst import datamodels

    from gpucal.stpipe import JumpStep

    _, dark, files = work
    with datamodels.open(str(dark)) as ramp:
        step = JumpStep(override_gain=str(files["gain"]), override_readnoise=str(files["readnoise"]), device="numpy")
        result = step.run(ramp)
        assert (type(result).__name__, result.meta.cal_step.jump) == ("RampModel", "COMPLETE")
        assert ramp.meta.cal_step.jump is None
        assert (result.groupdq != ramp.groupdq).any()


def test_rate_and_rateints_come_as_from_the_official_fit(work):
    from gpucal.stpipe import RampFitStep

    _, dark, files = work
    step = RampFitStep(override_gain=str(files["gain"]), override_readnoise=str(files["readnoise"]))
    rate, rateints = step.run(str(dark))
    assert (type(rate).__name__, type(rateints).__name__) == ("ImageModel", "CubeModel")


@pytest.mark.parametrize("alias", OWN)
def test_every_step_is_offered_with_its_parameters(alias, official):
    from gpucal import params, stpipe

    ours = OWN[alias]
    offered = getattr(stpipe, f"{ours.__name__}Step")
    step = offered()
    spec = offered.load_spec_file()
    for name, default in params.defaults(ours).items():
        if name.startswith("override_"):
            assert name in spec
        elif name not in ("suffix", "pre_hooks", "post_hooks"):
            assert getattr(step, name) == (list(default) if isinstance(default, tuple) else default)
    assert offered.reference_file_types == list(ours.references)
    assert step.step(skip=ours().skip) == ours()


def test_help_is_the_parameters_comments(official):
    from gpucal.stpipe import JumpStep

    assert JumpStep.load_spec_file().inline_comments["rejection_threshold"] == "# sigma"


def test_official_capitals_are_understood(official):
    from gpucal import stpipe

    assert stpipe.DQInitStep is stpipe.DqInitStep
    with pytest.raises(AttributeError, match=r"did you mean JumpStep\?"):
        _ = stpipe.JmpStep


def test_what_gpucal_lacks_is_left_out_of_the_systems_parameters(official, tmp_path, monkeypatch, caplog):
    import stpipe.crds_client
    from jwst.pipeline import Detector1Pipeline

    from gpucal import stpipe as ours

    theirs = Detector1Pipeline(steps={"jump": {"rejection_threshold": 7.0}})
    theirs.export_config(tmp_path / "theirs.asdf")
    with asdf.open(tmp_path / "theirs.asdf") as file:
        (jump,) = [step for step in file["steps"] if step["name"] == "jump"]
        jump["parameters"]["novelty"] = 1
        file.write_to(tmp_path / "pars.asdf")

    def reference(parameters, reftype, observatory):
        return str(tmp_path / "pars.asdf") if reftype == "pars-detector1pipeline" else "N/A"

    monkeypatch.setattr(stpipe.crds_client, "get_reference_file", reference)
    with caplog.at_level("WARNING", logger="gpucal"):
        config = ours.Detector1Pipeline._get_config_from_parameters({}, "jwst")
    step = ours.Detector1Pipeline.from_config_section(config)
    assert step.jump.rejection_threshold == 7
    assert "Detector1Pipeline.steps.jump: gpucal has no parameter novelty" in caplog.text


def test_nothing_official_is_imported_before_it_is_needed():
    check = "import sys, gpucal, gpucal.api, gpucal.stpipe; sys.exit(any(m in sys.modules for m in ('jwst', 'stpipe')))"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", check]).returncode == 0


def test_without_the_official_pipeline_one_line_says_what_to_install(monkeypatch):
    from gpucal import stpipe
    from gpucal.errors import ConfigError

    stpipe._bases.cache_clear()
    monkeypatch.setitem(sys.modules, "jwst.stpipe", None)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'gpucal\[parity\]'"):
        stpipe._bases()
