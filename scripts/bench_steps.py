"""Time single steps of gpucal and of the official pipeline on the same exposure, in one process, and print the ratios.

    python scripts/bench_steps.py                              the heavy options of Stage 1
    python scripts/bench_steps.py nrc_full:10x1+jump.expand_large_events=true+sample.snowballs=6

Both pipelines run in lockstep, as in parity.py; only the steps with settings are shown, or all with --every. Wall-clock
seconds of the first run of a step with compiled kernels, and of the best of three on copies of its input: what a
batch sees: references are read once per run.
"""

import argparse
import tempfile
import time
from pathlib import Path

import official
from cases import CASE, Case
from rich.console import Console
from rich.table import Table

from gpucal import compiler, device, kernel, model
from gpucal.reference import References
from gpucal.settings import Settings

HEAVY = (
    "nrc_full:10x1:21+jump.expand_large_events=true mir_full:20x1:11+sample.showers=6+jump.find_showers=true "
    "nrc_full:10x1:5+clean_flicker_noise.skip=false nrs_irs2:10x1:3+refpix.siglimit=3.0 "
    "mir_full:40x1:7+sample.interference=6+emicorr.skip=false nrc_full:10x1:2+ramp_fit.algorithm=LIKELY "
    "nrc_full:6x1:5+charge_migration.skip=false nis_full:5x1:4+persistence.skip=false+persistence.persistence_time=60"
).split()


def bench(case, every, folder):
    """Yield (step, official seconds, first of gpucal's, best of gpucal's)."""
    exposure, files = case.make(folder)
    hardware = device.choose()
    shelf = References(hardware, files)
    ours = model.open(exposure, hardware)
    pipeline = Settings(values={"steps": case.steps}).pipeline(ours.need("instrument.name").lower())
    steps = {step.alias: step for step in pipeline.steps if not step.skip}
    state, rows = {"model": ours, "since": 0.0}, []

    def on_step(name, theirs):
        seconds = time.perf_counter() - state["since"]
        if name in steps and not isinstance(state["model"], model.Slopes):
            step = steps[name]
            repeats = [state["model"].copy() for _ in range(3 if name in case.steps or every else 0)]
            timed = [_timed(step, one, shelf) for one in repeats]
            first = time.perf_counter()
            state["model"], outcome = step.run(state["model"], shelf)
            first = time.perf_counter() - first
            if (name in case.steps or every) and outcome.status == "COMPLETE":
                rows.append((name, seconds, timed[0], min(timed)))
        state["since"] = time.perf_counter()

    pipe = official.pipeline("Detector1Pipeline", files, case.settings)
    official.watch(pipe, on_step)
    state["since"] = time.perf_counter()
    pipe.run(str(exposure))
    return rows


def _timed(step, exposure, shelf):
    start = time.perf_counter()
    step.run(exposure, shelf)
    return time.perf_counter() - start


def main():
    """Time the steps of the cases asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", type=Case.parse, help=CASE)
    parser.add_argument("--every", action="store_true", help="show all steps")
    arguments = parser.parse_args()
    official.silence()
    device.choose()
    from gpucal import steps  # noqa: F401  (declares the kernels)

    if kernel.numpy_arrays_run_on == "host":
        compiler.warm(kernel.KERNELS.values())
    table = Table(box=None)
    for heading in ("case", "step", "official, s", "gpucal, s", "best, s", "times"):
        table.add_column(heading, justify="left" if heading in ("case", "step") else "right", no_wrap=True)
    console = Console(highlight=False, width=140)
    for case in arguments.cases or [Case.parse(text) for text in HEAVY]:
        with tempfile.TemporaryDirectory() as folder:
            for name, theirs, first, best in bench(case, arguments.every, Path(folder)):
                shape = f"{case.configuration} {case.ngroups}x{case.nints}"
                table.add_row(shape, name, f"{theirs:.2f}", f"{first:.3f}", f"{best:.3f}", f"{theirs / best:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
