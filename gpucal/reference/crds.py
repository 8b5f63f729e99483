"""The CRDS reference system, through its own client, with or without a server."""

import os
from functools import cache
from pathlib import Path

from gpucal.errors import ConfigError, ReferenceFileError

SERVERLESS = "https://crds-serverless-mode.stsci.edu"  # the client's own word for "never connect"


class Crds:
    """Asks a CRDS context which files an exposure needs and where the cache holds them.

    path: the cache; default the environment's CRDS_PATH. context: a .pmap; default the environment's CRDS_CONTEXT or
    the cache's latest. Without CRDS_SERVER_URL in the environment nothing is ever downloaded.
    """

    def __init__(self, path=None, context=None):
        path = Path(path or os.environ.get("CRDS_PATH") or "").expanduser()
        if not (path / "mappings" / "jwst").is_dir():
            raise ConfigError(f"reference=crds: no CRDS cache at {path} (set reference.path or CRDS_PATH)")
        # The client reads its environment when it is imported.
        os.environ["CRDS_PATH"] = str(path)
        os.environ.setdefault("CRDS_SERVER_URL", SERVERLESS)
        os.environ.setdefault("CRDS_OBSERVATORY", "jwst")
        try:
            import crds
        except ImportError:
            raise ConfigError("reference=crds needs the crds client: pip install 'gpucal[crds]'") from None
        self.version = crds.__version__
        self.path = path
        self.offline = os.environ["CRDS_SERVER_URL"] == SERVERLESS
        self.context = context or os.environ.get("CRDS_CONTEXT") or _latest(path)
        if not (path / "mappings" / "jwst" / self.context).is_file() and self.offline:
            raise ConfigError(f"reference.context={self.context}: not in the CRDS cache at {path}")
        self._recommend = cache(self._ask)

    def find(self, reftype, exposure):
        """Return (path, crds://name) of the reference of a type, or (None, "N/A") if the context says none applies."""
        parameters = exposure.tree.get_crds_parameters()
        answer = self._recommend(reftype, tuple(sorted(parameters.items())))
        if answer.upper().startswith("NOT FOUND N/A") or answer.upper() in ("N/A", "OMIT"):
            return None, "N/A"
        if answer.upper().startswith("NOT FOUND"):
            raise ReferenceFileError(f"{exposure.source}: {self.context} has no {reftype} for it: {answer[9:].strip()}")
        path = self._fetch(answer)
        return path, f"crds://{answer}"

    def _ask(self, reftype, parameters):
        import crds
        from crds.core.exceptions import CrdsError

        try:
            found = crds.getrecommendations(
                dict(parameters), reftypes=[reftype], context=self.context, observatory="jwst", fast=True
            )
        except CrdsError as error:
            if "undefined for" in str(error) or "Unknown reference type" in str(error):
                return "NOT FOUND n/a"
            raise ReferenceFileError(f"CRDS {self.context}: {str(error).splitlines()[0]}") from error
        return found[reftype]

    def _fetch(self, name):
        from crds.core import config
        from crds.core.exceptions import CrdsError

        path = Path(config.locate_file(name, "jwst"))
        if path.is_file():
            return path
        if self.offline:
            raise ReferenceFileError(
                f"{name}: not in the CRDS cache at {self.path}, and no CRDS_SERVER_URL to fetch it from"
            )
        from crds.client import api

        try:
            api.dump_files(self.context, [name])
        except CrdsError as error:
            raise ReferenceFileError(f"{name}: cannot be fetched: {str(error).splitlines()[0]}") from error
        return path


def _latest(path):
    contexts = sorted((path / "mappings" / "jwst").glob("jwst_[0-9]*.pmap"))
    if not contexts:
        raise ConfigError(f"reference=crds: no context (.pmap) in the CRDS cache at {path}")
    return contexts[-1].name
