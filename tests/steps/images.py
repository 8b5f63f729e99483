"""Images to test steps of Stage 2 with."""

import numpy as np

from gpucal.model import Cube, Image
from tests.conftest import header


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
