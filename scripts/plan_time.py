"""Time what a batch does before it starts: compose the configuration, read the headers, resolve the references.

    python scripts/plan_time.py                                   1000 NIRCam exposures and a CRDS cache made for them
    python scripts/plan_time.py --cache CACHE --context jwst_0676.pmap      with the rules of a cache of your own

The exposures are header-only copies of one, each with its own time, spread over detectors and filters, so that no two
of them look the same to CRDS. Files that the cache lacks are counted, not fetched.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

from astropy.io import fits

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

DETECTORS = [f"NRC{module}{number}" for module in "AB" for number in (1, 2, 3, 4)]
FILTERS = ["F070W", "F090W", "F115W", "F150W", "F200W"]


def headers(count, folder):
    """Write header-only exposures; return their paths."""
    from gpucal.sample import make_exposures

    (one,) = make_exposures("nrc_sub160", folder / "one", ngroups=2)
    with fits.open(one) as hdus:
        primary, sci = hdus[0].header, hdus["SCI"].header
        size = hdus["SCI"].fileinfo()["datLoc"]
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        detector = DETECTORS[number % len(DETECTORS)]
        primary["DETECTOR"], primary["FILTER"] = detector, FILTERS[number // len(DETECTORS) % len(FILTERS)]
        primary["SUBARRAY"], primary["DATE-OBS"] = "FULL", f"2023-{number % 12 + 1:02}-{number % 28 + 1:02}"
        primary["TIME-OBS"] = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.123"
        path = folder / f"jw01234001001_02101_{number:05}_{detector.lower()}_uncal.fits"
        path.write_text(primary.tostring() + sci.tostring())
        paths.append(path)
    assert paths[0].stat().st_size <= size + 2880
    return paths


def cache(folder):
    """Make a CRDS cache with references for all detectors; return its path."""
    from gpucal.sample import make_references
    from tests.crds_cache import MadeCache

    made, rules = MadeCache(folder / "cache"), {}
    make_references("nrc_sub160", folder / "refs", ngroups=2)
    for file in sorted((folder / "refs").glob("*.fits")):
        fits.setval(file, "DETECTOR", value="ANY")
        names = {detector: f"jwst_nircam_{file.stem}_{n:04}.fits" for n, detector in enumerate(DETECTORS)}
        rules[file.stem] = {detector: {"2020-01-01": name} for detector, name in names.items()}
        for name in names.values():
            made.add(name, file)
    made.write_context(1, {"NIRCAM": rules})
    made.note_server()
    return made.path


def main():
    """Make the exposures, plan the batch and print the seconds of each part."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--exposures", type=int, default=1000)
    arguments.add_argument("--cache", type=Path)
    arguments.add_argument("--context")
    given = arguments.parse_args()
    os.environ.pop("CRDS_SERVER_URL", None)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = headers(given.exposures, folder / "data")
        where = given.cache or cache(folder)
        clock = [time.perf_counter()]

        from gpucal.batch import plan
        from gpucal.reference import References, library
        from gpucal.settings import Settings

        settings = Settings()
        settings.pipeline("nircam")
        clock.append(time.perf_counter())
        references = References(library=library("crds", where, given.context))
        clock.append(time.perf_counter())
        made = plan.make(files, settings, references)
        clock.append(time.perf_counter())
    composing, client, planning = (after - before for before, after in itertools.pairwise(clock))
    print(f"{len(files)} exposures, {len(made.troubles)} of them lack files, {len(made.grouped)} causes")
    print(f"composing {composing:.2f} s, CRDS client {client:.2f} s, headers and references {planning:.2f} s")
    print(f"together {clock[-1] - clock[0]:.2f} s")


if __name__ == "__main__":
    main()
