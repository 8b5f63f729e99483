"""The command line, run as users do or within the test process, and small exposures for it."""

import os
import subprocess
import sys

import pytest

from tests.batch.conftest import exposure, made, references

__all__ = ["exposure", "made", "references"]


@pytest.fixture
def gpucal_command(tmp_path):
    """Run `python -m gpucal ARGUMENTS` in an empty folder; return (exit code, output)."""

    def run(*arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "gpucal", *map(str, arguments)],
            cwd=tmp_path, text=True, capture_output=True, env={**os.environ, "COLUMNS": "200", **environment},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return run
