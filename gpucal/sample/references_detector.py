"""Reference files of the detector's pixels: what is wrong with them, and what they do to the signal."""

import numpy as np
from stdatamodels.jwst import datamodels

from gpucal.sample.flags import UNKNOWN
from gpucal.sample.orientation import to_irs2
from gpucal.sample.request import Request

BAD_REFERENCE_PIXELS = 40
IPC = [[0.0002, -0.0055, 0.0003], [-0.0060, 1.0222, -0.0058], [0.0003, -0.0054, 0.0001]]
IPC_SPREAD = 0.01  # relative, from pixel to pixel


def mask(request: Request):
    """Flag bad pixels, the neighbours of open ones, reference pixels and a few of those as unusable."""
    at, detector = request.detector.defects, request.detector
    marks = [
        (at["hot"], "HOT", "DO_NOT_USE"),
        (at["dead"], "DEAD", "DO_NOT_USE"),
        (at["warm"], "WARM", UNKNOWN),
        (at["rc"], "RC"),
        (at["telegraph"], "TELEGRAPH"),
        (at["open"], "OPEN", "DO_NOT_USE"),
        (at["low_qe"], "LOW_QE"),
        (detector.reference, "REFERENCE_PIXEL", "NON_SCIENCE"),
    ]
    rows, columns = at["open"]
    ny, nx = detector.shape
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        marks.append(((np.clip(rows + dy, 0, ny - 1), np.clip(columns + dx, 0, nx - 1)), "ADJ_OPEN"))
    if not request.clean:
        rows, columns = np.nonzero(detector.reference)
        some = request.random("mask").choice(rows.size, BAD_REFERENCE_PIXELS, replace=False)
        marks.append(((rows[some], columns[some]), "DO_NOT_USE"))
    return datamodels.MaskModel(dq=_with_interleaved(request, request.flags("mask", *marks), 0))


def saturation(request: Request):
    """State the largest trustworthy count of every pixel: DN with the bias."""
    detector = request.detector
    threshold = np.minimum(detector.bias + np.float32(0.97) * detector.well, 65000)
    threshold[detector.reference] = 60000
    flags = request.flags(
        "saturation", (request.bad("saturation_none"), "NO_SAT_CHECK"), (request.bad("rc"), "RC")
    )  # fmt: skip
    return datamodels.SaturationModel(data=request.spoiled("saturation", threshold, nan=np.nan), dq=flags)


def superbias(request: Request):
    """State the counts of a pixel without charge; MIRI has none."""
    if request.configuration.miri:
        return None
    bias = request.detector.bias + request.random("superbias").standard_normal(request.detector.shape, "f4") / 2
    flags = request.flags(
        "superbias",
        (request.bad("superbias_unreliable"), "UNRELIABLE_BIAS"),
        (request.bad("superbias_nan"), "UNRELIABLE_BIAS", "DO_NOT_USE"),
    )
    data = _with_interleaved(request, request.spoiled("superbias", bias, nan=np.nan), 11000)
    return datamodels.SuperBiasModel(
        data=data, dq=_with_interleaved(request, flags, 0), err=np.full(data.shape, 0.5, "f4")
    )  # fmt: skip


def linearity(request: Request):
    """State the polynomial that undoes the non-linear response, and on request the one that does it.

    It takes counts above the bias; MIRI's, which has no superbias, takes them with the bias.
    """
    detector, (c2, c3, c4) = request.detector, request.detector.coefficients
    coeffs = np.zeros((5, *detector.shape), "f4")
    coeffs[1] = 1
    np.multiply(detector.curve, c2, out=coeffs[2])
    np.multiply(detector.curve, c3, out=coeffs[3])
    coeffs[4] = c4
    inverse = {}
    if request.inverse_linearity:
        terms = _inverse(coeffs)
        terms[3][request.bad("readnoise_nan")] = np.nan  # where nothing else is wrong
        terms[(1, *request.bad("gain_nan"))] = 0
        inverse = {"inv_coeffs": request.cut("linearity", terms)}
    if request.configuration.miri:
        _shift(coeffs, detector.bias)
    coeffs[:, detector.reference] = np.array([[0], [1], [0], [0], [0]])
    coeffs[2][request.bad("linearity_nan")] = np.nan
    coeffs[(slice(None), *request.bad("linearity_zero"))] = 0
    flags = request.flags(
        "linearity", (request.bad("linearity_none"), "NO_LIN_CORR"), (request.bad("rc"), "NONLINEAR")
    )  # fmt: skip
    return datamodels.LinearityModel(coeffs=coeffs[(..., *request.window("linearity"))], dq=flags, **inverse)


def _inverse(coeffs):
    """Return the first terms of the inverse series of s + c2 s^2 + c3 s^3 + c4 s^4."""
    _, _, c2, c3, c4 = coeffs
    inverse = np.zeros_like(coeffs)
    inverse[1], inverse[2], inverse[3] = 1, -c2, 2 * c2**2 - c3
    inverse[4] = -(5 * c2**3 - 5 * c2 * c3 + c4)
    return inverse


def _shift(coeffs, origin):
    """Turn coefficients of a polynomial of s - origin into those of the same polynomial of s (Horner's shift)."""
    for lowest in range(len(coeffs) - 1):
        for k in range(len(coeffs) - 2, lowest - 1, -1):
            coeffs[k] -= origin * coeffs[k + 1]


def gain(request: Request):
    """State the electrons per DN."""
    model = datamodels.GainModel(data=request.spoiled("gain", request.detector.gain, nan=np.nan, negative=-1))
    if request.configuration.instrument == "NIRSPEC":
        model.meta.exposure.gain_factor = 1.0 if request.configuration.subarray == "FULL" else 2.0
    return model


def readnoise(request: Request):
    """State the noise of the difference of two reads, DN."""
    noise = request.detector.read_noise * np.float32(np.sqrt(2))
    return datamodels.ReadnoiseModel(data=request.spoiled("readnoise", noise, nan=np.nan))


def ipc(request: Request):
    """State the 3 x 3 kernel that undoes the interpixel capacitance, on request one for every pixel."""
    kernel = np.array(IPC, "f4")
    kernel[1, 1] += 1 - kernel.sum()
    if request.ipc_per_pixel:
        spread = request.random("ipc").standard_normal(request.detector.shape, "f4") * np.float32(IPC_SPREAD)
        kernel = kernel[:, :, None, None] * (1 + spread)
    return datamodels.IPCModel(data=kernel)


def _with_interleaved(request, array, fill):
    """Add the rows of interleaved reference pixels that IRS2 exposures have."""
    if not request.configuration.irs2:
        return array
    return to_irs2(array, request.configuration.detector, fill)
