"""References that an official framework finds for us, where gpucal's steps run within it."""

from pathlib import Path
from typing import Any

from gpucal.errors import ConfigError
from gpucal.reference.shelf import References


class Asked(References):
    """References that the official step at work finds: overrides, or the reference system as CRDS_PATH says."""

    step: Any
    _from_crds = False

    def choose(self, reftype, exposure, override=None):
        """Return the path and the name of a reference file."""
        found = self.step.get_reference_file(exposure.tree, reftype)
        if not isinstance(found, str):
            raise ConfigError(f"override_{reftype}: must be a path here, not a model")
        if found in ("", "N/A"):
            return None, "N/A"
        name = self.step._reference_files_used[-1][1]
        self._from_crds |= name.startswith("crds://")
        return Path(found), name

    @property
    def context(self):
        """The CRDS context, if a reference came from there."""
        from stpipe import crds_client

        return crds_client.get_context_used("jwst") if self._from_crds else "N/A"

    @property
    def version(self):
        """The version of the CRDS client, likewise."""
        from stpipe import crds_client

        return crds_client.get_svn_version() if self._from_crds else None
