"""Small exposures on disk with their references."""

from tests.batch.conftest import made

__all__ = ["made"]
