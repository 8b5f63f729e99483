"""Hooks: what a user wants to be done before or after a step - a function, another step, or a shell command."""

import importlib
import logging
import re
import subprocess
import tempfile
from pathlib import Path

from gpucal.errors import GpucalError, HookError

log = logging.getLogger(__name__)


def run_hooks(hooks, model, references, where):
    """Call every hook with the model; return the last model that one of them gave back, or the model itself.

    A hook is a callable, the dotted name of one, a Step (class, object or name), or a shell command in which {0} stands
    for a file with the model; a command that changes the file changes the model. HookError if one fails.
    """
    for hook in hooks:
        name = hook if isinstance(hook, str) else getattr(hook, "__name__", type(hook).__name__)
        try:
            model = _run(hook, model, references, where) or model
        except GpucalError as error:
            raise HookError(f"{where} {name}: {error}") from error
        except Exception as error:
            raise HookError(f"{model.source}: {where} {name}: {type(error).__name__}: {error}") from error
    return model


def imported(name):
    """Return the object of a dotted name, package.module.object; None for other texts. HookError if it is missing."""
    if not re.fullmatch(r"\w+(\.\w+)+", name):
        return None
    place, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(place), attribute)
    except (ImportError, AttributeError) as error:
        raise HookError(f"{name}: {error}") from error


def _run(hook, model, references, where):
    from gpucal.step import Step, find

    if isinstance(hook, str):
        found = find(hook) or imported(hook)
        if found is None:
            return _shell(hook, model, references.device, where)
        hook = found
    if isinstance(hook, type) and issubclass(hook, Step):
        hook = hook()
    return hook.run(model, references)[0] if isinstance(hook, Step) else hook(model)


def _shell(command, model, device, where):
    """Run a command; its output goes to the log."""
    from gpucal import model as models
    from gpucal.model.names import stem, with_suffix

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{stem(model.source) or 'exposure'}_{where.partition('.')[0]}.fits"
        before = None
        if "{0}" in command:
            model.save(file)
            before = _state(folder)
        done = subprocess.run(command.replace("{0}", str(file)), shell=True, capture_output=True, text=True)
        for line in (done.stdout + done.stderr).splitlines():
            log.info("%s: %s", where, line)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise HookError(f"{model.source}: exit code {done.returncode}: {last}")
        if before is None or _state(folder) == before:
            return None
        if isinstance(model, models.Slopes):
            changed = models.Slopes(models.open(file, device), models.open(with_suffix(file, "rateints"), device))
        else:
            changed = models.open(file, device)
    for one in changed if isinstance(changed, models.Slopes) else [changed]:
        one.source = model.source
    return changed


def _state(folder):
    return {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in Path(folder).iterdir()}
