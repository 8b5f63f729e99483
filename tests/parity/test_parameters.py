"""Every parameter of the official steps exists here, with the same name and the same default."""

import dataclasses

import pytest

from gpucal.settings import Settings
from gpucal.step import STEPS, Step

DETECTOR1 = sorted({step.alias for name in ("nircam", "miri") for step in Settings().pipeline(name).steps})

# Parameters of all official steps that belong to their framework, not to a correction.
FRAMEWORK = {
    "pre_hooks", "post_hooks", "output_file", "output_dir", "output_ext", "output_use_model", "output_use_index",
    "save_results", "suffix", "search_output_file", "input_dir",
}  # fmt: skip

# Parameters that gpucal does not have, or has with another default, on purpose: why.
DELIBERATE: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="module")
def steps(official):
    """The steps of the official pipeline, by name."""
    pipe = official.pipeline("Detector1Pipeline", {})
    return {name: step() for name, step in pipe.step_defs.items()}


def parameters(step):
    """{name: default} of an official step."""
    return {name: getattr(step, name) for name in step.load_spec_file() if name not in FRAMEWORK}


def test_the_steps_are_those_of_the_official_pipeline(steps):
    assert set(DETECTOR1) == steps.keys()


@pytest.mark.parametrize("name", DETECTOR1)
def test_parameters_have_the_official_names_and_defaults(name, steps):
    ours = {field.name: field.default for field in dataclasses.fields(STEPS[name])}
    away = {p for step, p in DELIBERATE if step == name}
    theirs = parameters(steps[name])
    assert {p: ours.get(p, "missing") for p in theirs.keys() - away} == {p: theirs[p] for p in theirs.keys() - away}


@pytest.mark.parametrize("name", DETECTOR1)
def test_parameters_that_the_official_step_lacks_are_those_of_every_step(name, steps):
    common = {field.name for field in dataclasses.fields(Step)}
    ours = {field.name for field in dataclasses.fields(STEPS[name])} - common
    overrides = {p for p in ours if p.startswith("override_")}
    assert ours - overrides <= parameters(steps[name]).keys()


def test_exceptions_are_no_longer_than_they_need_to_be(steps):
    known = {name: {field.name: field.default for field in dataclasses.fields(step)} for name, step in STEPS.items()}
    for name, p in DELIBERATE:
        official_default = parameters(steps[name])[p]
        assert known[name].get(p, "missing") != official_default, f"{name}.{p} is no exception any more"
