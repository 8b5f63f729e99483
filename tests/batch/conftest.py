"""Small exposures on disk with their references, made once for all tests of a process."""

import shutil

import pytest

from gpucal import sample


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A small exposure and the folder of its references; not to be changed."""
    folder = tmp_path_factory.mktemp("sub160")
    references = folder / "refs"
    sample.make_references("nrc_sub160", references, ngroups=4, match=("gain",))
    (exposure,) = sample.make_exposures("nrc_sub160", folder / "data", ngroups=4)
    return exposure, references


@pytest.fixture
def exposure(made, tmp_path):
    """A copy of the exposure that a test may spoil."""
    (tmp_path / "data").mkdir()
    return shutil.copy(made[0], tmp_path / "data")


@pytest.fixture
def references(made):
    """The folder of reference files; not to be changed."""
    return made[1]
