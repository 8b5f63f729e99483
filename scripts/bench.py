"""Time gpucal and the official pipeline on the same work, files to files, in one run, and print the ratios.

    python scripts/bench.py                              NIRCam full frame, 10 groups, a batch of 4
    python scripts/bench.py --case nrc_sub64p:8x100 --batch 8 --device host --repeat 3
    python scripts/bench.py --case nrc_full:10x1+jump.expand_large_events=true
    python scripts/bench.py --no-official                gpucal alone, against a plain copy of the same bytes

Whole processes are timed, imports and configuration included; kernels are compiled before. The copy reads the inputs
and writes as many bytes as the products have. Peak memory is that of the process.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from cases import CASE, Case
from rich.console import Console
from rich.table import Table

from gpucal import __version__

HERE = Path(__file__).resolve().parent


def measure(command):
    """Run a command; return its wall-clock seconds and peak memory in bytes. Its output is shown if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output}")
    return seconds, usage.ru_maxrss * 1024


def copy(inputs, products, folder):
    """Return the seconds that reading the inputs and writing copies of the products takes."""
    folder.mkdir(exist_ok=True)
    start = time.perf_counter()
    for path in inputs:
        with open(path, "rb") as file:
            while file.read(1 << 24):
                pass
    for path in products:
        shutil.copyfile(path, folder / path.name)
        with open(folder / path.name, "rb+") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - start


def make_inputs(case, batch, work):
    """Make exposures and references; return the exposures' paths and the references' folder."""
    exposures = []
    for number in range(batch):
        (exposure, _), name = replace(case, seed=case.seed + number).make(work), f"s{number + 1}_uncal.fits"
        exposures.append(exposure.rename(exposure.with_name(exposure.name.replace("uncal.fits", name))))
    return exposures, work / "refs"


def bench(case, batch, device, repeat, with_official, work):
    """Return a dictionary of all figures: seconds and bytes for the whole batch, and their ratios."""
    # In a process of its own: a child's peak memory, as the system reports it, is at least its parent's at the start.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        exposures, references = pool.submit(make_inputs, case, batch, work).result()
    ours, theirs = work / "gpucal", work / "official"
    settings = [f"{key}={value}" for key, value in case.settings.items()]
    gpucal = [
        sys.executable, "-m", "gpucal", f"input=[{','.join(map(str, exposures))}]", f"reference.path={references}",
        "reference=folder", f"output_dir={ours}", f"device={device}",
        *(f"steps.{setting}" for setting in settings),
    ]  # fmt: skip
    official = [sys.executable, HERE / "official.py", references, theirs, *settings, *exposures]
    measure([sys.executable, "-m", "gpucal", f"input={exposures[0]}", *gpucal[4:]])  # compiles what is not compiled yet
    figures = {"gpucal": [], "official": [], "copy": []}
    theirs.mkdir(exist_ok=True)
    for _ in range(repeat):
        shutil.rmtree(ours, ignore_errors=True)
        figures["gpucal"].append(measure(gpucal))
        if with_official:
            figures["official"].append(measure(official))
        figures["copy"].append((copy(exposures, sorted(ours.glob("*.fits")), work / "copy"), 0))
    result = {"case": str(case), "batch": batch, "device": device, "version": __version__, "machine": machine()}
    for name, values in figures.items():
        if values:
            result[name] = {
                "seconds": statistics.median(v[0] for v in values), "peak_bytes": max(v[1] for v in values),
                "all_seconds": [round(v[0], 3) for v in values],
            }  # fmt: skip
    result["bytes"] = sum(p.stat().st_size for p in [*exposures, *ours.glob("*.fits")])
    return result


def machine():
    """Describe the computer in words."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else ""
    return f"{len(os.sched_getaffinity(0))} cores {model or platform.processor()}, Python {platform.python_version()}"


def show(result, console):
    """Print the figures of one case as a table."""
    batch, mine = result["batch"], result["gpucal"]
    shown = Table(title=f"{result['case']}, batch of {batch}, device {result['device']}, {result['machine']}")
    for heading in ("", "s per exposure", "times gpucal's", "peak GB", "times gpucal's"):
        shown.add_column(heading, justify="right" if heading else "left")
    for name in ("official", "gpucal", "copy"):
        if name in result:
            figure = result[name]
            peak = figure["peak_bytes"]
            shown.add_row(
                name, f"{figure['seconds'] / batch:.3f}", f"{figure['seconds'] / mine['seconds']:.2f}",
                f"{peak / 1e9:.2f}" if peak else "", f"{peak / mine['peak_bytes']:.2f}" if peak else "",
            )  # fmt: skip
    console.print(shown)


def main():
    """Measure the case asked for and print or write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Case.parse, default="nrc_full:10x1", help=CASE)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--no-official", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, help="folder for the files (large)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as scratch:
        result = bench(
            arguments.case,
            arguments.batch,
            arguments.device,
            arguments.repeat,
            not arguments.no_official,
            Path(scratch),
        )
    show(result, Console(highlight=False))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
