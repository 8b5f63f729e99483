"""The command line: what it says, and its exit codes."""

import json
import os
import re
from pathlib import Path

import pytest
from astropy.io import fits


def test_a_batch_ends_with_a_table_and_exit_code_0(gpucal_command, made, tmp_path):
    code, output = gpucal_command(f"input={made[0]}", f"reference.path={made[1]}", "output_dir=here")
    assert code == 0
    assert "gpucal 0.1.0 on host" in output.splitlines()[0]
    assert "1 of 1 exposures calibrated" in output.splitlines()[-1]
    assert "rate, rateints" in output
    assert len(list((tmp_path / "here").glob("*.fits"))) == 2


def test_exit_code_1_when_some_fail_and_the_rest_is_done(gpucal_command, made, exposure, tmp_path):
    bad = Path(exposure).rename(tmp_path / "bad_uncal.fits")
    bad.write_bytes(bad.read_bytes()[:10000])
    code, output = gpucal_command(f"input=[{bad},{made[0]}]", f"reference.path={made[1]}")
    assert code == 1
    assert f"failed {bad}: truncated within its headers" in output
    assert "1 of 2 exposures calibrated" in output


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("steps.jump.rejction_threshold=5", "no such setting (did you mean steps.jump.rejection_threshold?)"),
        ("steps.jmp.skip=true", "no such setting (did you mean steps.jump?)"),
        ("rejection_threshold=5", "no such setting (did you mean steps.jump.rejection_threshold?)"),
        ("steps.jump.rejection_threshold=high", "steps.jump.rejection_threshold=high: expected a number"),
        ("steps.ramp_fit.algorithm=GLS", "steps.ramp_fit.algorithm=GLS: expected OLS_C"),
        ("device=gpu", "device=gpu is not one of auto, cuda, host, numpy"),
        ("runner=streem", "runner=streem is not one of inline, stream (did you mean stream?)"),
        ("instrument=nircam", "instrument=nircam: write +instrument=nircam"),
        (
            "+instrument=nircan",
            "instrument=nircan is not one of fgs, miri, nircam, niriss, nirspec (did you mean nircam?)",
        ),
        ("pipeline=detector2", "pipeline=detector2: no such pipeline or step (did you mean detector1?)"),
        ("action=rum", "action=rum is not one of run, steps, config, sample (did you mean run?)"),
        ("input", "input: settings are written KEY=VALUE"),
        ("overide.dark=x.fits", "overide.dark: no such setting (did you mean override?)"),
        ("override.dark=x.fits input=a.fits", "input=a.fits: no such file"),
        ("log_level=loud", "log_level=loud is not one of DEBUG, INFO, WARNING, ERROR"),
        ("", "nothing to do: give input=FILES, or +instrument=NAME for simulated exposures"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_meant(argument, line, gpucal_command):
    code, output = gpucal_command(*argument.split())
    assert code == 2
    assert len(output.splitlines()) == 1
    assert line in output
    assert output.startswith("error ")


def test_nothing_starts_with_a_missing_override(gpucal_command, made):
    code, output = gpucal_command(f"input={made[0]}", "override.dark=nowhere.fits")
    assert code == 2
    assert "error override.dark=nowhere.fits: no such file" in output


def test_nothing_starts_with_a_folder_without_references(gpucal_command, made, tmp_path):
    code, output = gpucal_command(f"input={made[0]}", "reference=folder", f"reference.path={tmp_path}")
    assert code == 2
    assert f"error reference.path={tmp_path}: no reference files" in output


def test_nothing_starts_where_nothing_can_be_written(gpucal_command, made, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, output = gpucal_command(f"input={made[0]}", f"reference.path={made[1]}", "output_dir=file/out")
    assert code == 2
    assert "error output_dir=file/out: cannot be written: Not a directory" in output


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read and write everything")
def test_folders_without_permission_are_one_line(gpucal_command, made, tmp_path):
    for name in ("unreadable", "readonly"):
        (tmp_path / name).mkdir()
    (tmp_path / "unreadable").chmod(0)
    (tmp_path / "readonly").chmod(0o500)
    code, output = gpucal_command("input=unreadable")
    assert (code, output) == (2, "error input=unreadable: Permission denied\n")
    code, output = gpucal_command(f"input={made[0]}", f"reference.path={made[1]}", "output_dir=readonly")
    assert code == 2
    assert "output_dir=readonly: cannot be written: Permission denied" in output


def test_an_exposure_of_another_instrument_fails_alone(gpucal_command, made):
    code, output = gpucal_command("+instrument=miri", f"input={made[0]}", f"reference.path={made[1]}")
    assert code == 1
    assert "is from nircam, but +instrument=miri was asked for" in output


def test_a_step_alone_is_a_pipeline(gpucal_command, made, tmp_path):
    code, _ = gpucal_command("pipeline=saturation", f"input={made[0]}", f"reference.path={made[1]}")
    (ramp,) = (tmp_path / "out").glob("*_saturation.fits")
    assert code == 0
    assert fits.getheader(ramp)["S_SATURA"] == "COMPLETE"


def test_settings_of_ones_own_come_from_a_file(gpucal_command, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "soft.yaml").write_text(
        "# @package _global_\nsteps:\n  jump:\n    rejection_threshold: 3.0\n    flag_4_neighbors: false\n"
    )
    code, output = gpucal_command(
        "--config-dir=mine",
        "experiment=soft",
        "action=config",
        "+instrument=miri",
        "steps.jump.rejection_threshold=4.5",
    )
    assert code == 0
    lines = {line.split()[0]: line.split()[1:4] for line in output.splitlines() if line.strip()}
    assert lines["steps.jump.rejection_threshold"][:3] == ["4.5", "command", "line"]
    assert lines["steps.jump.flag_4_neighbors"][:2] == ["False", "experiment=soft"]
    assert "'lastframe'" in output


def test_settings_of_a_type_of_exposure_come_from_a_folder_of_ones_own(gpucal_command, made, tmp_path):
    (tmp_path / "mine" / "mode").mkdir(parents=True)
    (tmp_path / "mine" / "mode" / "NRC_IMAGE.yaml").write_text(
        "# @package _global_\nsteps:\n  jump:\n    rejection_threshold: 5.5\n"
    )
    key = "steps.jump.rejection_threshold"
    for exp_type, expected in (("NRC_IMAGE", ["5.5", "mode=NRC_IMAGE"]), ("NRC_CORON", ["4.0", "default"])):
        code, output = gpucal_command("--config-dir=mine", "action=config", "+instrument=nircam", f"mode={exp_type}")
        assert code == 0
        assert next(line.split()[1:3] for line in output.splitlines() if line.startswith(key)) == expected
    run = ["--config-dir=mine", f"input={made[0]}", f"reference.path={made[1]}", "stop_after=jump"]
    assert gpucal_command(*run)[0] == 0
    record = json.loads(next((tmp_path / "out").glob("*_jump.json")).read_text())
    (jump,) = [step["parameters"] for step in record["steps"] if step["step"] == "jump"]
    assert jump["rejection_threshold"] == 5.5


def test_a_parameter_file_of_the_official_pipeline_is_an_experiment(gpucal_command, tmp_path):
    code, output = gpucal_command("action=config", "steps.jump.rejection_threshold=5.5", "export=stpipe")
    assert code == 0
    code, output = gpucal_command(f"experiment={output.strip()}", "action=config", "+instrument=nircam")
    assert code == 0
    line = next(line for line in output.splitlines() if line.startswith("steps.jump.rejection_threshold"))
    assert line.split()[1:3] == ["5.5", "experiment=out/pars-detector1pipeline.asdf"]


def test_help_and_steps_are_readable(gpucal_command):
    code, output = gpucal_command("--help")
    assert code == 0
    assert "+instrument=nircam" in output
    code, output = gpucal_command("action=steps")
    assert code == 0
    assert "rejection_threshold = 4.0  # sigma" in output


def test_a_compiler_that_does_not_work_leaves_plain_numpy(gpucal_command, made, tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()
    code, output = gpucal_command(
        f"input={made[0]}", f"reference.path={made[1]}", PATH=str(empty), GPUCAL_CACHE=str(tmp_path / "cache")
    )
    assert code == 0
    assert "gpucal 0.1.0 on numpy: plain NumPy (no C++ compiler found; a C++ compiler such as g++" in output


def test_kernels_are_compiled_once(gpucal_command, made, tmp_path):
    arguments = [f"input={made[0]}", f"reference.path={made[1]}", "pipeline=superbias"]
    outputs = [gpucal_command(*arguments, GPUCAL_CACHE=str(tmp_path / "cache"))[1] for _ in range(2)]
    assert ["compiling" in output for output in outputs] == [True, False]


def test_a_multirun_makes_one_folder_per_value(gpucal_command, made, tmp_path):
    code, output = gpucal_command(
        "-m", f"input={made[0]}", f"reference.path={made[1]}", "output_dir=here",
        "steps.jump.four_group_rejection_threshold=4,50", "pipelines.detector1=[dq_init,saturation,jump,ramp_fit]",
    )  # fmt: skip
    assert code == 0, output
    folders = sorted((tmp_path / "here").iterdir())
    assert [folder.name for folder in folders] == [
        f"steps.jump.four_group_rejection_threshold={value}" for value in (4, 50)
    ]
    counts = [fits.getheader(next(folder.glob("*_rate.fits")))["PRIMECRS"] for folder in folders]
    assert counts[0] > counts[1]
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "multirun.yaml"}


def test_the_log_has_times_levels_and_steps(gpucal_command, made, tmp_path):
    code, _ = gpucal_command(f"input={made[0]}", f"reference.path={made[1]}", "stop_after=saturation")
    assert code == 0
    lines = (tmp_path / "out" / "gpucal.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING) ", line) for line in lines)
    assert "gpucal 0.1.0 on host" in lines[0]
    assert any("saturation COMPLETE in" in line for line in lines)
    code, _ = gpucal_command(f"input={made[0]}", "output_dir=quiet", "log_file=null", "stop_after=dq_init")
    assert not (tmp_path / "quiet" / "gpucal.log").exists()
