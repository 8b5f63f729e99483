"""Header: what an exposure's file says of it, read in a millisecond, without its pixels."""

import functools
from pathlib import Path

from gpucal.errors import InputError
from gpucal.model.base import keyword
from gpucal.model.load import reason


class Header:
    """The metadata of an exposure in a file; `get`, `need` and `window` are those of the model in that file."""

    def __init__(self, source):
        """Read the primary and the SCI header, or the text of an ASDF file; InputError names the file and the cause."""
        self.source = str(source)
        path = Path(source)
        try:
            look, self.shape = _asdf(path) if path.suffix == ".asdf" else _fits(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {reason(error, path)}") from error
        self._look = functools.cache(look)

    def get(self, path):
        """Return a value of the metadata, `exposure.type`, or None where it is absent."""
        return self._look(path)

    def need(self, path):
        """Return a value of the metadata; InputError naming its keyword if it is absent."""
        value = self.get(path)
        if value is None:
            raise InputError(f"{self.source}: keyword {keyword_of(path)} is missing")
        return value

    @property
    def instrument(self):
        """The name of the instrument in small letters."""
        return str(self.need("instrument.name")).lower()

    @property
    def window(self):
        """The (y, x) slices of the full detector that a ramp was read from; None of other exposures."""
        if len(self.shape) != 4:
            return None
        ny, nx = self.shape[-2:]
        y, x = self.need("subarray.ystart") - 1, self.need("subarray.xstart") - 1
        return slice(y, y + ny), slice(x, x + nx)


def _fits(path):
    """Return a function from places in the metadata to values, and the shape of SCI."""
    from astropy.io import fits

    headers: list[fits.Header] = []
    with open(path, "rb") as file:
        while not headers or headers[-1].get("EXTNAME") != "SCI":
            try:
                headers.append(fits.Header.fromfile(file))
            except EOFError:
                cause = "no SCI extension with pixels" if headers else "not a FITS file"
                raise InputError(f"{path}: {cause}") from None
            if "SIMPLE" not in headers[0]:
                raise InputError(f"{path}: not a FITS file")
            file.seek(headers[-1].data_size_padded, 1)
    primary, sci = headers[0], headers[-1]

    def look(place):
        value = primary.get(keyword_of(place), sci.get(keyword_of(place)))
        return None if isinstance(value, fits.card.Undefined) else value

    return look, tuple(sci[f"NAXIS{axis}"] for axis in range(sci["NAXIS"], 0, -1))


def _asdf(path):
    import asdf

    tree = asdf.util.load_yaml(path)  # the text alone: no arrays, no objects

    def look(place):
        node = tree.get("meta")
        for part in place.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return node

    return look, tuple(tree.get("data", {}).get("shape", ()))


@functools.cache
def keyword_of(place):
    """Return the FITS keyword of a place in the metadata, `exposure.type`: EXP_TYPE."""
    return keyword(_schema(), place)


@functools.cache
def _schema():
    from stdatamodels.jwst.datamodels import RampModel

    return RampModel()
