"""Checksums of reference files, worked out once per file and kept between runs."""

import contextlib
import hashlib
import json
import os

from gpucal.compiler import cache


def checksum(path):
    """Return the SHA-1 of a file, in hexadecimal digits; that of an unchanged file comes from a note."""
    if known := noted(path):
        return known
    note = _note(path)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha1").hexdigest()
    with contextlib.suppress(OSError):  # a cache that cannot be written is none
        note.parent.mkdir(parents=True, exist_ok=True)
        scratch = note.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps({"file": str(path), "sha1": digest}))
        scratch.replace(note)
    return digest


def noted(path):
    """Return the SHA-1 that an unchanged file was found to have, or None if it has not been worked out."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads(_note(path).read_text())["sha1"]
    return None


def _note(path):
    about = os.stat(path)
    key = hashlib.sha1(f"{path}\n{about.st_size}\n{about.st_mtime_ns}".encode(), usedforsecurity=False).hexdigest()
    return cache().parent / "checksums" / f"{key}.json"
