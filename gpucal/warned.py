"""Warnings of other packages: Python's switches for them are global, so threads take turns."""

import logging
import threading
import warnings
from contextlib import contextmanager

_turn = threading.RLock()


@contextmanager
def ignored():
    """Run the block without warnings; for what is reported in our own words, or is of no interest to users."""
    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def logged(name, log: logging.Logger):
    """Run the block and log the first two lines of each of its warnings, with a name in front."""
    with _turn:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            lines = [line for line in str(warning.message).splitlines() if line]
            log.warning("%s: %s", name, " ".join(lines[:2]))
