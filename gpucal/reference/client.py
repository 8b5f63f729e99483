"""The official CRDS client as gpucal uses it: its environment, its voice, its server, its context."""

import contextlib
import os
from pathlib import Path

from gpucal.errors import ConfigError

SERVERLESS = "https://crds-serverless-mode.stsci.edu"  # the client's own word for "never connect"


def connect(path):
    """Make path the client's cache; return why there is no server, or an empty text if there is one.

    Without CRDS_SERVER_URL in the environment nothing is asked of any server. The client knows one cache at a time.
    """
    url = os.environ.setdefault("CRDS_SERVER_URL", SERVERLESS)
    os.environ.setdefault("CRDS_OBSERVATORY", "jwst")
    os.environ.setdefault("CRDS_CLIENT_TIMEOUT_SECONDS", "60")  # its own default is an hour
    os.environ["CRDS_PATH"] = str(path)
    try:
        from crds.client import api
        from crds.core import config, utils
        from crds.core.exceptions import CrdsError
    except ImportError:
        raise ConfigError("reference=crds needs the crds client: pip install 'gpucal[crds]'") from None
    # What the client remembers of the cache and the server that it was used with before.
    utils.clear_function_caches()
    config.CRDS_REF_SUBDIR_MODE = "None"
    with quiet():
        api.set_crds_server(url)
        if url == SERVERLESS:
            return "no CRDS_SERVER_URL to fetch it from"
        try:
            api.get_server_info()
        except CrdsError:
            api.set_crds_server(SERVERLESS)  # not to wait for it again
            return f"the server {url} cannot be reached"
    return ""


@contextlib.contextmanager
def quiet():
    """Run the block without the client's own messages, unless CRDS_VERBOSITY asks for them; it raises what matters."""
    from crds.core import log

    if "CRDS_VERBOSITY" in os.environ:
        yield
        return
    before = log.set_verbose(-3)
    try:
        yield
    finally:
        log.set_verbose(before)


def resolve_context(wanted, offline):
    """Return the name of the context (.pmap) that is wanted, as the client understands it, with its rules in the cache.

    By default that of the environment's CRDS_CONTEXT, then the one that suits the installed jwst or the latest, then
    the newest in the cache. offline: why there is no server. ConfigError if it cannot be had.
    """
    from crds.client import api
    from crds.core import config, heavy_client
    from crds.core.exceptions import CrdsError

    wanted = wanted or os.environ.get("CRDS_CONTEXT")
    name = wanted if str(wanted).endswith(".pmap") else None
    # Without a server the client would stop the program if it has never noted one in this cache.
    can_ask = not offline or Path(config.locate_config("server_config", "jwst")).is_file()
    try:
        with quiet():
            if not name and can_ask:
                name = heavy_client.get_context_name("jwst", wanted)
            if not wanted and (not name or (offline and not _is_cached(name))):
                name = _newest()
            if not name:
                raise ConfigError(f"reference.context={wanted}: what this means only a CRDS server knows; {offline}")
            if not _is_cached(name):
                if offline:
                    folder = config.get_crds_mappath("jwst")
                    raise ConfigError(f"reference.context={name}: not in the CRDS cache at {folder}, and {offline}")
                api.dump_mappings(name)
    except CrdsError as error:
        raise ConfigError(f"reference.context={wanted or name}: {first_line(error)}") from error
    return name


def _is_cached(mapping):
    from crds.core import config

    return Path(config.locate_mapping(mapping, "jwst")).is_file()


def _newest():
    from crds.core import config

    folder = Path(config.get_crds_mappath("jwst"))
    contexts = sorted(folder.glob("jwst_[0-9]*.pmap"))
    if not contexts:
        raise ConfigError(f"reference=crds: no context (.pmap) in the CRDS cache at {folder}")
    return contexts[-1].name


def first_line(error):
    """Return the first line of what the client says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
