"""Run the official pipeline (package jwst) on local reference files, without any contact to a server.

Used by parity.py and bench.py, and by itself:  python scripts/official.py REFERENCES OUTPUT [KEY=VALUE...] UNCAL...
KEY is step.parameter; REFERENCES is a folder of files <type>.fits or <type>.asdf.
"""

import os
import sys
import warnings
from pathlib import Path

import yaml

# Before anything of the official packages is imported: no parameter references, no server.
os.environ["STPIPE_DISABLE_CRDS_STEPPARS"] = "True"
os.environ["CRDS_SERVER_URL"] = "https://crds-serverless-mode.stsci.edu"
os.environ.setdefault("CRDS_PATH", "/nonexistent")
os.environ["CRDS_OBSERVATORY"] = "jwst"
CONTEXT = "local_0000.pmap"


def references(folder):
    """Return {type: path} of the reference files in a folder."""
    return {file.stem: file for file in Path(folder).iterdir() if file.suffix in (".fits", ".asdf")}


def pipeline(name, available, settings=None, skip=()):
    """Return the official pipeline ("Detector1Pipeline") with every reference overridden, by a file or by N/A.

    settings: {"jump.rejection_threshold": 5}.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, at import
        import crds
        import stpipe.crds_client
        from jwst import pipeline as official

    stpipe.crds_client.get_context_used = lambda observatory: CONTEXT
    crds.getreferences = lambda parameters, reftypes=None, **_: {
        t: str(available.get(t, "NOT FOUND n/a")) for t in reftypes or []
    }
    pipe = getattr(official, name)()
    for step_name in pipe.step_defs:
        step = getattr(pipe, step_name)
        for reftype in step.reference_file_types:
            setattr(step, f"override_{reftype}", str(available.get(reftype, "N/A")))
        step.skip = step.skip or step_name in skip
    for key, value in (settings or {}).items():
        step_name, parameter = key.split(".")
        setattr(getattr(pipe, step_name), parameter, value)
    return pipe


def watch(pipe, on_step):
    """Call on_step(name, result) after each step of a pipeline that was not skipped by configuration."""
    for name in pipe.step_defs:
        step = getattr(pipe, name)
        step.run = _watched(step, name, on_step)


def _watched(step, name, on_step):
    run = step.run

    def run_and_tell(*args):
        result = run(*args)
        if not step.skip:
            on_step(name, result)
        return result

    return run_and_tell


def silence():
    """Leave only errors of the official packages' logs."""
    import logging

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def main(folder, output, *given):
    """Calibrate exposures through Stage 1, files to files; step.parameter=VALUE among them are settings."""
    silence()
    available = references(folder)
    settings = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in given) if value}
    for exposure in (one for one in given if "=" not in one):
        pipe = pipeline("Detector1Pipeline", available, settings)
        pipe.output_dir, pipe.save_results = output, True
        pipe.run(exposure)


if __name__ == "__main__":
    main(*sys.argv[1:])
