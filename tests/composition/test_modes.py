"""Settings of one type of exposure lie between those of its instrument and the user's."""

import pytest

from gpucal.errors import ConfigError
from gpucal.settings import Settings

THRESHOLD = "steps.jump.rejection_threshold"


def value(settings, key, *exposures):
    """(value, source) of a setting for the exposures of an instrument and a type."""
    (found,) = [one for one in settings.explained(*exposures) if one.key == key]
    return found.value, found.source


def test_every_type_of_dark_goes_through_the_dark_pipeline():
    assert value(Settings(), "pipeline", "nircam", "NRC_DARK") == ("dark", "mode=NRC_DARK")
    assert Settings().pipeline("nircam", "NRC_DARK").name == "dark"
    assert Settings(values={"pipeline": None}).pipeline("nircam", "NRC_DARK").name == "dark"


@pytest.mark.parametrize("exp_type", ["NRC_IMAGE", "N/A", None, "none known"])
def test_types_without_settings_take_those_of_the_instrument(exp_type):
    assert Settings().pipeline("nircam", exp_type).name == "detector1"


def test_the_user_goes_before_the_type():
    assert value(Settings(["pipeline=jump"]), "pipeline", "nircam", "NRC_DARK") == ("jump", "command line")


def test_a_misspelt_type_is_one_line():
    assert Settings(["mode=NRC_IMAGE"]).mode == "NRC_IMAGE"
    with pytest.raises(ConfigError, match=r"^mode=NRC_IMAG: is no EXP_TYPE \(did you mean NRC_IMAGE\?\)$"):
        Settings(["mode=NRC_IMAG"])
