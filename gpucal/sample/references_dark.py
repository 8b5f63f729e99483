"""The dark reference: what the detector collects without light, group by group."""

import numpy as np
from stdatamodels.jwst import datamodels

from gpucal.sample.request import Request

NOISE = 0.3  # DN
INTEGRATIONS = 2  # MIRI: the first and all others
LATER = 3.0  # s; how much more each integration has collected
SPARE = 2  # frames more than the exposures need
AVERAGE = 0.0085  # electron/s; where the file states one number


def dark(request: Request):
    """State the dark ramp, DN, at the exposures' size: (ngroups, ny, nx); for MIRI (2, ngroups, ny, nx).

    "match" has the exposures' read pattern and groups, "rapid" single frames that cover them, "short" too few.
    """
    configuration, detector = request.configuration, request.detector
    window = request.window("dark")
    nframes, groupgap, ngroups = _pattern(request)
    rate = detector.dark[window] / detector.gain[window]
    middle = np.arange(ngroups) * (nframes + groupgap) + (nframes + 1) / 2
    times = (middle * configuration.frame_time).astype("f4")
    flags = request.flags("dark", (request.bad("dark_unreliable"), "UNRELIABLE_DARK"), (detector.defects["hot"], "HOT"))
    random = request.random("dark")
    if configuration.miri:
        data = np.stack([_ramp(request, random, rate, times + LATER * i) for i in range(INTEGRATIONS)])
        flags = np.stack([flags] * INTEGRATIONS)[:, None]
        unreliable = random.random(rate.shape) < 1e-4
        flags[1, 0][unreliable] |= np.uint32(request.bits.value("UNRELIABLE_DARK"))
        model = datamodels.DarkMIRIModel(data=data, dq=flags)
        model.meta.exposure.nints = INTEGRATIONS
    elif configuration.instrument == "NIRSPEC":
        model = datamodels.DarkNirspecModel(data=_ramp(request, random, rate, times), dq=flags)
    else:
        model = datamodels.DarkModel(data=_ramp(request, random, rate, times), dq=flags)
        if configuration.instrument == "NIRCAM":
            model.average_dark_current = detector.dark[window].copy()
        else:
            model.meta.exposure.average_dark_current = AVERAGE
    exposure = model.meta.exposure
    exposure.nframes, exposure.groupgap, exposure.ngroups = nframes, groupgap, ngroups
    return model


def _pattern(request):
    """Return frames per group, frames dropped between groups, and groups."""
    readout = request.readout
    if request.dark == "match":
        return readout.nframes, readout.groupgap, readout.ngroups
    if request.dark == "short":
        return 1, 0, max(3, readout.frames // 2)
    return 1, 0, readout.frames + SPARE


def _ramp(request, random, rate, times):
    """Return (ngroups, ny, nx) DN: rate times time, noise, and NaN in the later half of some pixels."""
    window = request.window("dark")
    ramp = np.empty((len(times), *rate.shape), "f4")
    random.standard_normal(dtype=np.float32, out=ramp)
    ramp *= np.float32(NOISE)
    for group, time in zip(ramp, times, strict=True):
        group += rate * time
    if not request.clean:
        ramp[len(times) // 2 :, request.detector.pixels("dark_nan")[window]] = np.nan
    return ramp
