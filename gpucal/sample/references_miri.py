"""Reference files that only MIRI has."""

import numpy as np
from stdatamodels.jwst import datamodels

from gpucal.sample.interference import CLOCKS, wave_at
from gpucal.sample.ramps import MIRI_DECAY, MIRI_EXCESS, MIRI_PEDESTALS
from gpucal.sample.request import Request
from gpucal.sample.sky import BACKGROUND

GROUPS_SKIPPED = 1  # by the RSCD step, at the start of the first integration; one more in full frames
SUBARRAYS = "FULL", "SUB64", "BRIGHTSKY", "SUB256", "SLITLESSPRISM"


def reset(request: Request):
    """State the reset anomaly, DN, of the first groups of two integrations: (2, ngroups, ny, nx).

    That is the pedestal and the excess charge, as the background collects it.
    """
    if not request.configuration.miri:
        return None
    window = request.window("reset")
    ngroups = min(request.readout.ngroups + 3, 15)
    light = (
        BACKGROUND["MIRI"] * request.configuration.brightness * request.configuration.frame_time
    )  # electron per frame
    excess = MIRI_EXCESS * light * np.cumsum(np.exp(-np.arange(ngroups) / MIRI_DECAY))
    charge = np.array(MIRI_PEDESTALS)[:, None] + excess
    data = (charge[:, :, None, None] / request.detector.gain[window]).astype("f4")
    data[..., request.detector.reference[window]] = 0
    if not request.clean:
        data[0, 0, 10, 10] = np.nan
    flags = request.flags("reset", (request.bad("dark_unreliable"), "OTHER_BAD_PIXEL"))
    model = datamodels.ResetModel(data=data, dq=flags)
    model.meta.exposure.nints, model.meta.exposure.ngroups = data.shape[:2]
    return model


def rscd(request: Request):
    """State how many groups to skip at the start of the first and of the other integrations."""
    if not request.configuration.miri:
        return None
    model = datamodels.RSCDModel()
    rows = [
        (subarray, readpatt, GROUPS_SKIPPED + (subarray == "FULL"), 3)
        for subarray in SUBARRAYS
        for readpatt in ("FASTR1", "FAST", "SLOWR1")
    ]
    model.rscd_group_skip_table = np.array(rows, model.get_dtype("rscd_group_skip_table"))
    return model


def emicorr(request: Request):
    """State the frequencies of the electromagnetic interference, their waves, and the clocks of the subarrays."""
    if not request.configuration.miri:
        return None
    model = datamodels.EmiModel()
    model.frequencies = {
        "Hz390": {"frequency": 390.625, "phase_amplitudes": _wave(128)},
        "Hz10": {"frequency": 10.039216, "phase_amplitudes": _wave(500)},
    }
    used = {"FAST": ["Hz390", "Hz10"], "SLOW": {"MIRIMAGE": ["Hz390"]}}
    model.subarray_cases = {
        case: {"rowclocks": row, "frameclocks": frame, "freqs": used} for case, (row, frame) in CLOCKS.items()
    }
    return model


def _wave(length):
    return wave_at(2 * np.pi * np.arange(length) / length).tolist()
