"""The files of a CRDS cache: are they there and whole, and if not, can they be fetched?"""

import ast
import contextlib
import functools
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpucal.reference.checksums import checksum, noted
from gpucal.reference.client import first_line, quiet

log = logging.getLogger(__name__)


def ignore(what, total, unit=""):
    """Take note of a stage of the work and show nothing; the interface of displays. Returns advance(amount)."""
    return lambda amount: None


class Cache:
    """The reference files of a CRDS cache.

    offline: why there is no server, or empty. verify: compare sha1 sums too, not only sizes; they are worked out once.
    """

    def __init__(self, context, offline, verify=True):
        self.context, self.offline, self.verify = context, offline, verify
        self.facts, self.withdrawn = _facts(offline)
        self._sound: set[Path] = set()
        self.locate = functools.cache(_locate)

    def provide(self, paths, watch=ignore):
        """Fetch what is missing or damaged, check the rest; return {path: why it cannot be used}.

        watch(what, total, unit) is told of the stages and returns advance(amount).
        """
        new = sorted(set(paths) - self._sound)
        troubles = self._check(new, watch)
        fetchable = [path for path in troubles if self._is_bad(path) is None]
        if reason := self._cannot_fetch():
            for path in fetchable:
                troubles[path] += reason
        else:
            for path in fetchable:
                del troubles[path]
            troubles |= self._fetch(fetchable, watch)
        self._sound |= set(new) - set(troubles)
        return troubles

    def _check(self, paths, watch=ignore):
        """Return {path: what is wrong with the file}."""
        troubles = {path: trouble for path in paths if (trouble := self._see(path))}
        summed = [path for path in paths if path not in troubles and self.verify and self._sum(path)]
        todo = {path: path.stat().st_size for path in summed if noted(path) is None}
        stage = "checking sums of reference files", sum(todo.values()), "B"
        advance = watch(*stage) if todo else ignore(*stage)
        with ThreadPoolExecutor() as pool:  # sums are worked out without Python's lock
            for path, trouble in zip(summed, pool.map(self._prove, summed), strict=True):
                advance(todo.get(path, 0))
                if trouble:
                    troubles[path] = trouble
        return troubles

    def _see(self, path):
        """Say what is wrong with a file as far as the folder shows."""
        if bad := self._is_bad(path):
            return bad
        if not path.is_file():
            return "not in the CRDS cache"
        has, should = path.stat().st_size, self.facts.get(path.name, {}).get("size")
        return f"damaged, it has {has} bytes and should have {should}" if should and has != int(should) else ""

    def _sum(self, path):
        """Return the sum that a file should have, empty if that is not known."""
        return self.facts.get(path.name, {}).get("sha1sum", "none").replace("none", "")

    def _prove(self, path):
        """Say what is wrong with the contents of a file."""
        try:
            return "" if checksum(path) == self._sum(path) else "damaged, its sha1 sum is not the one CRDS knows"
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    def _is_bad(self, path):
        """Say so if CRDS has withdrawn a file; the client's own switch CRDS_ALLOW_BAD_REFERENCES is heeded."""
        from crds.core import config

        if path.name in self.withdrawn and not config.ALLOW_BAD_REFERENCES:
            return "marked by CRDS as scientifically invalid"
        return None

    def _cannot_fetch(self):
        from crds.core import config

        if self.offline:
            return f", and {self.offline}"
        folder = Path(config.get_crds_refpath("jwst"))
        while not folder.exists():
            folder = folder.parent
        if config.get_cache_readonly() or not os.access(folder, os.W_OK):
            return ", and the cache cannot be written"
        return ""

    def _fetch(self, paths, watch):
        """Fetch files from the server; return {path: why it could not be had}."""
        if not paths:
            return {}
        sizes = {path: int(self.facts.get(path.name, {}).get("size", 0)) for path in paths}
        what = f"fetching {len(paths)} reference file{'s' * (len(paths) > 1)}"
        advance, troubles = watch(what, sum(sizes.values()), "B"), {}
        for path in paths:
            if trouble := self._fetch_one(path, advance):
                troubles[path] = trouble
        return troubles

    def _fetch_one(self, path, advance):
        from crds.core.exceptions import CrdsError

        known = self.facts.get(path.name)
        if known is None:
            return "not in the CRDS cache, and the server does not know it"
        failure = ""
        try:
            with quiet():
                _counting(self.context, advance).get_local_files([path.name])
        except (CrdsError, OSError) as error:
            failure = f"cannot be fetched: {first_line(error)}"
        trouble = self._check([path]).get(path)
        if not trouble:  # perhaps thanks to another process
            log.info("fetched %s", path)
            return ""
        with contextlib.suppress(OSError):
            path.unlink()  # the client leaves in the cache what came, even if it is not what it should be
        return failure or f"cannot be fetched: what came is {trouble}"


def _locate(name):
    """Return where the file of a name belongs."""
    from crds.core import config

    return Path(config.locate_file(name, "jwst"))


def _facts(offline):
    """What the server says now, or said when it was last asked: {file: size and sum}, and which are withdrawn."""
    from crds.client import api, proxy
    from crds.core import config
    from crds.core.exceptions import CrdsError

    try:
        with quiet():
            if offline:
                info = ast.literal_eval(Path(config.locate_config("server_config", "jwst")).read_text())
            else:
                info = api.get_server_info()
            return proxy.crds_decode(info.get("download_metadata", {})), set(info.get("bad_files_list", ()))
    except (CrdsError, OSError, ValueError, SyntaxError):
        return {}, set()


def _counting(context, advance):
    """Return the client's downloader, which says how many bytes have come."""
    from crds.client import api

    class Counting(api.FileCacher):
        def get_data_http(self, filename):
            for chunk in super().get_data_http(filename):
                advance(len(chunk))
                yield chunk

    return Counting(context, ignore_cache=True)
