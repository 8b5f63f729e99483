"""Calibrate James Webb Space Telescope exposures on GPUs and CPUs.

gpucal.run("data/*_uncal.fits", output_dir="out", references="refs")
gpucal.pipeline("detector1", steps={"jump": {"rejection_threshold": 5}}, references="refs")("x_uncal.fits").rate
gpucal.steps.Jump(override_gain="gain.fits", override_readnoise="rn.fits")("x_dark_current.fits")
"""

__version__ = "0.1.0"

_PLACES = {"run": "api", "pipeline": "api", "steps": "steps", "References": "reference"}


def __getattr__(name):
    """Import what is asked for when it is asked for: `import gpucal` alone costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'gpucal' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"gpucal.{_PLACES[name]}")
    return module if name == "steps" else getattr(module, name)
