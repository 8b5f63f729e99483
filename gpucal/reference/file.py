"""One reference file: its keywords, tables and arrays, read when first asked for."""

import numpy as np

from gpucal import dq
from gpucal.errors import InputError, ReferenceFileError
from gpucal.model.load import extensions, reason
from gpucal.model.pixels import Pixels, decode
from gpucal.warned import ignored

# The extensions that hold the arrays, by the attribute names of the official data models.
EXTENSIONS = {
    "data": "SCI",
    "err": "ERR",
    "dq": "DQ",
    "coeffs": "COEFFS",
    "inv_coeffs": "INV_COEFFS",
    "average_dark_current": "AVDRKCUR",
}


class Reference:
    """A reference file; `reference.data`, `.dq`, `.coeffs` ... are device arrays cut to the exposure's window.

    DQ comes in the standard bits, whatever the file's DQ_DEF says; it is zero where the file has none.
    """

    def __init__(self, path, reftype, window, device):
        self.path, self.reftype, self.window, self.device = path, reftype, window, device
        self.headers, self.pixels, self.tables = _contents(path)
        self._made: dict = {}
        kind = str(self.keyword("REFTYPE", reftype)).strip().lower()
        if kind.replace("_", "") != reftype.replace("_", ""):
            raise ReferenceFileError(f"{path}: is a {kind.upper()} reference, not {reftype.upper()}")

    def __getattr__(self, name):
        if name.startswith("_") or name not in EXTENSIONS:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self.made(name, lambda: self._array(name))

    def made(self, key, make):
        """Return what make() returned the first time: arrays derived from this file are made once per run."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def take(self, name):
        """Return an array without keeping it, for a made() that keeps what it makes of it instead."""
        return self._made.pop(name) if name in self._made else self._array(name)

    @property
    def nbytes(self):
        """Bytes held on the device."""
        held = [v for made in self._made.values() for v in (made if isinstance(made, tuple) else (made,))]
        return sum({id(value): getattr(value, "nbytes", 0) for value in held}.values())

    def keyword(self, name, default=None):
        """Return a keyword of the primary header, or default where it is absent."""
        return self.headers["PRIMARY"].get(name, default)

    def has(self, name):
        """Tell whether the file holds an array of this name."""
        return EXTENSIONS[name] in self.pixels

    def shape(self, name="data"):
        """Return the shape of an array in the file, before any cut."""
        return self._pixels(name).shape

    def whole(self, name="data"):
        """Return an array as it is in the file, not cut to the window."""
        pixels = self._pixels(name)
        return self.made((name, "whole"), lambda: self._upload(pixels.read(), pixels, pixels.shape))

    def planes(self, name, first, count):
        """Return planes first..first+count of an array's leading axes, cut to the window: (count, ny, nx)."""
        pixels = self._pixels(name)
        stored = pixels.read(first, count, self._cut(pixels))
        return self._upload(stored, pixels, stored.shape)

    def table(self, name):
        """Return the rows of a table extension."""
        if name not in self.tables:
            raise ReferenceFileError(f"{self.path}: no table {name}")
        return self.tables[name]

    def require_same_detector(self, exposure):
        """Raise ReferenceFileError if the file was made for another instrument or detector than the exposure's."""
        instrument = exposure.meta.instrument
        for word, mine in (("INSTRUME", instrument.name), ("DETECTOR", instrument.detector)):
            theirs = str(self.keyword(word, "N/A")).strip().upper()
            if mine and theirs not in ("N/A", "ANY", "MULTIPLE", "") and theirs != mine.upper():
                raise ReferenceFileError(f"{self.path}: was made for {theirs}, the exposure is from {mine}")

    def _array(self, name):
        if name == "dq":
            return self._flags()
        pixels = self._pixels(name)
        stored = pixels.read(window=self._cut(pixels))
        array = self._upload(stored, pixels, (*pixels.shape[:-2], *stored.shape[-2:]))
        if pixels.dtype.kind == "f" and bool(self.device.xp.isnan(array).all()):
            raise ReferenceFileError(f"{self.path}: {pixels.name} has no value that is not NaN")
        return array

    def _flags(self):
        xp = self.device.xp
        if "DQ" not in self.pixels:
            main = next(self._pixels(name) for name in ("data", "coeffs") if self.has(name))
            rows, columns = self._cut(main)
            return xp.zeros((rows.stop - rows.start, columns.stop - columns.start), "u4")
        pixels = self.pixels["DQ"]
        stored = pixels.read(window=self._cut(pixels))
        flags = self._upload(stored, pixels, (*pixels.shape[:-2], *stored.shape[-2:])).astype("u4", copy=False)
        definitions = self.tables.get("DQ_DEF")
        if definitions is None or not len(definitions):
            return flags
        standard = xp.empty_like(flags)
        dq.remap_flags(flags, self.device.upload(dq.meaning(definitions)), standard)
        return standard

    def _pixels(self, name) -> Pixels:
        if not self.has(name):
            raise ReferenceFileError(f"{self.path}: no {EXTENSIONS[name]} extension with pixels")
        return self.pixels[EXTENSIONS[name]]

    def _upload(self, stored, pixels, shape):
        if pixels.dtype not in ("f4", "u2", "u4"):  # rare, so it need not be fast
            wanted = "u4" if pixels.name == "DQ" else "f4"
            return self.device.upload(stored.view(pixels.dtype.newbyteorder(">")).astype(wanted)).reshape(shape)
        return decode(self.device.upload(stored), pixels.dtype).reshape(shape)

    def _cut(self, pixels):
        """The (y, x) slices of this file's pixels that the exposure covers.

        Both are placed on the detector by SUBSTRT1 and SUBSTRT2; a file without them must be full frame.
        """
        ny, nx = pixels.shape[-2:]
        if self.window is None:
            return slice(0, ny), slice(0, nx)
        x, y = self.keyword("SUBSTRT1"), self.keyword("SUBSTRT2")
        if x is None or y is None:
            if (ny, nx) not in ((2048, 2048), (1024, 1032)):
                raise ReferenceFileError(f"{self.path}: keywords SUBSTRT1 and SUBSTRT2 are missing")
            x = y = 1
        cut = tuple(slice(s.start - o + 1, s.stop - o + 1) for s, o in zip(self.window, (y, x), strict=True))
        if any(s.start < 0 or s.stop > n for s, n in zip(cut, (ny, nx), strict=True)):
            rows, columns = self.window
            raise ReferenceFileError(
                f"{self.path}: covers columns {x} to {x + nx - 1} and rows {y} to {y + ny - 1}, the exposure needs "
                f"columns {columns.start + 1} to {columns.stop} and rows {rows.start + 1} to {rows.stop}"
            )
        return cut


def _contents(path):
    """Read the headers, the places of the pixels and the tables of a FITS file; of an ASDF file, through FITS."""
    try:
        if path.suffix == ".asdf":
            return _asdf_contents(path)
        headers, pixels, rest = extensions(path)
    except InputError as error:
        raise ReferenceFileError(str(error)) from None
    except (OSError, ValueError) as error:
        raise ReferenceFileError(f"{path}: {reason(error, path)}") from error
    tables = {hdu.name: hdu.data for hdu in rest if not hdu.is_image}
    return headers, pixels, tables


def _asdf_contents(path):
    """Let stdatamodels turn an ASDF reference into FITS extensions in memory, and describe those."""
    from astropy.io import fits
    from stdatamodels import fits_support
    from stdatamodels.jwst import datamodels

    with ignored(), datamodels.open(str(path)) as model:
        model.on_save(str(path))
        try:
            hdus = fits_support.to_fits(model._instance, model._schema)
        except ValueError:  # it holds what FITS has no place for, such as the traces of spectra
            meta = model.meta
            words = {"REFTYPE": meta.reftype, "INSTRUME": meta.instrument.name, "DETECTOR": meta.instrument.detector}
            return {"PRIMARY": words}, {}, {}
        headers = {hdu.name or "PRIMARY": hdu.header for hdu in hdus}
        images = [hdu for hdu in hdus if isinstance(hdu, fits.ImageHDU) and hdu.data is not None]
        pixels = {hdu.name: InMemory(path, hdu.name, np.array(hdu.data)) for hdu in images}
        tables = {hdu.name: hdu.data for hdu in hdus if isinstance(hdu, fits.BinTableHDU)}
    return headers, pixels, tables


class InMemory(Pixels):
    """Pixels that are in memory already; reads like Pixels in a file."""

    words: np.ndarray

    def __init__(self, path, name, array):
        super().__init__(path, name, 0, array.shape, np.dtype(array.dtype.newbyteorder("=")))
        object.__setattr__(self, "words", array.astype(array.dtype.newbyteorder("=")))

    def read(self, first=0, count=None, window=None, buffer=None):
        """Return the planes asked for, encoded as in a file."""
        from gpucal.model.pixels import encode

        rows, columns = window or (slice(None), slice(None))
        planes = self.words.reshape(-1, *self.shape[-2:])
        stop = len(planes) if count is None else first + count
        return encode(np.ascontiguousarray(planes[first:stop, rows, columns]))
