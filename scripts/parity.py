"""Compare gpucal with the installed official pipeline, step by step, on the same simulated exposures and references.

    python scripts/parity.py                       a few small cases
    python scripts/parity.py --all                 every configuration, many shapes and seeds
    python scripts/parity.py nrc_sub160:6x2:3      configuration:ngroups x nints:seed
    python scripts/parity.py nrc_sub160:6x2:3+jump.rejection_threshold=5+ipc.skip=true
    python scripts/parity.py nrc_sub160:6x2:3+sample.readpatt=SHALLOW4+sample.inverse_linearity=true
    python scripts/parity.py --all --markdown docs/parity.md

Both pipelines run in lockstep: after each official step the same step of gpucal runs, and all arrays are compared. So
the rows show how far the results are apart after the whole chain up to that step. Exit code 1 if a bar is missed.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import official
from cases import CASE, Case
from rich.console import Console
from rich.table import Table

from gpucal import device, model
from gpucal.device import to_host
from gpucal.reference import References
from gpucal.settings import Settings

SMALL = (
    "nrc_sub160:6x2 nrc_sub160:1x1 nrc_sub160:2x3 nrc_sub64p:8x100 nrc_sub64p:14x3 nis_sub64:5x6 nis_sub64:3x2 "
    "mir_sub64:8x3"
)
# fmt: off
ALL = (
    # The near-infrared imagers as they run by default.
    "nrc_full:10x1 nrc_full:10x1:2 nrc_full:4x1:3 nrc_full_rapid:5x4 nrc_full_rapid:16x1:2 nrc_full_rapid:2x1:3 "
    "nrc_full_rapid:1x1:4 nrcblong_full:6x1 nrcblong_full:3x2:2 nis_full:8x1 nis_full:12x1:2 fgs_full:7x1 "
    "fgs_full:3x2:2 "
    "nrc_subgrism256:6x5 nrc_subgrism256:16x2:2 nrc_subgrism256:2x2:3 "
    "nrc_sub160:6x2 nrc_sub160:1x1:2 nrc_sub160:2x3:3 nrc_sub160:3x2:4 nrc_sub160:4x5:5 nrc_sub160:16x1:6 "
    "nrc_sub160:12x4:7 nrc_sub64p:8x100 nrc_sub64p:14x3:2 nrc_sub64p:5x10:3 nrc_sub64p:1x100:4 nrc_sub64p:2x20:5 "
    "nrc_sub64p:3x99:6 nis_sub64:5x6 nis_sub64:3x2:2 nis_sub64:16x16:3 nis_sub64:11x1:4 nis_sub64:1x4:5 "
    # MIRI, by default and with its own options.
    "mir_sub64:8x3 mir_full:12x2:9 mir_brightsky:15x3:10 mir_sub64:20x20:42 mir_sub64:1x7:44 mir_sub64:2x3:45 "
    "mir_full:8x2:50+sample.interference=6+emicorr.skip=false+firstframe.skip=false "
    "mir_sub64:40x2:41+sample.interference=6+emicorr.skip=false "
    "mir_sub64:4x20:43+sample.interference=6+emicorr.skip=false+emicorr.fit_ints_separately=true "
    "mir_sub64:6x12:47+firstframe.skip=false+persistence.skip=false+persistence.persistence_time=1 "
    "mir_brightsky:12x1:49+sample.interference=6+emicorr.skip=false+emicorr.algorithm=sequential "
    # NIRSpec, traditional and IRS2 readout.
    "nrs_full:3x2:2 nrs_irs2:4x1:3 nrs2_irs2:3x1:4 nrs2_irs2:2x2:5+refpix.irs2_mean_subtraction=true "
    "nrs_allslits:3x1:4 nrs_sub512:4x2:3 nrs_sub512:3x1:4+refpix.odd_even_columns=false "
    # Options of all.
    "nrc_full:2x1:3+refpix.refpix_algorithm=sirs nis_full:2x2:4+refpix.refpix_algorithm=sirs+refpix.halfwidth=12 "
    "nrc_full:4x1:51+sample.inverse_linearity=true "
    "nrc_sub160:5x2:81+sample.readpatt=SHALLOW4+sample.zeroframe=true+sample.inverse_linearity=true "
    "nis_sub64:5x6:52+persistence.skip=false+persistence.persistence_time=3+persistence.dn_threshold=20000 "
    "nrc_sub160:7x2:8+charge_migration.skip=false+charge_migration.signal_threshold=3000 "
    "nrc_full:6x1:5+charge_migration.skip=false mir_sub64:9x2:2+charge_migration.skip=false "
    "nrc_full_rapid:10x1:21+jump.expand_large_events=true nrc_full_rapid:5x3:22+jump.expand_large_events=true "
    "nrc_sub160:6x3:2+jump.expand_large_events=true+jump.sat_required_snowball=false "
    "mir_full:20x1:11+sample.showers=6+jump.find_showers=true mir_sub64:5x100:4+jump.find_showers=true "
    "mir_brightsky:12x1:2+sample.showers=4+jump.find_showers=true "
    "nrc_full:10x1:5+clean_flicker_noise.skip=false "
    "nrc_full:4x1:3+clean_flicker_noise.skip=false+clean_flicker_noise.fit_by_channel=true "
    "nis_full:8x1:5+clean_flicker_noise.skip=false fgs_full:3x2:4+clean_flicker_noise.skip=false "
    "nrc_sub160:5x2:51+clean_flicker_noise.skip=false+clean_flicker_noise.background_method=model "
    "mir_sub64:6x2:53+clean_flicker_noise.skip=false "
    "nrc_sub160:8x3:9+ramp_fit.algorithm=LIKELY mir_sub64:30x2:3+ramp_fit.algorithm=LIKELY "
    "nrc_sub160:6x3:10+ramp_fit.suppress_one_group=false "
    "nrc_sub160:10x2:12+ramp_fit.firstgroup=1+ramp_fit.lastgroup=7 "
    "nrc_sub160:10x2:13+jump.after_jump_flag_dn1=500+jump.after_jump_flag_time1=2"
    "+jump.after_jump_flag_dn2=5000+jump.after_jump_flag_time2=4 "
    "nrc_sub160:8x2:14+jump.rejection_threshold=3+jump.flag_4_neighbors=false "
    "nrc_full_rapid:8x1:15+dark_current.average_dark_current=0.05 "
    "nrs_full:4x1:16+picture_frame.skip=false+picture_frame.mask_science_regions=false "
    "nrs_full:4x1:17+sample.exp_type=NRS_FIXEDSLIT"
    "+clean_flicker_noise.skip=false+clean_flicker_noise.fit_method=fft "
    # Readouts with stripes; darks are not cut by the official pipeline.
    "nrc_supstp:4x1:64+sample.readpatt=BRIGHT2+sample.zeroframe=true nrc_sub64p_supstp008:4x2:65 "
    "nrc_sub64p_supstp032:4x1:66+jump.skip=true+ramp_fit.skip=true+gain_scale.skip=true "
    "nis_sub204stripe:4x1:67+ipc.skip=true nrc_sub164stripe4:4x1:68+sample.readpatt=BRIGHT2+sample.zeroframe=true "
    "nrc_substripes:4x2:69+ipc.skip=true "
    # Other pipelines: darks, guide stars.
    "nrc_sub160:5x2:71+run.pipeline=dark nis_full:4x2:72+run.pipeline=dark mir_full:6x2:73+run.pipeline=dark "
    "nrs_full:3x1:74+run.pipeline=dark nrs_irs2:3x1:75+run.pipeline=dark fgs_full:4x1:76+run.pipeline=dark "
    "FGS_ID-IMAGE:2x2:81 FGS_ID-STACK:2x2:82+dq_init.skip=true FGS_ACQ1:2x6:83 FGS_ACQ2:2x5:84 FGS_TRACK:2x40:85 "
    "FGS_FINEGUIDE:8x40:86"
)
# fmt: on
LIMIT = 1e-5  # relative, for SHARE of the pixels
SHARE = 0.99999
LIMIT_DN = 1e-3  # of the first group of refpix, single precision; of flicker noise in Fourier space, for SHARE
IRS2 = 5e-3  # DN or DN/s; its transforms are single precision, so that the last bit of a bright count may differ

RAMP = {"data": "SCI", "pixeldq": "PIXELDQ", "groupdq": "GROUPDQ", "zeroframe": "ZEROFRAME"}
GUIDER = {"data": "SCI", "err": "ERR", "dq": "DQ"}
RATE = {"data": "SCI", "err": "ERR", "var_poisson": "VAR_POISSON", "var_rnoise": "VAR_RNOISE", "dq": "DQ"}


@dataclass
class Difference:
    """How far one array of both pipelines is apart after a step."""

    case: Case
    step: str
    array: str
    count: int
    equal: int  # to the last bit
    nan: int = 0  # NaN in one of the two
    largest: float = 0.0  # relative
    usual: float = 0.0  # relative, the 99.999th percentile
    largest_dn: float = 0.0
    usual_dn: float = 0.0  # the 99.999th percentile

    @property
    def is_dq(self):
        """Whether the array holds flags."""
        return self.array.endswith("DQ")

    @property
    def is_irs2(self):
        """Whether the exposure was read with interleaved reference pixels."""
        return "irs2" in str(self.case)

    @property
    def passed(self):
        """Whether the bar is met: flags the same, NaN in the same places, values within the limit."""
        if self.is_dq:
            return self.equal == self.count
        in_dn = self.usual_dn if "fft" in str(self.case) else self.largest_dn
        return self.nan == 0 and (self.usual <= LIMIT or in_dn <= (IRS2 if self.is_irs2 else LIMIT_DN))


def compare(case, device_name="auto", folder=None, **options):
    """Run both pipelines on a case; return the Differences and what they say about the metadata.

    options: for gpucal.sample.make_references.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        exposure, files = case.make(Path(scratch), **options)
        return compare_files(case, exposure, files, device_name, case.settings, case.pipeline)


def compare_files(case, exposure, references, device_name="auto", settings=None, pipeline="detector1"):
    """Run both pipelines on an exposure with reference files {type: path}; return the Differences."""
    hardware = device.choose(device_name)
    shelf = References(hardware, references)
    ours = model.open(exposure, hardware)
    values = {}
    for key, value in (settings or {}).items():
        step, parameter = key.split(".")
        values.setdefault(step, {})[parameter] = value
    asked = Settings(values={"steps": values, "pipeline": pipeline})
    steps = [step for step in asked.pipeline(ours.need("instrument.name").lower()).steps if not step.skip]
    state, differences = {"model": ours}, []

    def on_step(name, theirs):
        while steps and name != steps[0].alias and name in [step.alias for step in steps]:
            raise AssertionError(f"gpucal runs {steps[0].alias} where the official pipeline runs {name}")
        if not steps or steps[0].alias != name:
            return  # the second gain_scale, or a step that gpucal lacks
        state["model"], outcome = steps.pop(0).run(state["model"], shelf)
        if (settings or {}).get(f"{name}.skip") is False and outcome.status != "COMPLETE":
            raise AssertionError(f"{case}: {name} {outcome.status}, {outcome.reason}: nothing is compared")
        differences.extend(_differences(case, name, state["model"], theirs))

    pipe = official.pipeline(f"{pipeline.title()}Pipeline", references, settings)
    official.watch(pipe, on_step)
    pipe.run(str(exposure))
    if steps:
        raise AssertionError(f"{case}: the official pipeline ended before {steps[0].alias}")
    return differences


def _differences(case, step, ours, theirs):
    if isinstance(ours, model.Slopes):
        theirs = theirs if isinstance(theirs, tuple) else (theirs,)
        for name, mine, other in zip(("rate", "rateints"), ours, theirs, strict=False):
            for attribute, extension in RATE.items():
                yield difference(case, step, f"{name} {extension}", getattr(mine, attribute), getattr(other, attribute))
        return
    for attribute, extension in (RAMP if isinstance(ours, model.Ramp) else GUIDER).items():
        if getattr(ours, attribute) is not None:
            yield difference(case, step, extension, getattr(ours, attribute), getattr(theirs, attribute))


def difference(case, step, name, ours, theirs):
    """Return the Difference of two arrays; relative to the official one where that is not 0."""
    ours, theirs = to_host(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise AssertionError(f"{case}, {step}, {name}: shape {ours.shape}, official {theirs.shape}")
    if ours.dtype.kind == "u":
        return Difference(case, step, name, ours.size, int((ours == theirs).sum()))
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    result = Difference(case, step, name, ours.size, int(same.sum()))
    result.nan = int((np.isnan(ours) != np.isnan(theirs)).sum())
    a, b = ours[~same].astype("f8"), theirs[~same].astype("f8")
    if a.size:
        apart = np.abs(a - b)
        relative = np.divide(apart, np.abs(b), out=np.full(a.shape, np.inf), where=b != 0)
        relative = relative[~np.isnan(relative)]
        beyond = int(np.floor((1 - SHARE) * ours.size))  # that many pixels may be further apart
        result.largest = float(relative.max(initial=0))
        result.usual, result.usual_dn = (
            float(np.sort(values)[::-1][beyond]) if values.size > beyond else 0.0 for values in (relative, apart)
        )
        result.largest_dn = float(np.nanmax(apart, initial=0))
    return result


def table(differences, key):
    """Return rows of text, one for each value of key(difference): the worst of what belongs to it."""
    groups = {}
    for d in differences:
        groups.setdefault(key(d), []).append(d)
    for name, mine in groups.items():
        flags, values = [d for d in mine if d.is_dq], [d for d in mine if not d.is_dq]
        yield (
            *name,
            f"{sum(d.count for d in flags):,}",
            f"{sum(d.count - d.equal for d in flags):,}",
            f"{sum(d.count for d in values):,}",
            f"{sum(d.count - d.equal for d in values):,}",
            f"{sum(d.nan for d in values):,}",
            f"{max(d.largest for d in values):.1e}",
            f"{max(d.usual for d in values):.1e}",
            "yes" if all(d.passed for d in mine) else "NO",
        )


MARKS = ("<!-- made by scripts/parity.py -->", "<!-- until here -->")
HEADINGS = ("flags", "differ", "values", "differ", "NaN", "largest", "99.999 %", "met")


def write_markdown(path, differences, arguments):
    """Write the tables, step by step and case by case, in place of those in the file, between its two marks."""
    arguments = [a for a, before in zip(arguments, ["", *arguments], strict=False) if "--work" not in (a, before)]
    parts = [MARKS[0], f"`python scripts/parity.py {' '.join(arguments)}`, jwst {version('jwst')}:"]
    for name, key in (("step", lambda d: (d.step,)), ("case", lambda d: (str(d.case),))):
        rows = [(name, *HEADINGS), ["---"] + ["---:"] * len(HEADINGS), *table(differences, key)]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
    text = path.read_text() if path.exists() else "\n".join(MARKS)
    before, _, rest = text.partition(MARKS[0])
    path.write_text(before + "\n\n".join([*parts, MARKS[1]]) + (rest.partition(MARKS[1])[2] or "\n"))


def main():
    """Compare, print the table, and say by the exit code whether every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", type=Case.parse, help=CASE)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--device", default="auto", choices=device.CHOICES)
    parser.add_argument("--markdown", type=Path, help="put the tables into this file")
    parser.add_argument("--work", type=Path, help="folder for the simulated files")
    arguments = parser.parse_args()
    official.silence()
    console = Console(highlight=False)
    cases = arguments.cases or [Case.parse(text) for text in (ALL if arguments.all else SMALL).split()]
    differences = []
    for case in cases:
        found = compare(case, arguments.device, arguments.work)
        verdict = "met" if all(d.passed for d in found) else "MISSED"
        differing, count = sum(d.count - d.equal for d in found), sum(d.count for d in found)
        console.print(f"{case}: {verdict}, {differing} of {count} values differ")
        differences += found
    shown = Table(title="all cases; relative differences, the largest and that of 99.999 % of the values", box=None)
    for heading in ("step", *HEADINGS):
        shown.add_column(heading, justify="left" if heading == "step" else "right", no_wrap=True)
    for row in table(differences, lambda d: (d.step,)):
        shown.add_row(*row)
    console.print(shown)
    if arguments.markdown:
        write_markdown(arguments.markdown, differences, sys.argv[1:])
    sys.exit(not all(d.passed for d in differences))


if __name__ == "__main__":
    main()
