"""Images to test steps of Stage 2 with, and tables of sensitivity."""

import numpy as np
from astropy.io import fits

from gpucal.model import Cube, Image
from tests.conftest import header

NAMES = ("filter", "pupil", "photmjsr")
ROWS = [("F070W", "CLEAR", 5.0), ("F200W", "F162M", 7.0), ("F200W", "CLEAR", 2.0)]


def make_image(device, data, *, err=2, dq=0, var_poisson=3, var_rnoise=1, **keywords):
    """Return an image, or a cube of three-dimensional data, whose other arrays are these values."""
    from stdatamodels.jwst.datamodels import CubeModel, ImageModel

    data = np.array(data, "f4")
    tree = CubeModel() if data.ndim == 3 else ImageModel()
    tree.update(header((1, 1, *data.shape[-2:]), **keywords))
    arrays = {"data": data}
    for name, value in {"err": err, "dq": dq, "var_poisson": var_poisson, "var_rnoise": var_rnoise}.items():
        arrays[name] = np.array(np.broadcast_to(value, data.shape), "u4" if name == "dq" else "f4")
    kind = Cube if data.ndim == 3 else Image
    return kind(tree, "exposure.fits", **{name: device.upload(array) for name, array in arrays.items()})


def write_photom(path, rows=ROWS, names=NAMES, types=None, **more):
    """Write a table of sensitivity; more: keywords in capitals, and tables of its decline by law: {column: values}."""

    def table(rows, names, types=None):
        pairs = zip(names or (), rows[0], strict=types is None)
        types = types or [(name, "S12" if isinstance(value, str) else "f4") for name, value in pairs]
        return np.array([tuple(row) for row in rows], types)

    primary = fits.PrimaryHDU()
    primary.header.update({"REFTYPE": "PHOTOM", **{word: value for word, value in more.items() if word.isupper()}})
    hdus = [primary, fits.BinTableHDU(table(rows, names, types), name="PHOTOM")]
    for law, columns in more.items():
        if law.islower():
            entries = table(list(zip(*columns.values(), strict=True)), list(columns))
            hdus.append(fits.BinTableHDU(entries, name=f"TIMECOEFF_{law.upper()}"))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path
