"""A reference file of the spectral traces of NIRISS SOSS, for tests."""

import numpy as np
from stdatamodels.jwst.datamodels import PastasossModel


def pastasoss(folder):
    """Write a reference file of two traces."""
    x = np.arange(4, 2044, dtype="f8")
    curves = [70 + 40 * (x / 2048 - 0.4) ** 2, 180 - 60 * (x / 2048) ** 2]
    reference = PastasossModel()
    reference.traces = [
        {"spectral_order": k + 1, "pivot_x": 1024.0, "pivot_y": 80.0, "trace": np.array([x, y]).T, "padding": 0}
        for k, y in enumerate(curves)
    ]
    reference.wavecal_models = [
        {"coefficients": [c, -b, 0.01, 0.05, 0.001, 0.0], "scale_extents": [[4.0, -0.25], [2044.0, 0.25]]}
        for c, b in ((2.8, 2.0), (1.4, 0.8))
    ]
    meta = reference.meta
    meta.pwcpos_cmd, meta.pwcpos_bounds = 245.76, [245.5, 246.0]
    meta.wavemap_wlmin, meta.wavemap_wlmax, meta.wavemap_nwl = 0.5, 5.5, 5001
    meta.subarray_ymin, meta.soss_xdim, meta.soss_ydim = 1792, 2048, 300
    meta.description = meta.author = meta.pedigree = "simulated"
    meta.useafter = "2020-01-01T00:00:00"
    meta.reftype, meta.instrument.name, meta.instrument.detector = "pastasoss", "NIRISS", "NIS"
    path = folder / "pastasoss.asdf"
    reference.save(str(path))
    return path
