"""The steps, one noun per file; the file's name is the step's name in configurations."""

import importlib
import pkgutil

from gpucal.step import STEPS

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

globals().update({step.__name__: step for step in STEPS.values()})
__all__ = sorted(step.__name__ for step in STEPS.values())
