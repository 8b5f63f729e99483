"""A machine with a GPU must not pass the tests without having used it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest

CONFTEST = Path(conftest.__file__)
WITHOUT_CUDA = "def test_nothing(): pass\n"
WITH_CUDA = "import pytest\n@pytest.mark.parametrize('backend', ['cuda'])\ndef test_something(backend): pass\n"


@pytest.fixture
def run(tmp_path):
    """Run pytest on a folder with our conftest, as if the machine had a GPU or had none; return the exit code."""

    def execute(tests, has_gpu, *options):
        folder = tmp_path / "tests"
        folder.mkdir()
        (folder / "conftest.py").write_text(f"{CONFTEST.read_text()}\nHAS_GPU = {has_gpu}\n")
        (folder / "test_it.py").write_text(tests)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        return subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)

    return execute


def test_run_without_cuda_tests_fails_where_there_is_a_gpu(run):
    result = run(WITHOUT_CUDA, True)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "this machine has a GPU, but no CUDA test was collected" in result.stderr + result.stdout


def test_run_without_cuda_tests_passes_where_there_is_no_gpu(run):
    assert run(WITHOUT_CUDA, False).returncode == pytest.ExitCode.OK


def test_run_with_cuda_tests_passes_where_there_is_a_gpu(run):
    assert run(WITH_CUDA, True).returncode == pytest.ExitCode.OK


@pytest.mark.parametrize("narrowed", [["-k", "nothing"], ["tests/test_it.py"]])
def test_run_that_was_narrowed_on_purpose_passes(run, narrowed):
    assert run(WITHOUT_CUDA, True, *narrowed).returncode == pytest.ExitCode.OK


def test_parallel_run_without_cuda_tests_fails_too(run):
    assert run(WITHOUT_CUDA, True, "-n", "1").returncode != pytest.ExitCode.OK
