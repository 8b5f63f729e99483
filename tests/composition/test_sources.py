"""Every setting says what set it; the stronger source wins."""

import pytest

from gpucal.settings import Settings


def source(key, *overrides, instrument=None, values=None):
    """(value, source) of a setting."""
    (found,) = [one for one in Settings(overrides, values).explained(instrument) if one.key == key]
    return found.value, found.source


THRESHOLD = "steps.jump.rejection_threshold"


def test_a_default_is_a_default():
    assert source(THRESHOLD) == (4.0, "default")


def test_the_command_line_goes_before_an_experiment():
    assert source(THRESHOLD, "experiment=example") == (3.5, "experiment=example")
    assert source(THRESHOLD, "experiment=example", f"{THRESHOLD}=5") == (5, "command line")
    assert source(THRESHOLD, "steps.jump={rejection_threshold: 5}") == (5, "command line")


def test_a_call_goes_before_all():
    assert source(THRESHOLD, f"{THRESHOLD}=5", values={"steps": {"jump": {"rejection_threshold": 6}}}) == (6, "call")


def test_instruments_set_their_order():
    value, where = source("pipelines.detector1", instrument="miri")
    assert "lastframe" in value
    assert where == "instrument=miri"
    assert source("pipelines.detector1", instrument="nircam")[1] == "default"


@pytest.mark.parametrize("key", [THRESHOLD, "output_ext", "steps.refpix.siglimit"])
def test_settings_have_a_meaning(key):
    (found,) = [one for one in Settings().explained() if one.key == key]
    assert found.help


def test_the_command_prints_values_sources_and_meanings(capsys):
    from rich.console import Console

    from gpucal.cli import show_config

    show_config(Settings([f"{THRESHOLD}=5", "+instrument=miri"]), Console(width=160))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(THRESHOLD)]
    assert line.split() == [THRESHOLD, "5", "command", "line", "sigma"]
