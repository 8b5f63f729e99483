"""experiment=FILE takes settings from a YAML file or from a parameter file of the official pipeline."""

import asdf
import pytest

import gpucal
from gpucal.errors import ConfigError
from gpucal.export import write_stpipe
from gpucal.settings import Settings
from tests.composition.test_modes import THRESHOLD, value

CFG = """
name = "Detector1Pipeline"
class = "jwst.pipeline.Detector1Pipeline"
save_calibrated_ramp = True
[steps]
    [[jump]]
    rejection_threshold = 5.0
    [[ipc]]
    skip = True
"""


@pytest.fixture
def files(tmp_path):
    """{kind: a file that sets the threshold to 5} in every form."""
    step = {"class": "jwst.jump.jump_step.JumpStep", "name": "jump", "parameters": {"rejection_threshold": 5.0}}
    whole = {"class": "jwst.pipeline.calwebb_detector1.Detector1Pipeline", "name": "Detector1Pipeline"}
    asdf.AsdfFile(step).write_to(tmp_path / "step.asdf")
    asdf.AsdfFile({**whole, "parameters": {}, "steps": [step]}).write_to(tmp_path / "pipeline.asdf")
    (tmp_path / "pipeline.cfg").write_text(CFG)
    (tmp_path / "step.cfg").write_text('name = "jump"\nclass = "jwst.jump.JumpStep"\nrejection_threshold = 5.0\n')
    (tmp_path / "mine.yaml").write_text("steps:\n  jump:\n    rejection_threshold: 5.0\n")
    return {path.name: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["step.asdf", "pipeline.asdf", "step.cfg", "pipeline.cfg", "mine.yaml"])
def test_files_of_every_kind_set_the_parameters(name, files):
    path = files[name]
    assert value(Settings([f"experiment={path}"]), THRESHOLD) == (5, f"experiment={path}")
    assert value(Settings([f"experiment={path}"]), THRESHOLD, "miri") == (5, f"experiment={path}")
    assert value(Settings([f"experiment={path}", f"{THRESHOLD}=6"]), THRESHOLD, "miri") == (6, "command line")
    assert value(Settings(values={"experiment": str(path)}), THRESHOLD)[0] == 5


def test_parameters_of_a_pipeline_are_settings_of_the_run(files):
    settings = Settings([f"experiment={files['pipeline.cfg']}"])
    assert settings.run.save_calibrated_ramp is True
    assert settings.run.steps.ipc.skip is True


def test_what_is_exported_comes_back(tmp_path):
    asked = ["steps.jump.rejection_threshold=6.5", "steps.refpix.odd_even_rows=false", "steps.ipc.skip=true"]
    path = write_stpipe(Settings(asked).pipeline("nircam"), tmp_path)
    back = Settings([f"experiment={path}"])
    assert back.pipeline("nircam").steps == Settings(asked).pipeline("nircam").steps


def test_a_run_takes_them(files, made, tmp_path):
    (fate,) = gpucal.run(
        made[0], tmp_path / "out", references=made[1], experiment=files["pipeline.cfg"], stop_after="jump"
    )
    assert not fate.error
    steps = {outcome.step: outcome for outcome in fate.outcomes}
    assert steps["ipc"].status == "SKIPPED"
    assert steps["jump"].by.rejection_threshold == 5
    again = Settings(values={"from": str(fate.products[0])})
    assert again.run.steps.jump.rejection_threshold == 5


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("none.yaml", None, "none.yaml: No such file or directory"),
        ("none.asdf", None, "none.asdf: No such file or directory"),
        ("broken.yaml", "a: [", "broken.yaml: is no YAML file of settings"),
        ("list.yaml", "- jump", "list.yaml: is no YAML file of settings"),
        ("broken.asdf", "#ASDF 1.0.0\nnonsense", "broken.asdf: is not a parameter file"),
        ("broken.cfg", "[steps\n", "broken.cfg: is not a parameter file"),
        ("typo.yaml", "stepss:\n  jump:\n    skip: true", r"stepss.jump.skip: no such setting \(did you mean steps"),
        ("typo.yaml", "steps:\n  jmp:\n    skip: true", r"steps.jmp: no such setting \(did you mean steps.jump\?\)"),
        ("typo.yaml", "steps:\n  jump:\n    skp: true", "skp"),
        ("type.yaml", "steps:\n  jump:\n    skip: 5", "steps.jump.skip"),
        ("defaults.yaml", "defaults: [base]", "needs --config-dir"),
    ],
)
def test_a_bad_file_is_one_line(name, text, line, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=line) as error:
        Settings([f"experiment={tmp_path / name}"])
    assert "\n" not in str(error.value)
