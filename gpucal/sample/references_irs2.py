"""The reference file of NIRSpec's IRS2 readout."""

import numpy as np
from stdatamodels.jwst import datamodels

from gpucal.sample.request import Request

SAMPLES = 712 * 2048  # along the readout of one output
BAD_ROWS = [(1, 1, 0b1000), (2, 2, 0b10010), (4, 1, 1 << 20)]  # output, parity, bits of the bad reference pixels


def refpix(request: Request):
    """State the weights of the reference pixels by frequency, and which of them are bad.

    The complex weights are stored as alternating real and imaginary rows.
    """
    if not request.configuration.irs2:
        return None
    model = datamodels.IRS2Model()
    frequency = np.abs(np.fft.fftfreq(SAMPLES))
    table = np.zeros(2 * SAMPLES, model.get_dtype("irs2_table"))
    near, far = np.exp(-frequency / 0.002), np.exp(-frequency / 0.003)
    for output in range(4):
        weights = {
            f"alpha_{output}": 0.25 * np.exp(0.02j * output) * near,
            f"beta_{output}": (0.7 - 0.02 * output) * np.exp(-0.01j) * far,
        }
        for name, weight in weights.items():
            table[name][0::2], table[name][1::2] = weight.real, weight.imag
    model.irs2_table = table
    model.dq_table = np.array(BAD_ROWS, model.get_dtype("dq_table"))
    return model
