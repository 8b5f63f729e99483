"""The reference file of the near-infrared side pixels' smoothing by the detector's noise (SIRS)."""

import numpy as np
from stdatamodels.jwst import datamodels

from gpucal.sample.request import Request

FREQUENCIES = 1025  # from 0 to half a cycle per row
AMPLIFIERS = 4


def sirskernel(request: Request):
    """State by frequency how much of the left and right side pixels' signal each amplifier shares."""
    configuration = request.configuration
    if configuration.instrument in ("MIRI", "FGS"):
        return None
    frequency = np.linspace(0, 0.5, FREQUENCIES)
    amplifier = np.arange(AMPLIFIERS)[:, None]
    near = 0.45 * np.exp(-frequency / (0.02 + 0.002 * amplifier))
    model = datamodels.SIRSKernelModel()
    model[configuration.detector.lower()] = {
        "gamma": near * (1 - 0.1 * amplifier),
        "zeta": near * (0.7 + 0.1 * amplifier),
    }
    return model
