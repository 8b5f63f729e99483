"""Hooks: functions, steps and shell commands before and after a step."""

import numpy as np
import pytest

import gpucal
from gpucal.device import to_host
from gpucal.errors import HookError
from gpucal.steps import Superbias
from tests.composition import own


@pytest.fixture
def subtract(ramp, references, reference):
    """Subtract a superbias of 1 from a count of 10, with hooks; return the count."""

    def run(**hooks):
        step = Superbias(**hooks)
        result, _ = step.run(ramp([10]), references(superbias=reference("superbias", data=[[1]])))
        return to_host(result.data).item()

    return run


@pytest.mark.parametrize("hook", [own.look, "tests.composition.own.look"])
def test_a_function_sees_the_model_before_and_after(subtract, hook):
    own.calls.clear()
    assert subtract(pre_hooks=(hook,), post_hooks=(hook,)) == 9
    assert own.calls == [("Ramp", None), ("Ramp", "COMPLETE")]


def test_a_function_may_give_another_model_back(subtract):
    assert subtract(pre_hooks=(own.replace,)) == 6
    assert subtract(post_hooks=(own.replace,)) == 7


@pytest.mark.parametrize("hook", [own.AddPedestal, own.AddPedestal(), "tests.composition.own.AddPedestal"])
def test_a_step_is_a_hook(subtract, hook):
    assert subtract(post_hooks=(hook,)) == 109


def test_a_command_gets_a_file(subtract, tmp_path):
    assert subtract(pre_hooks=(f"cp {{0}} {tmp_path}/seen.fits",)) == 9
    assert to_host(gpucal.model.open(tmp_path / "seen.fits").data).item() == 10


def test_a_command_that_changes_the_file_changes_the_model(subtract, tmp_path):
    script = tmp_path / "change.py"
    script.write_text(
        "import sys\nfrom astropy.io import fits\nfits.setval(sys.argv[1], 'TARGNAME', value='M1')\n"
        "with fits.open(sys.argv[1], 'update') as f: f['SCI'].data[:] = 50\n"
    )
    import sys

    assert subtract(pre_hooks=(f"{sys.executable} -W ignore {script} {{0}}",)) == 49


def test_hooks_run_in_order(subtract):
    assert subtract(post_hooks=(own.replace, own.AddPedestal)) == 107


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("tests.composition.own.fail", r"superbias\.pre_hooks tests.composition.own.fail: RuntimeError: not today"),
        (own.fail, r"exposure.fits: superbias\.pre_hooks fail: RuntimeError: not today"),
        ("echo oh dear >&2; exit 3", r"exit code 3: oh dear"),
        ("no.such.function", r"superbias\.pre_hooks no.such.function: no.such.function: No module named 'no'"),
    ],
)
def test_a_failing_hook_is_one_clear_line(subtract, hook, message):
    with pytest.raises(HookError, match=message) as caught:
        subtract(pre_hooks=(hook,))
    assert "\n" not in str(caught.value)


def test_a_skipped_step_has_no_hooks(subtract):
    assert subtract(skip=True, pre_hooks=(own.fail,), post_hooks=(own.fail,)) == 10


def test_a_failing_hook_fails_its_exposure_alone(made, tmp_path):
    (fate,) = gpucal.run(
        made[0], tmp_path, references=made[1], steps={"ipc": {"post_hooks": ["tests.composition.own.fail"]}}
    )
    assert fate.error.startswith(f"{made[0]}: ipc.post_hooks tests.composition.own.fail: RuntimeError: not today")
    assert not list(tmp_path.iterdir())


def test_slopes_pass_through_a_command(made, tmp_path):
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], steps={"ramp_fit": {"post_hooks": ["touch {0}"]}})
    assert [path.name.rpartition("_")[2] for path in fate.products] == ["rate.fits", "rateints.fits"]
    np.testing.assert_equal(gpucal.model.open(fate.products[0]).meta.cal_step.ramp_fit, "COMPLETE")
