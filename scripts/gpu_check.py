"""Check gpucal on a machine with a GPU, in one call, and write everything to one JSON file.

    python scripts/gpu_check.py --json gpu.json --markdown docs/gpu.md

What it does, in this order; a part that fails is noted and the next one runs:
 1. describes the hardware and the software;
 2. runs the tests of kernels and steps on the GPU (pytest -k cuda);
 3. calibrates small exposures on the GPU and on the CPU and compares every value to the last bit;
 4. runs a small calibration under compute-sanitizer (memcheck, racecheck) if it is installed;
 5. times every step on the GPU by events, for a NIRCam full frame of 10 groups;
 6. calibrates a batch from files to files, and copies the same files, and compares the bytes per second.

It needs CuPy, pytest, rich and gpucal's dependencies, and a C++ compiler for part 3; no network. It works in a checkout
without installation. Exit code 0 if parts 2 to 4 found nothing wrong.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SMALL = (
    ("nrc_sub160", 6, 2),
    ("nrc_sub64p", 8, 100),
    ("nrc_sub64p", 14, 3),
    ("nis_sub64", 70, 2),
    ("nrc_subgrism256", 5, 2),
)


def describe():
    """Part 1: hardware and software."""
    import cupy

    import gpucal

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "date": datetime.date.today().isoformat(),
        "gpu": properties["name"].decode(),
        "memory_gb": round(properties["totalGlobalMem"] / 1e9, 1),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "gpucal": gpucal.__version__,
    }


def run_tests():
    """Part 2: the tests that run on the GPU."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-k",
        "cuda",
        "tests/kernels",
        "tests/steps",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    lines = done.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"ok": done.returncode == 0, "summary": lines[-1] if lines else done.stderr[-2000:], "failed": failed[:50]}


def compare():
    """Part 3: the same exposures on the GPU and on the CPU."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for configuration, ngroups, nints in SMALL:
            exposure, references = make(configuration, ngroups, nints, Path(scratch))
            gpu, cpu = (calibrate(exposure, references, name) for name in ("cuda", "host"))
            rows.append({"case": f"{configuration} {ngroups}x{nints}", "differing": differing(gpu, cpu)})
    return {"ok": all(not row["differing"] for row in rows), "cases": rows}


def differing(one, other):
    """Return {array: how many values differ} of two pairs of products, leaving out arrays that agree."""
    import numpy as np

    from gpucal.device import to_host

    counts = {}
    for product, a, b in zip(("rate", "rateints"), one, other, strict=True):
        for name in a.arrays:
            x, y = to_host(getattr(a, name)), to_host(getattr(b, name))
            same = x == y
            if x.dtype.kind == "f":
                same |= np.isnan(x) & np.isnan(y)
            if not same.all():
                worst = float(np.nanmax(np.abs(x[~same].astype("f8") - y[~same].astype("f8"))))
                counts[f"{product}.{name}"] = [int((~same).sum()), worst]
    return counts


def sanitize():
    """Part 4: memory errors and races, as NVIDIA's tool finds them."""
    tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    if not tool:
        return {"ok": True, "note": "compute-sanitizer is not installed"}
    result = {"ok": True}
    for check in ("memcheck", "racecheck"):
        command = [tool, "--tool", check, "--error-exitcode", "9", sys.executable, __file__, "--only-small"]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
        result[check] = (done.stdout.strip().splitlines() or [done.stderr[-500:]])[-1]
        result["ok"] &= done.returncode == 0
    return result


def small():
    """What runs under compute-sanitizer: every kernel once, on small exposures."""
    with tempfile.TemporaryDirectory() as scratch:
        for configuration, ngroups, nints in SMALL:
            exposure, references = make(configuration, ngroups, min(nints, 5), Path(scratch))
            calibrate(exposure, references, "cuda", after_jump_flag_time1=1.0, after_jump_flag_dn1=10.0)


def time_steps(repeat=10):
    """Part 5: the time of every step on the GPU, milliseconds by events, median of several runs."""
    import cupy

    from gpucal import device, model
    from gpucal.reference import References
    from gpucal.settings import Settings

    with tempfile.TemporaryDirectory() as scratch:
        exposure, references = make("nrc_full", 10, 1, Path(scratch))
        hardware = device.choose("cuda")
        shelf, steps = References(hardware, references), Settings().pipeline("nircam").steps
        packed = model.read(exposure)
        times: dict[str, list[float]] = {}
        for run in range(repeat + 1):
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            ramp = model.Packed(packed.kind, packed.tree.copy(), packed.source, packed.arrays).unpack(hardware)
            end.record()
            events = [("upload and decode", start, end)]
            for step in steps:
                start, end = cupy.cuda.Event(), cupy.cuda.Event()
                start.record()
                ramp, _ = step.run(ramp, shelf)
                end.record()
                events.append((step.alias, start, end))
            end.synchronize()
            if run:  # the first compiles and loads references
                for name, start, end in events:
                    times.setdefault(name, []).append(cupy.cuda.get_elapsed_time(start, end))
        medians = {name: round(sorted(values)[len(values) // 2], 3) for name, values in times.items()}
        medians["all steps"] = round(sum(v for name, v in medians.items() if name != "upload and decode"), 3)
        free, total = cupy.cuda.runtime.memGetInfo()
        return {"ok": True, "milliseconds": medians, "device_gb_used": round((total - free) / 1e9, 2)}


def end_to_end(batch=16):
    """Part 6: a batch from files to files, against copying the same files."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        first, references = make("nrc_full", 10, 1, work)
        exposures = []
        for k in range(batch):
            exposures.append(work / "data" / first.name.replace("_uncal", f"_{k}_uncal"))
            shutil.copyfile(first, exposures[-1])
        out = work / "out"
        command = [
            sys.executable, "-m", "gpucal", f"input={work}/data/*_[0-9]*_uncal.fits", "reference=folder",
            f"reference.path={Path(next(iter(references.values()))).parent}", f"output_dir={out}", "device=cuda",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        seconds = []
        for _ in range(2):
            shutil.rmtree(out, ignore_errors=True)
            start = time.perf_counter()
            done = subprocess.run(command, env=environment, text=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
            if done.returncode:
                return {"ok": False, "output": (done.stdout + done.stderr)[-2000:]}
        products = sorted(out.glob("*.fits"))
        moved = sum(path.stat().st_size for path in [*exposures, *products])
        start = time.perf_counter()
        for path in exposures:
            path.read_bytes()
        for path in products:
            shutil.copyfile(path, work / "copy.fits")
            with open(work / "copy.fits", "rb+") as file:
                os.fsync(file.fileno())
        copying = time.perf_counter() - start
        return {
            "ok": True, "exposures": batch, "seconds": round(seconds[-1], 3),
            "exposures_per_s": round(batch / seconds[-1], 2), "mb_per_s": round(moved / 1e6 / seconds[-1]),
            "copy_seconds": round(copying, 3),
            "copy_mb_per_s": round(moved / 1e6 / copying), "output": done.stdout[-500:],
        }  # fmt: skip


def make(configuration, ngroups, nints, folder):
    """Simulate an exposure with its references; return its path and {type: path}."""
    from gpucal import sample

    place = folder / f"{configuration}_{ngroups}x{nints}"
    references = sample.make_references(configuration, place / "refs", ngroups=ngroups, nints=nints)
    (exposure,) = sample.make_exposures(configuration, place / "data", ngroups=ngroups, nints=nints)
    return exposure, references


def calibrate(exposure, references, name, **jump):
    """Return the slopes of an exposure, calibrated on the named device."""
    from gpucal import device, model
    from gpucal.reference import References
    from gpucal.settings import Settings

    hardware = device.choose(name)
    ramp = model.open(exposure, hardware)
    pipeline = Settings(values={"steps": {"jump": jump}}).pipeline(ramp.need("instrument.name").lower())
    return pipeline.run(ramp, References(hardware, references))[0]


PARTS = {
    "machine": describe, "tests": run_tests, "gpu equals cpu": compare, "sanitizer": sanitize,
    "steps": time_steps, "end to end": end_to_end,
}  # fmt: skip


def markdown(result):
    """Return the report as a Markdown page."""
    about, steps, whole = result["machine"], result["steps"], result["end to end"]
    lines = [
        "# Measured on a GPU",
        "",
        f"{about.get('date')}, {about.get('gpu')}, CUDA {about.get('cuda')}, CuPy {about.get('cupy')},",
        f"gpucal {about.get('gpucal')};",
        "made by `python scripts/gpu_check.py`.",
        "",
        "| what | result |",
        "|---|---|",
    ]
    for name in ("tests", "gpu equals cpu", "sanitizer"):
        part = result[name]
        lines.append(
            f"| {name} | {'ok' if part.get('ok') else 'FAILED'}: {part.get('summary') or part.get('error') or ''} |"
        )
    for name, value in steps.get("milliseconds", {}).items():
        lines.append(f"| {name}, NIRCam full frame 10x1 | {value} ms |")
    lines.append(
        f"| batch, files to files | {whole.get('exposures_per_s')} exposures/s, {whole.get('mb_per_s')} MB/s |"
    )
    lines.append(f"| copying the same files | {whole.get('copy_mb_per_s')} MB/s |")
    return "\n".join(lines) + "\n"


def main():
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--only-small", action="store_true", help="what runs under compute-sanitizer")
    arguments = parser.parse_args()
    if arguments.only_small:
        return small()
    result = {}
    for name, part in PARTS.items():
        start = time.perf_counter()
        try:
            result[name] = part()
        except Exception as error:
            result[name] = {
                "ok": False,
                "error": f"{type(error).__name__}: {error}",
                "trace": traceback.format_exc()[-3000:],
            }
        result[name]["took_s"] = round(time.perf_counter() - start, 1)
        print(f"{name}: {json.dumps(result[name], indent=1)}", flush=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(result))
    sys.exit(not all(result[name].get("ok") for name in ("tests", "gpu equals cpu", "sanitizer")))


if __name__ == "__main__":
    main()
