"""The reference files of a run: which file serves which exposure, each opened once."""

import logging
from collections import OrderedDict
from pathlib import Path

from gpucal import device as devices
from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.irs2.geometry import require_rows
from gpucal.reference.cache import ignore
from gpucal.reference.file import Reference

log = logging.getLogger(__name__)
NONE = "N/A"


class References:
    """All reference files of a run: finds them, opens each once, keeps their arrays on the device."""

    def __init__(self, device=None, overrides=None, library=None, keep=4 * 2**30):
        """Look in overrides {type: path or "N/A"}, then in library (a Folder or a Crds); keep: bytes on the device."""
        self.device = device or devices.choose()
        self.overrides = {reftype: _existing(reftype, path) for reftype, path in (overrides or {}).items() if path}
        self.collection = library
        self.keep = keep
        self.paths: dict[str, Path] = {}  # of the references used so far, by the names that products give them
        self._open: OrderedDict[tuple, Reference] = OrderedDict()

    @property
    def context(self):
        """The CRDS context in use, or N/A."""
        return getattr(self.collection, "context", NONE)

    @property
    def version(self):
        """The version of the CRDS client, or None where none is asked."""
        return getattr(self.collection, "version", None)

    def find(self, reftype, exposure, override=None):
        """Return (path, name) of the exposure's reference of a type, or (None, "N/A"); the file may have to be fetched.

        exposure: a model, its outline will do. override: a path that goes before all other sources.
        ReferenceFileError if there should be one but is not; its text does not name the exposure.
        """
        chosen = _existing(reftype, override) if override else self.overrides.get(reftype)
        if chosen is not None:
            return (None, NONE) if chosen == NONE else (chosen, str(chosen))
        return (None, NONE) if self.collection is None else self.collection.find(reftype, exposure)

    def provide(self, paths, watch=ignore):
        """Have files of the library that were found at their places; return {path: why it cannot be used}."""
        return self.collection.provide(paths, watch) if self.collection and paths else {}

    def get(self, reftype, exposure, override=None):
        """Return the exposure's reference of a type, or None if none applies; notes its name in the metadata.

        override: a path that goes before all other sources. ReferenceFileError if the file cannot serve.
        """
        path, name = self.choose(reftype, exposure, override)
        exposure.note_reference(reftype, name)
        exposure.note_context(self.context, self.version)
        return None if path is None else self.open(path, reftype, exposure)

    def choose(self, reftype, exposure, override=None):
        """Return the path of the exposure's reference and its name for the header; (None, "N/A") if there is none."""
        try:
            path, name = self.find(reftype, exposure, override)
        except ReferenceFileError as error:
            raise ReferenceFileError(f"{exposure.source}: {error}") from error
        if troubles := self.provide([path] if name.startswith("crds://") else []):
            raise ReferenceFileError(f"{path.name}: {troubles[path]}")
        if path is not None:
            self.paths[name] = path
        return path, name

    def open(self, path, reftype, exposure):
        """Return a reference file as an exposure needs it, opened once; ReferenceFileError if it cannot serve it."""
        window = getattr(exposure, "cut", None)
        edges = tuple((s.start, s.stop) for s in window) if isinstance(window, tuple) else window
        key = (str(path), path.stat().st_mtime_ns, reftype, edges)
        if key not in self._open:
            self._open[key] = Reference(path, reftype, window, self.device)
            log.debug("%s reference: %s", reftype, path)
        self._open.move_to_end(key)
        reference = self._open[key]
        reference.require_same_detector(exposure)
        require_rows(reference, exposure)
        self._make_room(besides=key)
        return reference

    def _make_room(self, besides):
        """Forget the references that were not used for longest while there are too many bytes."""
        for key in list(self._open):
            if sum(reference.nbytes for reference in self._open.values()) <= self.keep:
                return
            if key != besides:
                del self._open[key]


def _existing(reftype, path):
    if str(path).upper() == NONE:
        return NONE
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConfigError(f"override.{reftype}={path}: no such file")
    return path.resolve()


def library(kind, path=None, context=None, verify=True):
    """Return the library that `reference=KIND` asks for: None, a Folder or a Crds."""
    if kind in (None, "none"):
        return None
    if kind == "folder":
        from gpucal.reference.folder import Folder

        return Folder(path)
    if kind == "crds":
        from gpucal.reference.crds import Crds

        return Crds(path, context, verify)
    raise ConfigError(f"reference={kind} is not one of none, folder, crds")
