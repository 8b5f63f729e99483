"""The reference files of a run: which file serves which exposure, each opened once."""

import logging
import shutil
import tempfile
import weakref
from collections import OrderedDict
from pathlib import Path

from gpucal import device as devices
from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.irs2.geometry import require_rows
from gpucal.reference.cache import ignore
from gpucal.reference.file import Reference
from gpucal.warned import ignored

log = logging.getLogger(__name__)
NONE = "N/A"


class References:
    """All reference files of a run: finds them, opens each once, keeps their arrays on the device."""

    def __init__(self, device=None, overrides=None, library=None, keep=4 * 2**30):
        """Look in overrides {type: path, official model, or "N/A"}, then in library (a Folder or a Crds).

        keep: bytes on the device.
        """
        self.device = device or devices.choose()
        self._models = _Models()
        self.overrides = {reftype: self._given(reftype, one) for reftype, one in (overrides or {}).items() if one}
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

        exposure: a model, its outline will do. override: a path, or a model, that goes before all other sources.
        ReferenceFileError if there should be one but is not; its text does not name the exposure.
        """
        chosen = self._given(reftype, override) if override else self.overrides.get(reftype)
        if chosen is not None:
            return (None, NONE) if chosen == NONE else (chosen, self._models.names.get(chosen, str(chosen)))
        return (None, NONE) if self.collection is None else self.collection.find(reftype, exposure)

    def provide(self, paths, watch=ignore):
        """Have files of the library that were found at their places; return {path: why it cannot be used}."""
        return self.collection.provide(paths, watch) if self.collection and paths else {}

    def get(self, reftype, exposure, override=None):
        """Return the exposure's reference of a type, or None if none applies; notes its name in the metadata.

        override: a path, or a model, that goes before all other sources. ReferenceFileError if it cannot serve.
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

    def _given(self, reftype, source):
        return self._models.path(reftype, source) if hasattr(source, "to_flat_dict") else _existing(reftype, source)

    def _make_room(self, besides):
        """Forget the references that were not used for longest while there are too many bytes."""
        for key in list(self._open):
            if sum(reference.nbytes for reference in self._open.values()) <= self.keep:
                return
            if key != besides:
                del self._open[key]


class _Models:
    """Official models in memory that serve as references: as files of a temporary folder, each written once."""

    def __init__(self):
        self.folder: str | None = None
        self.names: dict[Path, str] = {}
        self._paths: dict[int, tuple] = {}  # id of a model -> its file, and the model, so that its id stays its own

    def path(self, reftype, model):
        """Return the file of a model; `names` has what products call it."""
        if id(model) not in self._paths:
            if self.folder is None:
                self.folder = tempfile.mkdtemp(prefix="gpucal_")
                weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
            path = Path(self.folder) / f"{reftype}_{len(self._paths)}.fits"
            name = model.meta.filename or "model in memory"
            with ignored():
                model.copy().save(str(path))  # saving changes the name in a model
            self._paths[id(model)], self.names[path] = (path, model), name
        return self._paths[id(model)][0]


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
