"""What all steps share: when they run, what they note, and how they are called."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import gpucal.steps
from gpucal.device import to_host
from gpucal.errors import ConfigError, InputError, ReferenceFileError, Skip
from gpucal.step import STEPS, Step
from gpucal.steps import DqInit, GroupScale, Jump, Superbias

OURS = {alias: step for alias, step in STEPS.items() if step.__module__.startswith("gpucal.")}
EVERY_STEP = pytest.mark.parametrize("step", OURS.values(), ids=OURS)


@EVERY_STEP
def test_step_is_named_after_its_file(step):
    assert step.__module__ == f"gpucal.steps.{step.alias}"
    assert getattr(gpucal.steps, step.__name__) is step


@EVERY_STEP
def test_step_can_be_made_with_its_defaults_and_not_be_changed(step):
    with pytest.raises(dataclasses.FrozenInstanceError):
        step().skip = True


@EVERY_STEP
def test_every_reference_can_be_overridden(step):
    fields = {field.name: field.default for field in dataclasses.fields(step)}
    for reftype in step.references:
        assert fields[f"override_{reftype}"] is None


@EVERY_STEP
def test_required_references_are_arguments(step):
    assert set(step.required) <= set(step.references)


@EVERY_STEP
def test_misspelt_parameter_is_an_error(step):
    with pytest.raises(TypeError, match="unexpected keyword argument 'skipp'"):
        step(skipp=True)


@EVERY_STEP
def test_official_pipeline_knows_the_steps_name_in_the_header(step, ramp):
    exposure = ramp([1, 2, 3])
    exposure.mark(step.status, "SKIPPED")
    places = exposure.tree.schema["properties"]["meta"]["properties"]["cal_step"]["properties"]
    assert places[step.status]["fits_keyword"].startswith("S_")


@EVERY_STEP
def test_skipped_step_changes_nothing_and_notes_it(step, ramp, references):
    exposure = ramp([1, 2, 3])
    result, outcome = step(skip=True).run(exposure, references())
    assert result is exposure
    assert (outcome.step, outcome.status, outcome.reason) == (step.alias, "SKIPPED", "as configured")
    assert getattr(exposure.meta.cal_step, step.status) == "SKIPPED"
    np.testing.assert_array_equal(to_host(exposure.data).ravel(), [1, 2, 3])


def test_step_that_ran_is_complete(ramp, references, reference):
    exposure = ramp([1, 2, 3])
    _, outcome = Superbias().run(exposure, references(superbias=reference("superbias", data=[[1]])))
    assert (outcome.status, outcome.reason) == ("COMPLETE", "")
    assert outcome.seconds > 0
    assert exposure.meta.cal_step.superbias == "COMPLETE"


def test_reference_in_use_is_noted(ramp, references, reference):
    exposure, superbias = ramp([1, 2, 3]), reference("superbias", data=[[1]])
    Superbias().run(exposure, references(superbias=superbias))
    assert exposure.meta.ref_file.superbias.name == str(superbias.path)


def test_override_of_the_step_goes_before_other_sources(ramp, references, reference):
    general, special = reference("superbias", data=[[1]]), reference("superbias", data=[[5]])
    step = Superbias(override_superbias=str(special.path))
    exposure, _ = step.run(ramp([10]), references(superbias=general))
    assert to_host(exposure.data).item() == 5


def test_override_that_is_not_there_is_refused(ramp, references):
    with pytest.raises(ConfigError, match=r"superbias: override\.superbias=nowhere\.fits: no such file"):
        Superbias(override_superbias="nowhere.fits").run(ramp([10]), references())


def test_override_can_say_that_there_is_none(ramp, references, reference):
    given = references(superbias=reference("superbias", data=[[1]]))
    _, outcome = Superbias(override_superbias="N/A").run(ramp([10]), given)
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no superbias reference")


def test_required_reference_that_is_not_there_fails_the_exposure(ramp, references):
    with pytest.raises(ReferenceFileError, match=r"^jump: no gain reference for exposure.fits$"):
        Jump().run(ramp([1, 2, 3]), references())


def test_failure_names_the_step(ramp, references, reference):
    mask = reference("mask", dq=[[0]])
    with pytest.raises(InputError, match=r"^dq_init: user_supplied_dq=nowhere.fits: ") as caught:
        DqInit(user_supplied_dq="nowhere.fits").run(ramp([1, 2, 3]), references(mask=mask))
    assert isinstance(caught.value.__cause__, InputError)


# -- a step is a function


def test_step_called_on_a_model_leaves_it_as_it_is(ramp, backend, references, reference):
    exposure = ramp([10, 20, 30])
    result = Superbias()(exposure, references(superbias=reference("superbias", data=[[1]])), backend)
    np.testing.assert_array_equal(to_host(result.data).ravel(), [9, 19, 29])
    np.testing.assert_array_equal(to_host(exposure.data).ravel(), [10, 20, 30])
    assert result.meta.cal_step.superbias == "COMPLETE"
    assert exposure.meta.cal_step.superbias is None


def test_step_called_on_a_file_reads_it(ramp, backend, reference, tmp_path):
    ramp([10, 20, 30]).save(tmp_path / "jw_ramp.fits")
    step = Superbias(override_superbias=str(reference("superbias", data=[[1]]).path))
    result = step(tmp_path / "jw_ramp.fits", device=backend)
    np.testing.assert_array_equal(to_host(result.data).ravel(), [9, 19, 29])


def test_step_called_runs_even_if_it_is_configured_to_be_skipped(ramp, backend):
    result = GroupScale(skip=True)(ramp([8], nframes=5, frame_divisor=4), device=backend)
    assert to_host(result.data).item() == np.float32(8 * 4 / 5)


# -- a step of one's own


@pytest.fixture
def registry():
    """The registry of steps, as it was before when the test ends."""
    before = dict(STEPS)
    yield STEPS
    STEPS.clear()
    STEPS.update(before)


def test_arguments_declare_the_references_and_fields_the_parameters(registry):
    @dataclass(frozen=True)
    class Mine(Step):
        strength: float = 2.0

        def process(self, ramp, gain, mask=None):
            return ramp

    assert registry[Mine.alias] is Mine
    assert Mine.references == {"gain": False, "mask": True}
    mine = Mine(strength=3.0, override_gain="gain.fits")
    assert (mine.strength, mine.override_gain, mine.override_mask) == (3.0, "gain.fits", None)


def test_optional_reference_that_is_missing_is_none(registry, ramp, references, reference):
    seen = []

    @dataclass(frozen=True)
    class Mine(Step):
        status = "jump"

        def process(self, ramp, gain, mask=None):
            seen.append((gain is not None, mask))
            return ramp

    Mine().run(ramp([1]), references(gain=reference("gain", data=[[1]])))
    assert seen == [(True, None)]


def test_reason_to_skip_is_passed_on(registry, ramp, references):
    @dataclass(frozen=True)
    class Mine(Step):
        status = "jump"

        def process(self, ramp):
            raise Skip("it is too dark")

    _, outcome = Mine().run(ramp([1]), references())
    assert (outcome.status, outcome.reason) == ("SKIPPED", "it is too dark")
