"""The shelf: which file serves, opened once, kept while there is room, and read anew when it has changed."""

import os

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.reference import References, library


@pytest.fixture
def exposure(make_ramp, host):
    """One pixel in the middle of a NIRCam detector."""

    def make(**keywords):
        return make_ramp(host, [1, 2, 3], **keywords)

    return make


# -- which file


def test_override_goes_before_the_library(exposure, host, reference_file, tmp_path):
    in_folder = reference_file("gain", data=[[1.0]])
    (tmp_path / "elsewhere").mkdir()
    mine = reference_file("gain", data=[[2.0]], filename="elsewhere/mine.fits")
    folder = library("folder", tmp_path)
    del folder.headers[mine]
    shelf, overridden = References(host, library=folder), References(host, {"gain": mine}, folder)
    assert shelf.get("gain", exposure()).path == in_folder
    assert overridden.get("gain", exposure()).path == mine


def test_override_of_a_step_goes_before_all(exposure, host, reference_file):
    general, special = (reference_file("gain", data=[[value]]) for value in (1.0, 2.0))
    reference = References(host, {"gain": general}).get("gain", exposure(), override=special)
    assert reference.path == special


@pytest.mark.parametrize("word", ["N/A", "n/a"])
def test_override_can_say_that_there_is_none(exposure, host, reference_file, tmp_path, word):
    reference_file("gain", data=[[1.0]])
    shelf = References(host, {"gain": word}, library("folder", tmp_path))
    assert shelf.get("gain", exposure()) is None


def test_without_a_library_there_is_none(exposure, host):
    assert References(host).get("gain", exposure()) is None


def test_empty_override_is_no_override(exposure, host):
    assert References(host, {"gain": None, "dark": ""}).get("gain", exposure()) is None


def test_override_that_is_not_there_is_refused_at_once(host):
    with pytest.raises(ConfigError, match=r"override.gain=nowhere.fits: no such file"):
        References(host, {"gain": "nowhere.fits"})


def test_choice_is_noted_in_the_header(exposure, host, reference_file):
    path = reference_file("gain", data=[[1.0]])
    model = exposure()
    shelf = References(host, {"gain": path})
    shelf.get("gain", model)
    shelf.get("dark", model)
    assert model.meta.ref_file.gain.name == str(path)
    assert model.meta.ref_file.dark.name == "N/A"


def test_context_is_that_of_the_library(host):
    class Crds:
        context = "jwst_1234.pmap"

    assert References(host).context == "N/A"
    assert References(host, library=Crds()).context == "jwst_1234.pmap"


# -- files that cannot serve


@pytest.mark.parametrize(
    ("keywords", "made_for", "comes_from"),
    [({"DETECTOR": "NRCA2"}, "NRCA2", "NRCA1"), ({"INSTRUME": "MIRI"}, "MIRI", "NIRCAM")],
)
def test_file_of_another_detector_is_refused(exposure, host, reference_file, keywords, made_for, comes_from):
    path = reference_file("gain", data=[[1.0]], **keywords)
    with pytest.raises(ReferenceFileError, match=f"{path}: was made for {made_for}, the exposure is from {comes_from}"):
        References(host, {"gain": path}).get("gain", exposure())


@pytest.mark.parametrize("word", ["N/A", "ANY", "MULTIPLE", "nrca1"])
def test_file_of_any_detector_is_taken(exposure, host, reference_file, word):
    path = reference_file("gain", data=[[1.0]], DETECTOR=word)
    assert References(host, {"gain": path}).get("gain", exposure()).path == path


def test_file_is_checked_for_every_exposure(exposure, host, reference_file):
    """Also when an exposure of the right detector has opened it before."""
    shelf = References(host, {"gain": reference_file("gain", data=[[1.0]], DETECTOR="NRCA1")})
    shelf.get("gain", exposure())
    with pytest.raises(ReferenceFileError, match="was made for NRCA1, the exposure is from NRCB1"):
        shelf.get("gain", exposure(detector="NRCB1"))


# -- opened once


def test_same_window_shares_a_reference(exposure, host, reference_file):
    shelf = References(host, {"gain": reference_file("gain", data=[[1.0]])})
    assert shelf.get("gain", exposure()) is shelf.get("gain", exposure())


def test_other_window_has_its_own_cut(exposure, host, reference_file):
    shelf = References(host, {"gain": reference_file("gain", data=[[1.0, 2.0]])})
    first, second = (shelf.get("gain", exposure(xstart=x)) for x in (1025, 1026))
    assert (to_host(first.data).item(), to_host(second.data).item()) == (1, 2)


def test_file_that_has_changed_is_read_anew(exposure, host, reference_file):
    path = reference_file("gain", data=[[1.0]], filename="gain.fits")
    shelf = References(host, {"gain": path})
    before = shelf.get("gain", exposure())
    assert to_host(before.data).item() == 1
    reference_file("gain", data=[[2.0]], filename="gain.fits")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    assert to_host(shelf.get("gain", exposure()).data).item() == 2


# -- room on the device


@pytest.fixture
def shelf_of_three(exposure, host, reference_file):
    """Use three references of 400 bytes, in order, with room for some bytes; return the shelf and how to use one."""

    def make(keep):
        paths = {name: reference_file("gain", data=np.ones((10, 10), "f4")) for name in "abc"}
        shelf = References(host, keep=keep)

        def use(name):
            reference = shelf.get("gain", exposure(), override=paths[name])
            _ = reference.whole("data")
            return reference

        return use, [use(name) for name in "abc"]

    return make


def test_references_stay_while_there_is_room(shelf_of_three):
    use, first = shelf_of_three(keep=1200)
    assert [use(name) for name in "abc"] == first


def test_reference_unused_for_longest_goes_first(shelf_of_three):
    use, (a, b, c) = shelf_of_three(keep=1000)
    assert use("c") is c  # now there are 1200 bytes: a goes
    assert use("b") is b
    assert use("a") is not a


def test_reference_in_use_stays_even_if_it_is_too_large(shelf_of_three):
    use, (*_, c) = shelf_of_three(keep=100)
    assert use("c") is c
    assert to_host(c.whole("data")).shape == (10, 10)
