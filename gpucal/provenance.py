"""Provenance: what made a product - software, hardware, references, parameters, and the log - and how to repeat it."""

import contextlib
import contextvars
import getpass
import io
import json
import logging
import platform
import re
from importlib import metadata
from pathlib import Path

from gpucal import __version__, params
from gpucal.errors import ConfigError
from gpucal.reference.checksums import checksum

PACKAGES = ("numpy", "scipy", "astropy", "asdf", "stdatamodels", "crds", "jwst", "cupy")
_lines: contextvars.ContextVar[list | None] = contextvars.ContextVar("lines", default=None)


def record(job_fate, tree, settings, references):
    """Return everything that is known of how an exposure was made, as plain values for JSON and ASDF."""
    return {
        "gpucal": __version__,
        "device": f"{references.device.name}: {references.device.why}",
        "software": _software(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "exposure": str(job_fate.source),
        "context": references.context,
        "references": _references(tree, references),
        "settings": settings.changed(),
        "steps": [
            {
                "step": outcome.step, "status": outcome.status, "reason": outcome.reason,
                "seconds": round(outcome.seconds, 4), "parameters": plain_parameters(outcome.by),
            }
            for outcome in job_fate.outcomes
        ],
        "log": list(job_fate.log),
    }  # fmt: skip


def scrubbed(value):
    """Return a value without the folders of paths and without the user's name, for products that travel."""
    if isinstance(value, dict):
        return {key: scrubbed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrubbed(item) for item in value]
    if not isinstance(value, str):
        return value
    text = re.sub(r"(?<![\w:/])~?(?:/[^/\s:,'\"\[\]]+)+/(?=[^/\s]|$)", "", value)
    with contextlib.suppress(OSError, KeyError):
        user = getpass.getuser()
        text = re.sub(rf"\b{re.escape(user)}\b", "USER", text) if len(user) > 2 else text
    return text


def beside(product):
    """Return the path of the record that is kept beside a product."""
    return Path(product).with_suffix(".json")


def recorded(product):
    """Return the record of a product: that beside it, which has the paths, or the one within; ConfigError if none."""
    path = Path(product)
    sidecar = path if path.suffix == ".json" else beside(path)
    try:
        if sidecar.is_file():
            return json.loads(sidecar.read_text())
        found = _within(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"from={product}: {getattr(error, 'strerror', None) or str(error).splitlines()[0]}"
        ) from error
    if found is None:
        raise ConfigError(f"from={product}: was not made by gpucal, it says nothing of settings")
    return found


def _within(path):
    import asdf
    from astropy.io import fits

    from gpucal.warned import ignored

    with ignored():
        if path.suffix == ".asdf":
            with asdf.open(path, lazy_load=False, memmap=False) as file:
                return file.tree.get("gpucal")
        with fits.open(path) as hdus:
            if "ASDF" not in hdus:
                return None
            with asdf.open(io.BytesIO(hdus["ASDF"].data.tobytes())) as file:
                return file.tree.get("gpucal")


class Recorder(logging.Handler):
    """Keeps the lines that are logged while an exposure is on the device."""

    def emit(self, entry):
        """Add a line to the exposure of this thread, if there is one."""
        lines = _lines.get()
        if lines is not None:
            time = self.formatter.formatTime(entry) if self.formatter else ""
            lines.append(f"{time} {entry.levelname} {entry.getMessage()}".strip())


@contextlib.contextmanager
def recording(lines):
    """Collect in lines what gpucal logs in this thread until the block ends."""
    logger = logging.getLogger("gpucal")
    recorder = Recorder(logging.INFO)
    recorder.setFormatter(logging.Formatter())
    before = logger.level
    token = _lines.set(lines)
    logger.addHandler(recorder)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(recorder)
        _lines.reset(token)


def _references(tree, references):
    used: dict[str, dict] = {}
    if not hasattr(tree.meta, "ref_file"):  # a reference itself, as a product
        return used
    for reftype, node in (tree.meta.ref_file.instance or {}).items():
        name = node.get("name") if isinstance(node, dict) else None
        if name and name != "N/A":
            path = references.paths.get(name)
            used[reftype] = {"name": name, "sha1": checksum(path) if path else None}
    return used


def _software():
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def plain_parameters(step):
    """Return {parameter: value} of a step as plain values; functions by their names."""
    return {name: _value(getattr(step, name)) for name in params.defaults(type(step))} if step else {}


def _value(value):
    if isinstance(value, tuple | list):
        return [_value(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else getattr(value, "__name__", repr(value))
