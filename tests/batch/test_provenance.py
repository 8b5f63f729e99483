"""A product says what made it, and how to make it again."""

import getpass
import hashlib
import json
import logging

import asdf
import pytest
from astropy.io import fits

import gpucal
from gpucal.errors import ConfigError
from gpucal.provenance import recorded, scrubbed
from gpucal.settings import Settings


@pytest.fixture(scope="module")
def fate(made, tmp_path_factory):
    settings = {"jump": {"rejection_threshold": 5.0}, "ipc": {"skip": True}}
    return gpucal.run(made[0], tmp_path_factory.mktemp("out"), references=made[1], steps=settings)[0]


@pytest.fixture(scope="module")
def sidecar(fate):
    return json.loads(fate.products[0].with_suffix(".json").read_text())


def within(path):
    """What a product itself says."""
    import io

    with fits.open(path) as hdus, asdf.open(io.BytesIO(hdus["ASDF"].data.tobytes())) as file:
        return dict(file["gpucal"])


def test_parameters_and_fates_of_all_steps_are_recorded(sidecar):
    steps = {step["step"]: step for step in sidecar["steps"]}
    assert steps["jump"]["parameters"]["rejection_threshold"] == 5
    assert steps["jump"]["status"] == "COMPLETE"
    assert (steps["ipc"]["status"], steps["ipc"]["reason"]) == ("SKIPPED", "as configured")


def test_references_are_recorded_with_their_checksums(sidecar, made):
    gain = made[1] / "gain.fits"
    assert sidecar["references"]["gain"] == {
        "name": str(gain), "sha1": hashlib.sha1(gain.read_bytes(), usedforsecurity=False).hexdigest()
    }  # fmt: skip


def test_software_and_hardware_are_recorded(sidecar):
    assert sidecar["gpucal"] == gpucal.__version__
    assert {"numpy", "astropy", "stdatamodels"} <= set(sidecar["software"])
    assert sidecar["device"].startswith("host: ")


def test_the_log_is_recorded(sidecar):
    assert any("jump COMPLETE in" in line for line in sidecar["log"])
    assert any("ipc skipped: as configured" in line for line in sidecar["log"])


def test_the_product_holds_the_same_without_folders(fate, sidecar, made):
    for path in fate.products:
        inside = within(path)
        assert inside["exposure"] == made[0].name
        assert inside["references"]["gain"]["name"] == "gain.fits"
        assert inside["references"]["gain"]["sha1"] == sidecar["references"]["gain"]["sha1"]
        assert str(made[0].parent) not in json.dumps(inside)


def test_reasons_are_in_the_history(fate):
    assert "ipc skipped: as configured" in str(fits.getheader(fate.products[0])["HISTORY"])


def test_the_settings_of_a_product_make_it_again(fate, made, tmp_path):
    again = Settings([f"from={fate.products[0]}", "steps.ipc.skip=false"])
    steps = {step.alias: step for step in again.pipeline("nircam").steps}
    assert steps["jump"].rejection_threshold == 5
    assert not steps["ipc"].skip  # what is said now is stronger


def test_the_product_alone_suffices(fate, tmp_path):
    import shutil

    alone = shutil.copy(fate.products[0], tmp_path)
    assert recorded(alone)["settings"]["steps.jump.rejection_threshold"] == 5


def test_a_file_of_others_says_nothing(made):
    with pytest.raises(ConfigError, match="was not made by gpucal"):
        recorded(made[0])
    with pytest.raises(ConfigError, match=r"from=nowhere\.fits: No such file"):
        recorded("nowhere.fits")


def test_sidecars_can_be_left_out(made, tmp_path):
    gpucal.run(made[0], tmp_path, references=made[1], sidecar=False, stop_after="dq_init")
    assert [path.suffix for path in tmp_path.iterdir()] == [".fits"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/ann/data/x.fits: jump skipped", "x.fits: jump skipped"),
        ("~/refs/dark.fits", "dark.fits"),
        ("crds://jwst_x_0001.fits", "crds://jwst_x_0001.fits"),
        ("5 km/s and 1/f", "5 km/s and 1/f"),
        ({"a": ["/b/c.fits"]}, {"a": ["c.fits"]}),
        (4.5, 4.5),
    ],
)
def test_folders_are_scrubbed(text, clean):
    assert scrubbed(text) == clean


def test_the_users_name_is_scrubbed(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "hubble")
    assert scrubbed("for hubble, of hubbles") == "for USER, of hubbles"


def test_recording_leaves_the_log_as_it_was(made, tmp_path):
    logger = logging.getLogger("gpucal")
    before = (logger.level, list(logger.handlers))
    gpucal.run(made[0], tmp_path, references=made[1], stop_after="dq_init")
    assert (logger.level, logger.handlers) == before
