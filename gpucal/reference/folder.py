"""A folder of reference files, chosen by their headers."""

from pathlib import Path
from typing import Any

from gpucal.errors import ConfigError, ReferenceFileError
from gpucal.reference import pars
from gpucal.stripes import Stripes

ANY = {"", "N/A", "ANY", "GENERIC"}

# Types that depend on the optical elements; all others belong to the detector.
BY_FILTER = {"flat", "photom", "area", "distortion", "filteroffset", "apcorr", "abvegaoffset", "wfssbkg", "specwcs"}


class Folder:
    """Picks, among the files of a folder and its subfolders, the one whose header fits the exposure best."""

    def __init__(self, path):
        if not path:
            raise ConfigError("reference=folder needs reference.path=FOLDER")
        self.path = Path(path).expanduser()
        if not self.path.is_dir():
            raise ConfigError(f"reference.path={path}: no such folder")
        try:
            files = sorted(file for file in self.path.rglob("*") if file.suffix in (".fits", ".asdf"))
            self.headers = {file.resolve(): header for file in files if (header := _header(file))}
        except PermissionError as error:
            raise ConfigError(f"reference.path={path}: {error.strerror}") from error
        if not self.headers:
            raise ConfigError(f"reference.path={path}: no reference files (FITS or ASDF with a REFTYPE keyword) in it")

    def find(self, reftype, exposure):
        """Return (path, name) of the best file of a type, or (None, "N/A") if the folder has none for the instrument.

        A file fits if detector and (for what depends on them) filter and pupil agree where it states
        them, its window contains the exposure's, and USEAFTER is not later than the exposure. Of several, the exact
        subarray goes before a full frame, then the same read pattern, then the latest USEAFTER. ReferenceFileError if
        the instrument has files of that type but none fits.
        """
        wanted = _wanted(exposure, reftype in BY_FILTER)
        files = self._files(reftype, wanted)
        if best := _best(files, wanted):
            return best, str(best)
        if files:
            reasons = "; ".join(f"{path.name} {_conflicts(header, wanted)}" for path, header in files.items())
            raise ReferenceFileError(f"no {reftype} reference fits, in {self.path}: {reasons}")
        return None, "N/A"

    def provide(self, paths, watch=None):
        """Return {path: why it cannot be used} of files that were found: an empty one, a folder has what it has."""
        return {}

    def pars(self, exposure, pipeline, aliases):
        """Return {name: {parameter: value}} for a pipeline and its steps, from the pars-* files that fit."""
        wanted = _wanted(exposure, by_filter=True) | {"EXP_TYPE": exposure.meta.exposure.type, "window": None}

        def read_best(reftype, name):
            best = _best(self._files(reftype, wanted), wanted)
            return pars.read(best, name) if best else {}

        return pars.collect(read_best, pipeline, aliases)

    def _files(self, reftype, wanted):
        """The headers of the files of a type for an instrument, by their paths."""
        instruments = {*ANY, str(wanted["INSTRUME"]).upper()}
        return {
            path: header
            for path, header in self.headers.items()
            if header["REFTYPE"] == reftype and header["INSTRUME"] in instruments
        }


def _best(files, wanted):
    fitting = [path for path, header in files.items() if not _conflicts(header, wanted)]
    return max(fitting, key=lambda path: _rank(files[path], wanted, path), default=None)


def _wanted(exposure, by_filter):
    meta = exposure.meta
    wanted = {
        "INSTRUME": meta.instrument.name,
        "DETECTOR": meta.instrument.detector,
        "SUBARRAY": meta.subarray.name,
        "READPATT": meta.exposure.readpatt,
        "DATE": f"{meta.observation.date or '9999-12-31'}T{meta.observation.time or '23:59:59'}",
        "window": getattr(exposure, "cut", None),
    }
    if by_filter:
        wanted |= {"FILTER": meta.instrument.filter, "PUPIL": meta.instrument.pupil}
    return wanted


def _conflicts(header, wanted):
    """Say why a file cannot serve, or return an empty string."""
    for word in ("DETECTOR", "FILTER", "PUPIL"):
        mine, theirs = str(wanted.get(word) or "").upper(), header[word]
        if mine and theirs not in ANY and mine != theirs:
            return f"is for {theirs}, not {mine}"
    kinds = header["EXP_TYPE"].strip("|").split("|")  # one, or several as in P_EXP_TY
    if wanted.get("EXP_TYPE") and kinds[0] not in ANY and str(wanted["EXP_TYPE"]).upper() not in kinds:
        return f"is for {' or '.join(kinds)}, not {wanted['EXP_TYPE']}"
    if header["USEAFTER"] > wanted["DATE"]:
        return f"is for exposures after {header['USEAFTER']}"
    if wanted["window"] and not _contains(header, wanted["window"]):
        return f"does not contain the exposure's window (SUBARRAY {wanted['SUBARRAY']})"
    return ""


def _contains(header, window):
    corner, size = header["corner"], header["size"]
    if None in (*corner, *size):
        return True
    if isinstance(window, Stripes):
        if window.describes(corner, size):
            return True
        window = window.region
    return all(c - 1 <= s.start and s.stop <= c - 1 + n for s, c, n in zip(window, corner, size, strict=True))


def _rank(header, wanted, path):
    window = wanted["window"]
    stripes = isinstance(window, Stripes)
    area = list(window.shape) if stripes else [s.stop - s.start for s in window] if window else None
    return (
        list(header["size"]) == area and header["SUBARRAY"] == wanted["SUBARRAY"],
        list(header["size"]) == area,
        header["READPATT"] == wanted["READPATT"],
        header["USEAFTER"],
        str(path),
    )


def _header(file):
    """The keywords that matter, in capitals; None if the file is not a reference."""
    keywords = _asdf_keywords(file) if file.suffix == ".asdf" else _fits_keywords(file)
    reftype = str(keywords.get("REFTYPE") or "").strip().lower()
    if not reftype:
        return None
    words = ("INSTRUME", "DETECTOR", "SUBARRAY", "FILTER", "PUPIL", "READPATT")
    header: dict[str, Any] = {word: str(keywords.get(word) or "").strip().upper() for word in words}
    header["EXP_TYPE"] = str(keywords.get("P_EXP_TY") or keywords.get("EXP_TYPE") or "").replace(" ", "").upper()
    header["REFTYPE"], header["USEAFTER"] = reftype, str(keywords.get("USEAFTER") or "").strip()
    header["corner"] = tuple(keywords.get(word) for word in ("SUBSTRT2", "SUBSTRT1"))
    header["size"] = tuple(keywords.get(word) for word in ("SUBSIZE2", "SUBSIZE1"))
    return header


def _fits_keywords(file):
    from astropy.io import fits

    try:
        return fits.getheader(file)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return {}


def _asdf_keywords(file):
    import asdf

    try:
        meta = asdf.util.load_yaml(file).get("meta", {})  # the text alone: no arrays, no objects
    except PermissionError:
        raise
    except (OSError, ValueError):
        return {}
    instrument, exposure = meta.get("instrument", {}), meta.get("exposure", {})
    return {
        "REFTYPE": meta.get("reftype"),
        "INSTRUME": instrument.get("name"),
        "DETECTOR": instrument.get("detector"),
        "FILTER": instrument.get("filter"),
        "PUPIL": instrument.get("pupil"),
        "READPATT": exposure.get("readpatt"),
        "EXP_TYPE": exposure.get("type"),
        "P_EXP_TY": exposure.get("p_exptype"),
        "SUBARRAY": meta.get("subarray", {}).get("name"),
        "USEAFTER": str(meta.get("useafter") or ""),
    }
