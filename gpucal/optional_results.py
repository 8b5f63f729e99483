"""Optional results of a ramp fit by least squares: what is known of every segment and every jump.

Source: the JWST documentation of ramp_fit, "Optional output".
"""

import numpy as np

from gpucal.device import array_module
from gpucal.dq import GROUP, PIXEL
from gpucal.kernel import kernel
from gpucal.model.optional import SegmentFits
from gpucal.segments import Lines, integrations, pieces

PER_SEGMENT = ("slope", "sigslope", "var_poisson", "var_rnoise", "yint", "sigyint", "weights")


def segment_fits(ramp, gain, readnoise, zeroframe, weights, chunks, first, ngroups, timing):
    """Return the arrays of SegmentFits, as a dict; the arguments are those of fit_ramps.

    chunks: (first pixel, scratch memory of ngroups doubles a pixel) until all pixels are served.
    """
    xp = array_module(ramp.data)
    nints, _, ny, nx = ramp.shape
    nsegments, njumps = (xp.empty((nints, ny, nx), "u2") for _ in range(2))
    count_segments(ramp.groupdq, zeroframe, nsegments, njumps, first=first, ngroups=ngroups)
    shape = (nints, int(nsegments.max()), ny, nx)
    result = {name: xp.zeros(shape, "f4") for name in PER_SEGMENT}
    result["pedestal"] = xp.zeros((nints, ny, nx), "f4")
    result["crmag"] = xp.zeros((nints, int(njumps.max()), ny, nx), "f4")
    gap, dropped = ramp.need("exposure.groupgap"), ramp.meta.exposure.drop_frames1 or 0
    nframes = timing["nframes"]
    for start, scratch in chunks:
        record_segments(
            ramp.data, ramp.groupdq, ramp.pixeldq, gain.data, readnoise.data, ramp.average_dark_current, zeroframe,
            weights, scratch, *(result[name] for name in (*PER_SEGMENT, "pedestal", "crmag")), start=start, first=first,
            ngroups=ngroups, **timing, first_time=((nframes + 1) / 2 + dropped) / (nframes + gap),
        )  # fmt: skip
    return {name: result[name] for name in SegmentFits.arrays}


@kernel
def count_segments(groupdq, zeroframe, nsegments, njumps, first, ngroups):
    """Count the segments and the jumps of every integration."""
    everything = slice(None)
    ramps = integrations(groupdq, groupdq, zeroframe, everything, first, ngroups, zeroframe is not None)
    for k, r in enumerate(ramps):
        counts = np.zeros(r.any.shape, "u2")
        for at, _, _ in pieces(r.flags, r.flags[0] & GROUP.SATURATED == 0, keep_lone=True):
            counts[at] += 1
        nsegments[k] = counts.reshape(nsegments[k].shape)
        njumps[k] = (groupdq[k, first + 1 : first + ngroups] & GROUP.JUMP_DET != 0).sum(axis=0).reshape(njumps[k].shape)


@kernel
def record_segments(
    ramp, groupdq, pixeldq, gain, readnoise, dark, zeroframe, weights, scratch, slope, sigslope, var_poisson,
    var_rnoise, yint, sigyint, segment_weights, pedestal, crmag, start, first, ngroups, nframes, lone_groups,
    group_time, frame_time, one_group_time, first_time,
):  # fmt: skip
    """Write down the fits of the segments, the pedestals and the sizes of the jumps of the pixels from start on."""
    here = slice(start, start + len(scratch))
    lines = Lines(group_time, frame_time, one_group_time, weights)
    npix = pixeldq.size  # an array without jumps has no size to tell
    fits = (slope, sigslope, var_poisson, var_rnoise, yint, sigyint)
    outputs = [a.reshape(*a.shape[:2], npix)[:, :, here] for a in fits]
    output_weights, jumps = (a.reshape(*a.shape[:2], npix)[:, :, here] for a in (segment_weights, crmag))
    with np.errstate(all="ignore"):
        gain = gain.reshape(-1)[here]
        base = pixeldq.reshape(-1)[here] | ~(gain > 0) * np.uint32(PIXEL.NO_GAIN_VALUE | PIXEL.DO_NOT_USE)
        ramps = integrations(ramp, groupdq, zeroframe, here, first, ngroups, lone_groups)
        lines.set_pixels(
            gain, readnoise.reshape(-1)[here], nframes, None if dark is None else dark.reshape(-1)[here], ramps
        )
        for k, r in enumerate(ramps):
            mean = lines.integrate(r, base)[0][0]
            before = r.values[0] - mean * first_time
            pedestal[k].reshape(-1)[here] = np.where(np.isnan(before), 0.0, before)
            number = np.zeros(base.shape, int)
            for piece in lines.fits(r, r.flags[0] & GROUP.SATURATED == 0):
                place = k, number[piece.at], piece.at
                values = piece.slope, piece.sigma, piece.poisson, piece.noise, piece.intercept, piece.intercept_sigma
                for out, value in zip(outputs, values, strict=True):
                    out[place] = value
                output_weights[place] = 1 / piece.noise
                number[piece.at] += 1
            _record_jumps(ramp[k], groupdq[k], here, first, ngroups, jumps[k])


def _record_jumps(ramp, groupdq, here, first, ngroups, jumps):
    data, flags = (a.reshape(len(a), -1)[first : first + ngroups, here] for a in (ramp, groupdq))
    values = np.where(flags & GROUP.SATURATED != 0, np.nan, data.astype("f8"))
    number = np.zeros(values.shape[1], int)
    for g in range(1, ngroups):
        at = np.flatnonzero(flags[g] & GROUP.JUMP_DET)
        jumps[number[at], at] = values[g, at] - values[g - 1, at]
        number[at] += 1
