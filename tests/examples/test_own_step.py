"""The example of a step of one's own, and what scripts/new_step.py makes of it, work when they are installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.conftest import made

__all__ = ["made"]
ROOT = Path(__file__).parents[2]


def python(*arguments, folder, **options):
    """Run Python with the packages in folder besides those that are installed; return the finished process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], text=True, capture_output=True, env=environment, **options
    )


@pytest.fixture(scope="module", params=["flag_low", "mask_stripes"])
def installed(request, tmp_path_factory):
    """(name of the step, its package, the folder where it is installed)."""
    name = request.param
    package = ROOT / "examples" / "own_step"
    target = tmp_path_factory.mktemp("site")
    if name != "flag_low":
        package = tmp_path_factory.mktemp("new") / "package"
        done = python(ROOT / "scripts" / "new_step.py", name, package, folder=target)
        assert done.returncode == 0, done.stderr
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, package]
    done = subprocess.run([*map(str, install)], text=True, capture_output=True)
    if (
        "No matching distribution found" in done.stderr
    ):  # of setuptools, say: there is no network; all else is a failure
        pytest.skip("pip reaches no package index to build with")
    assert done.returncode == 0, done.stderr
    return name, package, target


def test_it_is_among_the_steps(installed):
    name, _, target = installed
    done = python("-m", "gpucal", "action=steps", folder=target)
    assert done.returncode == 0, done.stdout
    assert f"{name}  " in done.stdout
    assert "limit = -1000.0  # DN" in done.stdout


def test_it_runs_in_a_pipeline_with_its_kernel(installed, made, tmp_path):
    name, _, target = installed
    done = python(
        "-m", "gpucal", f"input={made[0]}", f"reference.path={made[1]}", f"insert_after.superbias={name}",
        f"steps.{name}.limit=1e9", "stop_after=" + name, folder=target, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    from gpucal import model

    (product,) = (tmp_path / "out").glob(f"*_{name}.fits")
    assert (model.open(product).groupdq & 1 == 1).all()


def test_its_tests_pass(installed):
    name, package, target = installed
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", package / "tests", folder=target, cwd=package)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", [("Bad-Name", "x"), ("fine", "."), ()])
def test_a_mistake_is_one_line(arguments, tmp_path):
    done = python(ROOT / "scripts" / "new_step.py", *arguments, folder=tmp_path, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
