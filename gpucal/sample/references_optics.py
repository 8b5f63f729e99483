"""Reference files of what is in front of the detector: flat field, sensitivity, distortion, apertures."""

import numpy as np
from stdatamodels.jwst import datamodels

from gpucal.sample.configurations import Configuration
from gpucal.sample.optics import distortion as distortion_model
from gpucal.sample.request import Request

FLAT_ERROR = 0.004
GLOW, GLOW_NOISE = 0.2, 0.01  # DN/s
RADIANS = np.pi / 180 / 3600  # in an arcsec
PHOTOM = {
    "NIRCAM": datamodels.NrcImgPhotomModel,
    "NIRISS": datamodels.NisImgPhotomModel,
    "MIRI": datamodels.MirImgPhotomModel,
    "FGS": datamodels.FgsImgPhotomModel,
}
APCORR = {
    "NIRCAM": datamodels.NrcImgApcorrModel,
    "NIRISS": datamodels.NisImgApcorrModel,
    "MIRI": datamodels.MirImgApcorrModel,
    "FGS": datamodels.FgsImgApcorrModel,
}


def flat(request: Request):
    """State the relative response to light."""
    detector = request.detector
    flags = request.flags(
        "flat",
        (request.bad("flat_none"), "NO_FLAT_FIELD"),
        (detector.defects["dead"], "DO_NOT_USE"),
        (request.bad("low_qe"), "UNRELIABLE_FLAT"),
        (detector.reference, "NO_FLAT_FIELD", "DO_NOT_USE"),
    )
    data = request.spoiled("flat", detector.flat, nan=np.nan, zero=0)
    return datamodels.FlatModel(data=data, dq=flags, err=np.full(data.shape, FLAT_ERROR, "f4"))


def photom(request: Request):
    """State the conversion from DN/s to MJy/sr by optical element, on request with a decline over time."""
    configuration = request.configuration
    if configuration.instrument not in PHOTOM:
        return None
    model = PHOTOM[configuration.instrument]()
    table = np.array(_conversions(configuration), model.get_dtype("phot_table"))
    model.phot_table = table
    if request.photom_time and configuration.instrument != "FGS":
        decline = np.zeros(len(table), model.get_dtype("timecoeff_exponential"))
        for column in set(table.dtype.fields or ()) & set(decline.dtype.fields or ()):
            decline[column] = table[column]
        decline["t0"], decline["amplitude"], decline["tau"], decline["const"] = 59720.0, 0.12, 300.0, 0.95
        model.timecoeff_exponential = decline
    _state_pixel_area(model, configuration)
    return model


def area(request: Request):
    """State every pixel's area relative to the mean."""
    if request.configuration.instrument not in PHOTOM:
        return None
    ny, nx = request.detector.shape
    y, x = np.ogrid[:ny, :nx]
    model = datamodels.PixelAreaModel(
        data=(1 + 1e-5 * (x - 1000) + 5e-6 * (y - 1000)).astype("f4")
    )  # fmt: skip
    _state_pixel_area(model, request.configuration)
    return model


def distortion(request: Request):
    """State the way from pixels to the telescope's frame."""
    from astropy import units

    configuration = request.configuration
    if configuration.instrument not in PHOTOM:
        return None
    model = datamodels.DistortionModel(
        model=distortion_model(configuration), input_units=units.pix, output_units=units.arcsec
    )  # fmt: skip
    if configuration.instrument == "NIRCAM":
        model.meta.instrument.p_pupil = "CLEAR|F162M|"
    return model


def pictureframe(request: Request):
    """State the glow of NIRSpec's surroundings, DN/s: none at the centre, most in the corners."""
    configuration = request.configuration
    if configuration.instrument != "NIRSPEC":
        return None
    ny, nx = request.detector.shape
    y, x = np.ogrid[:ny, :nx]
    noise = GLOW_NOISE * request.random("pictureframe").standard_normal((ny, nx), "f4")
    data = GLOW * (np.hypot(x - nx / 2, y - ny / 2) / np.hypot(nx / 2, ny / 2)) ** 4 + noise
    return datamodels.PictureFrameModel(data=data.astype("f4"))


def filteroffset(request: Request):
    """State how far the filter shifts the image, pixels."""
    configuration = request.configuration
    if configuration.instrument not in ("NIRCAM", "NIRISS", "MIRI"):
        return None
    model = datamodels.FilteroffsetModel()
    elements = {"filter": configuration.filter, "pupil": configuration.pupil or "N/A"}
    model.filters = [{**elements, "column_offset": 0.013, "row_offset": -0.021}]
    return model


def apcorr(request: Request):
    """State the aperture correction: by encircled energy, the radius and the factor."""
    configuration = request.configuration
    if configuration.instrument not in APCORR:
        return None
    elements = {"MIRI": (configuration.filter, configuration.subarray), "FGS": ()}.get(
        configuration.instrument, (configuration.filter, configuration.pupil)
    )
    fractions = [tenths / 10 for tenths in range(1, 9)]
    rows = [(*elements, fraction, 0.5 + 5.5 * fraction**1.5, 1 / fraction, 7.0, 10.0) for fraction in fractions]
    model = APCORR[configuration.instrument]()
    model.apcorr_table = np.array(rows, model.get_dtype("apcorr_table"))
    return model


def abvegaoffset(request: Request):
    """State the difference between AB and Vega magnitudes."""
    from astropy.table import Table

    configuration = request.configuration
    if configuration.instrument not in APCORR:
        return None
    words = {"MIRI": ["filter"], "FGS": ["detector"]}.get(configuration.instrument, ["filter", "pupil"])
    model = datamodels.ABVegaOffsetModel()
    model.abvega_offset = Table({**{word: [getattr(configuration, word)] for word in words}, "abvega_offset": [1.2]})
    return model


def _conversions(configuration: Configuration):
    """Return the rows of the sensitivity table: the exposures' element, and others to choose from."""
    if configuration.instrument == "FGS":
        return [(0.35, 0.01)]
    if configuration.miri:
        subarrays = "FULL", "SUB64", "BRIGHTSKY"
        return [(f, s, value, 0.01) for f, value in (("F770W", 0.28), ("F1000W", 0.5)) for s in subarrays]
    return [(configuration.filter, configuration.pupil, 2.1, 0.02), ("F070W", "CLEAR", 3.3, 0.02)]


def _state_pixel_area(model, configuration):
    square = configuration.pixel_scale**2 * 1.002
    model.meta.photometry.pixelarea_arcsecsq = square
    model.meta.photometry.pixelarea_steradians = square * RADIANS**2
