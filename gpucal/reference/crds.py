"""The CRDS reference system, through its own client, with or without a server."""

import functools
import os
from pathlib import Path

from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.model.outline import keyword_of
from gpucal.reference import pars
from gpucal.reference.cache import Cache, ignore
from gpucal.reference.client import SERVERLESS, connect, first_line, quiet, resolve_context

DATE, LATE = "META.OBSERVATION.DATE", "2100-01-01"


class Crds:
    """Asks a CRDS context which files an exposure needs and where the cache holds them.

    path: the cache; default the environment's CRDS_PATH. context: a .pmap or another name that the client understands;
    default the environment's CRDS_CONTEXT, or what the client takes. verify: compare sha1 sums of files in the cache.
    Without CRDS_SERVER_URL in the environment nothing is ever downloaded.
    """

    def __init__(self, path=None, context=None, verify=True):
        path = Path(path or os.environ.get("CRDS_PATH") or "").expanduser()
        online = os.environ.get("CRDS_SERVER_URL", SERVERLESS) != SERVERLESS
        if not (path / "mappings" / "jwst").is_dir() and not (online and path != Path()):
            raise ConfigError(f"reference=crds: no CRDS cache at {path} (set reference.path or CRDS_PATH)")
        self.offline = connect(path.absolute())
        self.context = resolve_context(context, self.offline)
        self.cache = Cache(self.context, self.offline, verify)
        import crds

        self.version = crds.__version__
        self._rules, self._name, self._pars = (_remembered(f) for f in (self._load_rules, self._ask, pars.read))

    def find(self, reftype, exposure):
        """Return (path, crds://name) of the reference of a type, or (None, "N/A") if the context says none applies.

        The file may be missing from the cache: see provide. ReferenceFileError if the context has none but should.
        """
        instrument = str(exposure.meta.instrument.name).upper()
        rules = self._rules(instrument, reftype)
        if rules is None:
            return None, "N/A"
        # What the rules look at is all that the answer depends on.
        name = self._name(instrument, reftype, tuple(_value(exposure.meta, place) for place in rules.places))
        return (None, "N/A") if name is None else (self.cache.locate(name), f"crds://{name}")

    def provide(self, paths, watch=ignore):
        """Have files that were found in the cache, whole; return {path: why it cannot be used}."""
        return self.cache.provide(paths, watch)

    def pars(self, exposure, pipeline, aliases):
        """Return {name: {parameter: value}} that CRDS recommends for a pipeline and its steps on this exposure.

        What has no rule has no recommendation. ReferenceFileError if a file that applies cannot be had or read.
        """

        def read_best(reftype, name):
            try:
                path, _ = self.find(reftype, exposure)
            except NoRule:
                return {}
            if path is None:
                return {}
            if troubles := self.provide([path]):
                raise ReferenceFileError(f"{path.name}: {troubles[path]}")
            return self._pars(path, name)

        return pars.collect(read_best, pipeline, aliases)

    def _load_rules(self, instrument, reftype):
        """Return the rules of a type, or None if the context says that it does not apply to the instrument."""
        from crds.client import api
        from crds.core import exceptions, rmap

        def load():
            return Rules(rmap.get_cached_mapping(self.context).get_imap(instrument).get_rmap(reftype))

        # Older contexts do not know the newer types.
        does_not_apply = (
            exceptions.IrrelevantReferenceTypeError,
            exceptions.OmitReferenceTypeError,
            exceptions.CrdsUnknownReftypeError,
        )
        try:
            with quiet():
                try:
                    return load()
                except OSError:
                    if self.offline:
                        raise
                    api.dump_mappings(self.context)
                    return load()
        except does_not_apply:
            return None
        except exceptions.CrdsUnknownInstrumentError:
            raise NoRule(f"{self.context} knows no instrument {instrument}") from None
        except OSError as error:
            why = self.offline or "the server does not give them"
            raise ReferenceFileError(
                f"{self.context}: its rules {Path(error.filename or '').name} are not in the CRDS cache, and {why}"
            ) from error
        except exceptions.CrdsError as error:
            raise ReferenceFileError(f"{self.context}: {first_line(error)}") from error

    def _ask(self, instrument, reftype, values):
        """Return the file that the rules name for these values of what they look at; None if none applies."""
        rules = self._rules(instrument, reftype)
        with quiet():
            answer = rules.best(values)
        if answer is None or answer.upper().startswith("NOT FOUND N/A"):
            return None
        if answer.startswith("NOT FOUND"):
            raise NoRule(f"{self.context} has no {reftype} for {rules.describe(values)}")
        return answer


class NoRule(ReferenceFileError):
    """There are no rules for such an exposure, or they have no file for it."""


class Rules:
    """The rules (rmap) for one type of reference of one instrument."""

    def __init__(self, rmap):
        self.rmap = rmap
        keys = (key.upper() for key in rmap.get_required_parkeys())
        self.keys = tuple(dict.fromkeys(key for key in keys if key.startswith("META.")))
        self.places = tuple(key.lower().removeprefix("meta.") for key in self.keys)

    def best(self, values):
        """Return what the client answers for these values of the keys: a name, NOT FOUND and why, or None."""
        from crds.core.utils import condition_value

        conditioned = ("UNDEFINED" if value is None else condition_value(value) for value in values)
        return self.rmap.get_best_ref(dict(zip(self.keys, conditioned, strict=True)))

    def describe(self, values):
        """Name the values that have no file: DETECTOR NRCA1, SUBARRAY FULL ...; the date only if it is to blame."""
        named = dict(zip(self.keys, values, strict=True))
        told = [key.upper() for key in self.rmap.parkey[0]]  # what must agree; the date comes after it
        later = [LATE if key == DATE else value for key, value in named.items()]
        if not str(self.best(later)).startswith("NOT FOUND"):
            told.append(DATE)
        return ", ".join(f"{keyword_of(key.lower().removeprefix('meta.'))} {named[key]}" for key in told)


def _value(node, place):
    for part in place.split("."):
        node = getattr(node, part, None)
    return node


def _remembered(function):
    """Return function with a memory of what it returned or said was wrong."""

    @functools.cache
    def once(*arguments):
        try:
            return function(*arguments), None
        except ReferenceFileError as error:
            return None, error

    def call(*arguments):
        value, error = once(*arguments)
        if error is not None:
            raise error
        return value

    return call
