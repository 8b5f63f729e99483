"""A small CRDS cache made with the client's own library, and a server for it on this machine."""

import functools
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from pprint import pformat

HEADER = {"derived_from": "made by a test", "observatory": "JWST", "sha1sum": ""}
MATCHED = ("META.INSTRUMENT.DETECTOR",)
DATED = ("META.OBSERVATION.DATE", "META.OBSERVATION.TIME")


class MadeCache:
    """A folder laid out as a CRDS cache; the client understands what lies in it."""

    def __init__(self, path):
        self.path = Path(path)
        for folder in ("mappings/jwst", "references/jwst", "config/jwst"):
            (self.path / folder).mkdir(parents=True)
        self.facts, self.withdrawn, self.contexts = {}, [], []

    def add(self, name, contents):
        """Put a reference file into the cache: bytes, or a link to a file; return its path."""
        path = self.locate(name)
        path.parent.mkdir(exist_ok=True)
        if isinstance(contents, bytes):
            path.write_bytes(contents)
        else:
            path.symlink_to(contents)
        self.facts[name] = {"size": str(path.stat().st_size), "sha1sum": _sum(path.resolve(), path.stat().st_mtime_ns)}
        return path

    def locate(self, name):
        """Return the place of a file of the cache."""
        if not name.endswith((".fits", ".asdf")):
            return self.path / "mappings" / "jwst" / name
        return self.path / "references" / "jwst" / name.split("_")[1] / name

    def write_context(self, number, rules):
        """Write a context, {instrument: {type: "N/A" or {detector: "N/A" or {date: file}}}}; return its name."""
        imaps = {}
        for instrument, types in rules.items():
            rmaps = {}
            for reftype, choices in types.items():
                stem = f"jwst_{instrument.lower()}_{reftype}_{number:04}"
                rmaps[reftype.upper()] = choices if choices == "N/A" else f"{stem}.rmap"
                if choices != "N/A":
                    self._write_rmap(f"{stem}.rmap", instrument, reftype, choices)
            imaps[instrument] = f"jwst_{instrument.lower()}_{number:04}.imap"
            self._write(imaps[instrument], {"mapping": "INSTRUMENT", "instrument": instrument}, ("REFTYPE",), rmaps)
        name = f"jwst_{number:04}.pmap"
        self._write(name, {"mapping": "PIPELINE"}, ("META.INSTRUMENT.NAME",), imaps)
        self.contexts.append(name)
        return name

    def _write_rmap(self, name, instrument, reftype, choices):
        rules = []
        for value, files in choices.items():
            dates = ", ".join(f"'{date} 00:00:00': '{file}'" for date, file in files.items()) if files != "N/A" else ""
            rules.append(f"    {(value,)!r}: " + (f"UseAfter({{{dates}}})" if dates else "'N/A'"))
        header = {"mapping": "REFERENCE", "instrument": instrument, "filekind": reftype.upper()}
        self._write(name, header, (MATCHED, DATED), "Match({\n" + ",\n".join(rules) + "\n})")

    def _write(self, name, header, parkey, selector):
        from crds.core import rmap

        header = HEADER | header | {"name": name, "parkey": parkey}
        text = (
            f"header = {pformat(header)}\n\nselector = {selector if isinstance(selector, str) else pformat(selector)}\n"
        )
        kinds = {".pmap": rmap.PipelineContext, ".imap": rmap.InstrumentContext, ".rmap": rmap.ReferenceMapping}
        kinds[name[-5:]].from_string(text, name, ignore_checksum=True, loader=rmap.load_mapping).write(
            str(self.path / "mappings" / "jwst" / name)
        )

    def server_info(self, url="https://nowhere"):
        """Return what a server says of itself and its files."""
        from crds.client import proxy

        return {
            "observatory": "jwst",
            "operational_context": self.contexts[-1],
            "latest_context": self.contexts[-1],
            "bad_files_list": self.withdrawn,
            "download_metadata": proxy.crds_encode(self.facts),
            "force_remote_mode": 0,
            "last_synced": "today",
            "reference_url": {"jwst": f"{url}/files"},
            "mapping_url": {"jwst": f"{url}/files"},
        }

    def note_server(self):
        """Write down what a server said, as the client does."""
        (self.path / "config" / "jwst" / "server_config").write_text(pformat(self.server_info()))

    @contextmanager
    def served(self):
        """Serve the cache's files on this machine; yields the server's address and counts what it is asked for."""
        for mapping in (self.path / "mappings" / "jwst").iterdir():
            text = mapping.read_bytes()
            self.facts[mapping.name] = {"size": str(len(text)), "sha1sum": hashlib.sha1(text).hexdigest()}
        server = ThreadingHTTPServer(("localhost", 0), _handler(self))
        server.daemon_threads = False  # so that closing it waits for them
        server.url, server.sent = f"http://localhost:{server.server_port}", []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@functools.cache
def _sum(path, changed):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def _handler(made):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers = {
                "get_server_info": lambda: made.server_info(self.server.url),
                "get_mapping_names": lambda: [path.name for path in (made.path / "mappings" / "jwst").iterdir()],
                "get_default_context": lambda: made.contexts[-1],
                "get_build_context": lambda: made.contexts[-1],
            }
            self._answer(json.dumps({"error": None, "result": answers[asked["method"]]()}).encode())

        def do_GET(self):
            path = made.locate(self.path.rpartition("/")[2])
            if not path.exists():
                self.send_error(404)
                return
            self.server.sent.append(path.name)
            self._answer(path.read_bytes())

        def _answer(self, contents):
            self.send_response(200)
            self.send_header("Content-Length", str(len(contents)))
            self.end_headers()
            self.wfile.write(contents)

        def log_message(self, *arguments):
            pass

    return Handler
