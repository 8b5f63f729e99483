"""What comparisons with the official pipeline share. They are skipped where it is not installed."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"  # real data, beside the checkout


def pytest_collection_modifyitems(items):
    """The official packages warn about themselves; their warnings are not ours to mend."""
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.add_marker(pytest.mark.parity)


@pytest.fixture(scope="session")
def official():
    """The module scripts/official.py; skips where the official pipeline is not installed."""
    pytest.importorskip("jwst", reason="the official pipeline is not installed: pip install 'gpucal[parity]'")
    import official

    return official


@pytest.fixture(scope="session")
def parity(official):
    """The module scripts/parity.py."""
    import parity

    return parity
