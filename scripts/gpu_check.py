"""Check gpucal on a machine with a GPU, in one call, and write everything to one JSON file.

    python scripts/gpu_check.py --json gpu.json --markdown docs/gpu.md

What it does, in this order; a part that fails is noted and the next one runs:
 1. describes the hardware and the software;
 2. runs the tests of kernels and steps on the GPU (pytest -k cuda);
 3. calibrates small exposures of every instrument and option on both, and compares every value to the last bit;
 4. runs a small calibration under compute-sanitizer (memcheck, racecheck) if it is installed;
 5. times every step on the GPU by events, for a NIRCam full frame of 10 groups, and the heavy options of Stage 1;
 6. calibrates a batch from files to files, and copies the same files, and compares the bytes per second.

It needs CuPy, pytest, rich and gpucal's dependencies, and a C++ compiler for part 3; no network. It works in a checkout
without installation. Exit code 0 if parts 2 to 4 found nothing wrong.
"""

import argparse
import dataclasses
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
    "nrc_sub160:6x2 nrc_sub64p:8x100 nrc_sub64p:14x3 nis_sub64:70x2 nrc_subgrism256:5x2 mir_sub64:8x3 "
    "mir_sub64:40x2:41+sample.interference=6+emicorr.skip=false+firstframe.skip=false "
    "mir_sub64:6x4:43+sample.interference=6+emicorr.skip=false+emicorr.algorithm=sequential "
    "mir_brightsky:12x1:2+sample.showers=4+jump.find_showers=true "
    "nrs_sub512:4x2 nrs_irs2:2x1 nrs2_irs2:2x1:5+refpix.irs2_mean_subtraction=true "
    "nis_full:2x1:4+refpix.refpix_algorithm=sirs "
    "nrs_full:3x1:4+picture_frame.skip=false+picture_frame.mask_science_regions=false "
    "nrc_sub160:6x3:2+jump.expand_large_events=true+jump.sat_required_snowball=false "
    "nrc_sub160:5x2:81+sample.zeroframe=true+sample.readpatt=SHALLOW4+sample.inverse_linearity=true "
    "nrc_sub160:5x2:51+clean_flicker_noise.skip=false+clean_flicker_noise.background_method=model "
    "nrs_full:3x1:5+sample.exp_type=NRS_FIXEDSLIT+clean_flicker_noise.skip=false+clean_flicker_noise.fit_method=fft "
    "nrc_sub160:7x2:8+charge_migration.skip=false+charge_migration.signal_threshold=3000 "
    "nis_sub64:5x6:52+persistence.skip=false+persistence.persistence_time=3 "
    "nrc_sub160:6x2:9+ramp_fit.algorithm=LIKELY nrc_sub160:6x3:10+ramp_fit.suppress_one_group=false"
)
FOURIER = 5e-3  # DN/s; cuFFT and SciPy add up in different orders
HEAVY = (
    "nrc_full:10x1:21+jump.expand_large_events=true mir_full:20x1:11+sample.showers=6+jump.find_showers=true "
    "nrc_full:10x1:5+clean_flicker_noise.skip=false nrs_irs2:10x1:3+refpix.siglimit=3.0 "
    "mir_full:40x1:7+sample.interference=6+emicorr.skip=false nrc_full:10x1:2+ramp_fit.algorithm=LIKELY"
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
        for case in parsed(SMALL):
            exposure, references = case.make(Path(scratch))
            gpu, cpu = (calibrate(case, exposure, references, name) for name in ("cuda", "host"))
            rows.append({"case": str(case), "differing": differing(gpu, cpu)})
    return {"ok": not any(beyond(row) for row in rows), "cases": rows}


def beyond(row):
    """Tell whether a case differs more than it may: not at all, or by FOURIER where transforms are a library's."""
    allowed = FOURIER if any(word in row["case"] for word in ("irs2", "sirs", "fft")) else 0.0
    return any(worst > allowed for _, worst in row["differing"].values())


def differing(one, other):
    """Return {array: how many values differ} of two pairs of products, leaving out arrays that agree."""
    import numpy as np

    from gpucal.device import to_host

    counts = {}
    for product, a, b in zip(("rate", "rateints"), one, other, strict=True):
        for name in a.held:
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
        for case in parsed(SMALL):
            case = dataclasses.replace(case, nints=min(case.nints, 5))
            exposure, references = case.make(Path(scratch))
            calibrate(case, exposure, references, "cuda", after_jump_flag_time1=1.0, after_jump_flag_dn1=10.0)


def time_steps(repeat=10):
    """Part 5: the time of every step on the GPU, milliseconds by events, median of several runs."""
    import cupy

    with tempfile.TemporaryDirectory() as scratch:
        (plain,) = parsed("nrc_full:10x1")
        medians = timed(plain, Path(scratch), repeat)
        medians["all steps"] = round(sum(v for name, v in medians.items() if name != "upload and decode"), 3)
        options = {}
        for case in parsed(HEAVY):
            found = timed(case, Path(scratch), 3)
            options |= {f"{name} of {case}": value for name, value in found.items() if name in case.steps}
        free, total = cupy.cuda.runtime.memGetInfo()
        return {
            "ok": True, "milliseconds": medians, "options": options, "device_gb_used": round((total - free) / 1e9, 2),
        }  # fmt: skip


def timed(case, folder, repeat):
    """Return {step: milliseconds} of a case on the GPU, the median of several runs after the first."""
    import cupy

    from gpucal import device, model
    from gpucal.reference import References
    from gpucal.settings import Settings

    exposure, references = case.make(folder / str(case))
    hardware = device.choose("cuda")
    shelf, packed = References(hardware, references), model.read(exposure)
    steps = Settings(values={"steps": case.steps}).pipeline(packed.tree.meta.instrument.name.lower()).steps
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
    return {name: round(sorted(values)[len(values) // 2], 3) for name, values in times.items()}


def end_to_end(batch=16):
    """Part 6: a batch from files to files, against copying the same files."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (case,) = parsed("nrc_full:10x1")
        first, references = case.make(work)
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


def parsed(cases):
    """Return the Cases of a text."""
    from cases import Case

    return [Case.parse(text) for text in cases.split()]


def calibrate(case, exposure, references, name, **jump):
    """Return the slopes of a case's exposure, calibrated on the named device."""
    from gpucal import device, model
    from gpucal.reference import References
    from gpucal.settings import Settings

    hardware = device.choose(name)
    ramp = model.open(exposure, hardware)
    steps = case.steps | {"jump": {**case.steps.get("jump", {}), **jump}}
    pipeline = Settings(values={"steps": steps}).pipeline(ramp.need("instrument.name").lower())
    result, outcomes = pipeline.run(ramp, References(hardware, references))
    wanted = {name for name, parameters in case.steps.items() if parameters.get("skip") is False}
    if idle := {o.step: o.reason for o in outcomes if o.step in wanted and o.status != "COMPLETE"}:
        raise AssertionError(f"{case}: not run, so not compared: {idle}")
    return result


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
    lines += [f"| {name} | {value} ms |" for name, value in steps.get("options", {}).items()]
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
