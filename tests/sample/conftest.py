"""What the tests of the simulations share."""

import shutil
from functools import lru_cache

import pytest

from gpucal.sample.detector import Detector


@pytest.fixture(autouse=True, scope="session")
def _detectors_are_made_once():
    """Many tests use the same detector, and nothing changes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Detector, "of", staticmethod(lru_cache(maxsize=2)(Detector.of)))
        yield


@pytest.fixture(autouse=True)
def _files_do_not_pile_up(tmp_path):
    """Full frames are large, and pytest keeps the folders of its last runs."""
    yield
    shutil.rmtree(tmp_path)
