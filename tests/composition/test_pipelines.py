"""Pipelines are data: lists of steps, of other pipelines and of one's own classes, or functions."""

import numpy as np
import pytest

import gpucal
from gpucal.errors import ConfigError
from gpucal.pipelines import Pipeline
from gpucal.settings import Settings
from gpucal.step import STEPS
from tests.composition import own

OWN = "tests.composition.own.AddPedestal"


def names(*overrides, instrument="nircam"):
    """The steps of the pipeline that these settings make."""
    return [step.alias for step in Settings(overrides).pipeline(instrument).steps]


DETECTOR1 = names()


def test_a_step_of_ones_own_is_inserted_after_another():
    at = DETECTOR1.index("linearity") + 1
    expected = [*DETECTOR1[:at], "add_pedestal", *DETECTOR1[at:]]
    assert names(f"insert_after.linearity={OWN}") == expected
    assert names(f"insert_after={{linearity: [{OWN}]}}") == expected


def test_steps_are_inserted_before_another_in_their_order():
    at = DETECTOR1.index("jump")
    assert names("insert_before.jump=[ipc,superbias]") == [*DETECTOR1[:at], "ipc", "superbias", *DETECTOR1[at:]]


def test_a_step_is_replaced():
    assert names(f"replace.refpix={OWN}") == ["add_pedestal" if step == "refpix" else step for step in DETECTOR1]


def test_a_pipeline_is_reordered():
    assert names("pipelines.detector1=[jump,dq_init]") == ["jump", "dq_init"]


def test_pipelines_contain_pipelines_to_any_depth():
    nested = (
        "pipelines.a=[dq_init,saturation]",
        "pipelines.b=[a,ipc]",
        "pipelines.c=[group_scale,b,jump]",
        "pipeline=c",
    )
    assert names(*nested) == ["group_scale", "dq_init", "saturation", "ipc", "jump"]


def test_own_steps_have_parameters_like_others():
    settings = Settings([f"insert_after.linearity={OWN}", "steps.add_pedestal.pedestal=5"])
    (step,) = [s for s in settings.pipeline("nircam").steps if s.alias == "add_pedestal"]
    assert step == own.AddPedestal(pedestal=5.0)


def test_own_step_is_called_after_its_class():
    assert STEPS["add_pedestal"] is own.AddPedestal


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["insert_after.lineraity=ipc"],
            "insert_after.lineraity: detector1 has no such step (did you mean linearity?)",
        ),
        (["insert_after.linearity=no.such.Step"], "no.such.Step: No module named 'no'"),
        (["insert_after.linearity=tests.composition.own.Nothing"], "has no attribute 'Nothing'"),
        (["insert_after.linearity=jmp"], "pipelines.detector1: no step jmp (did you mean jump?)"),
        (["pipelines.a=[b]", "pipelines.b=[a]", "pipeline=a"], "pipelines.a: contains itself, by way of a and b"),
        (["pipelines.a=nothing", "pipeline=a"], "pipelines.a=nothing: is neither a list nor the name of a function"),
        (
            [f"insert_after.ipc={OWN}", "steps.add_pedestal.pedestl=5"],
            "no such setting (did you mean steps.add_pedestal.pedestal?)",
        ),
        ([f"insert_after.ipc={OWN}", "steps.add_pedestal.pedestal=x"], "pedestal=x: expected a number"),
        (["steps.jmp.skip=true"], "steps.jmp: no such setting (did you mean steps.jump?)"),
        (["override.drak=x.fits"], "override.drak: no such setting (did you mean override.dark?)"),
        (["start_after=jmp"], "start_after=jmp: detector1 has no such step (did you mean jump?)"),
        (["stop_after=jmp"], "stop_after=jmp: detector1 has no such step (did you mean jump?)"),
        (["start_after=jump", "stop_after=ipc"], "start_after=jump: no step of detector1 is left to run"),
        (
            ["pipelines.f=tests.composition.own.flow", "pipeline=f", "stop_after=ipc"],
            "pipeline=f: is a function, which start_after and stop_after cannot divide",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_what_was_meant(overrides, message):
    with pytest.raises(Exception) as caught:
        Settings(overrides)
    assert caught.type.__mro__[1].__name__ == "GpucalError"
    assert message in str(caught.value)


def test_a_function_is_a_pipeline(made, tmp_path):
    (fate,) = gpucal.run(
        made[0], tmp_path, references=made[1], pipeline="twice", pipelines={"twice": "tests.composition.own.flow"}
    )
    assert not fate.error
    assert [outcome.step for outcome in fate.outcomes] == ["dq_init", "superbias", "superbias"]
    assert fate.products[0].name.endswith("_ramp.fits")


def test_a_step_of_ones_own_runs_in_a_batch(made, tmp_path):
    before, more = (
        gpucal.model.open(
            gpucal.run(made[0], tmp_path / last, references=made[1], stop_after=last, **settings)[0].products[0]
        )
        for last, settings in (("ipc", {}), ("superbias", {"insert_before": {"superbias": OWN}}))
    )
    before.data += np.float32(100)
    by_hand = gpucal.pipeline("superbias", references=made[1])(before)
    np.testing.assert_array_equal(more.data, by_hand.data)


def test_a_pipeline_is_a_step():
    with pytest.raises(ConfigError, match="no such step"):
        Pipeline("two", (STEPS["ipc"](), STEPS["jump"]())).part(stop_after="refpix")


def test_a_list_of_exposures_gives_a_list_of_results(made):
    results = gpucal.steps.DqInit(override_mask=str(made[1] / "mask.fits"))([made[0], made[0]])
    assert [type(result).__name__ for result in results] == ["Ramp", "Ramp"]
