"""Parameters that the references recommend: stronger than the instrument's, weaker than the user's."""

import shutil

import asdf
import pytest

import gpucal


@pytest.fixture
def references(made, tmp_path):
    """A folder of references in which parameter files lie too."""
    folder = tmp_path / "refs"
    shutil.copytree(made[1], folder)
    meta = {"telescope": "JWST", "instrument": {"name": "NIRCAM"}, "useafter": "2020-01-01T00:00:00"}
    step = {"class": "jwst.jump.jump_step.JumpStep", "name": "jump"}
    asdf.AsdfFile(
        {
            **step,
            "parameters": {"rejection_threshold": 7.0, "unheard_of": 1},
            "meta": {**meta, "reftype": "pars-jumpstep"},
        }
    ).write_to(folder / "pars-jumpstep.asdf")
    asdf.AsdfFile(
        {
            "class": "jwst.pipeline.Detector1Pipeline", "name": "Detector1Pipeline", "parameters": {},
            "steps": [{**step, "parameters": {"four_group_rejection_threshold": 8.0}}],
            "meta": {**meta, "reftype": "pars-detector1pipeline"},
        }
    ).write_to(folder / "pars-detector1pipeline.asdf")  # fmt: skip
    return folder


def jump_of(made, references, tmp_path, **settings):
    """The parameters of the jump step of a run."""
    (fate,) = gpucal.run(made[0], tmp_path / "out", references=references, stop_after="jump", **settings)
    assert not fate.error
    (jump,) = [outcome.by for outcome in fate.outcomes if outcome.step == "jump"]
    return jump


def test_recommended_parameters_are_taken_over(made, references, tmp_path):
    jump = jump_of(made, references, tmp_path)
    assert (jump.rejection_threshold, jump.four_group_rejection_threshold) == (7, 8)
    assert jump.three_group_rejection_threshold == 6


def test_the_user_goes_before_them(made, references, tmp_path):
    jump = jump_of(made, references, tmp_path, steps={"jump": {"rejection_threshold": 5.0}})
    assert (jump.rejection_threshold, jump.four_group_rejection_threshold) == (5, 8)


def test_they_can_be_switched_off(made, references, tmp_path):
    assert jump_of(made, references, tmp_path, pars=False).rejection_threshold == 4


def test_a_broken_parameter_file_stops_the_batch(made, references, tmp_path):
    path = references / "pars-jumpstep.asdf"
    with asdf.open(path, lazy_load=False, memmap=False) as file:
        meta = dict(file["meta"])
    asdf.AsdfFile({"parameters": 5, "meta": meta}).write_to(path)
    with pytest.raises(gpucal.errors.ReferenceFileError, match=r"pars-jumpstep.asdf"):
        jump_of(made, references, tmp_path)
