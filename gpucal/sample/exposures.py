"""Simulated exposures, each with the truth it was made from beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from stdatamodels.jwst.datamodels import Level1bModel

from gpucal.sample import metadata
from gpucal.sample.configurations import configured
from gpucal.sample.cosmic_rays import CosmicRays
from gpucal.sample.detector import Detector
from gpucal.sample.interference import Interference
from gpucal.sample.pointing import Pointing
from gpucal.sample.ramps import expose
from gpucal.sample.readout import Readout
from gpucal.sample.sky import render
from gpucal.sample.streams import stream

# Offsets on the sky, arcsec for NIRCam's short-wave pixels; others move in proportion to their size.
DITHERS = [(0, 0), (1.31, 0.87), (-0.93, 1.72), (0.58, -1.46), (2.2, 2.1), (-2.1, -0.6), (1.1, -2.4), (-1.7, 2.6)]
DITHER_SCALE = 0.0311  # arcsec per pixel
DITHER_ROLL = 0.002  # degrees from exposure to exposure
SNOWBALLS = 3  # per integration of a near-infrared full frame
BRIGHTEST_RAYS = 20  # at most so many times the rate of cosmic rays in short exposures


def make_exposures(
    configuration, folder, *, ngroups=10, nints=1, exposures=1, seed=1, detector_seed=1, readpatt=None,
    frame_divisor=None, dithers=False, pointing_error=0.03, cr_rate=1.5e-5, snowballs="auto", showers=0,
    zeroframe="auto", tag=None, interference=0.0, exp_type=None,
):  # fmt: skip
    """Write jw..._uncal.fits for a configuration, with jw..._truth.npz beside each, and return the exposures' paths.

    seed fixes the sky and all noise, detector_seed the detector, which must be the references'. dithers: move between
    exposures; pointing_error is then the rms error of the header's pointing, arcsec. cr_rate: hits per pixel and
    second. snowballs, showers: per integration; "auto": 3 in near-infrared full frames. zeroframe: True, False or
    "auto". frame_divisor: FRMDIVSR, if it is to differ from NFRAMES. tag: added to the files' names. interference: DN,
    of the strongest wave that MIRI picks up. exp_type: EXP_TYPE, if it is to differ from the configuration's; the scene
    does not.

    The truth: rate (ny, nx) electron/s of light and dark current; hits (n, 5) integration, frame, y, x, electrons;
    snow (n, 5) integration, frame, y, x, radius; showers (n, 8) integration, frame, y, x, semi-major axis, axis ratio,
    angle, electrons per pixel; pointing_error (2) arcsec to the east and the north.
    ConfigError for an unknown configuration or read pattern.
    """
    chosen = configured(configuration)
    chosen = replace(chosen, exp_type=exp_type or chosen.exp_type)
    readout = Readout.of(chosen, ngroups, nints, readpatt, frame_divisor, zeroframe)
    detector = Detector.of(chosen, detector_seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(exposures):
        random = stream(seed, "exposure", index)
        offset = np.multiply(DITHERS[index % len(DITHERS)], dithers * chosen.pixel_scale / DITHER_SCALE)
        error = random.normal(0, pointing_error, 2) * dithers
        true, stated = (Pointing.of(chosen, at[0], at[1], DITHER_ROLL * index) for at in (offset, offset + error))

        rate = _rate(chosen, detector, true, seed)
        rays = _cosmic_rays(chosen, detector, readout, random, cr_rate, snowballs)
        if showers:
            blind = detector.reference[chosen.window]
            rays = rays.with_showers(stream(seed, "showers", index), readout, blind, showers)
        waves = Interference(chosen, readout, interference) if interference else None
        counts, zero = expose(chosen, detector, rate, readout, rays, (seed, index), waves)

        path = folder / f"{metadata.product_name(chosen, index, tag)}_uncal.fits"
        _write(path, counts, zero, chosen, readout, stated, index, exposures, dithers)
        truth = {"rate": rate, "hits": rays.hits, "snow": rays.snowballs}
        truth |= {"showers": rays.showers, "pointing_error": error}
        np.savez(truth_path(path), **truth)
        paths.append(path)
    return paths


def truth_path(path):
    """Return the path of the truth beside an exposure."""
    return path.with_name(path.name.replace("_uncal.fits", "_truth.npz"))


def _rate(configuration, detector, pointing, seed):
    """Return the electrons per second that light and dark current give to each pixel of the window."""
    window = configuration.window
    rate = render(configuration, pointing, seed) * detector.flat[window] + detector.dark[window]
    rate[detector.reference[window]] = 0
    return rate


def _cosmic_rays(configuration, detector, readout, random, rate, snowballs):
    if snowballs == "auto":
        snowballs = SNOWBALLS if configuration.is_full and not configuration.miri else 0
    blind = detector.reference[configuration.window]
    return CosmicRays.draw(random, readout, blind, rate * min(configuration.brightness, BRIGHTEST_RAYS), snowballs)


def _write(path, counts, zeroframe, *header):
    with Level1bModel(validate_on_assignment=False) as model:  # much faster; it is validated when saved
        model.data = counts
        if zeroframe is not None:
            model.zeroframe = zeroframe
        metadata.fill(model, *header)
        model.save(str(path))
