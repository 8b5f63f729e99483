"""Simulated exposures whose windows are made of stripes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from stdatamodels.jwst.datamodels import Level1bModel

from gpucal.errors import ConfigError
from gpucal.model import Ramp
from gpucal.sample import metadata
from gpucal.sample.configurations import Configuration, configured
from gpucal.sample.detector import Detector, measured
from gpucal.sample.pointing import Pointing
from gpucal.sample.readout import Readout
from gpucal.sample.streams import stream
from gpucal.stripes import Stripes

BRIGHT, SPREAD = 300.0, 1.5  # DN in a group; of its logarithm
DRIFT = 30.0  # DN; of an amplifier's level from group to group
RAYS = 0.01  # hits in a pixel and group
RAY = 3000.0  # DN
WORDS = ("multistripe_reads1", "multistripe_skips1", "multistripe_reads2", "multistripe_skips2", "repeat_stripe",
         "interleave_reads1", "superstripe_step", "num_superstripe")  # fmt: skip

# Name -> the configuration whose detector and references fit, what differs from it, and the WORDS.
READOUTS: dict[str, tuple[str, dict, tuple[int, ...]]] = {
    # Superstripes with the detector's reference rows in front of each.
    "nrc_supstp": (
        "nrc_full_rapid", {"subarray": "FULL_SUPSTP024", "shape": (28, 2048)}, (4, 0, 0, 0, 0, 0, 24, 5),
    ),
    # Superstripes alone, in the middle of the detector and against its slow direction.
    "nrc_sub64p_supstp008": (
        "nrc_sub64p", {"subarray": "SUB64P_SUPSTP008", "shape": (8, 64), "corner": (963, 1000)},
        (0, 0, 0, 0, 0, 0, 8, 8),
    ),
    # Each superstripe is read again and again within a frame.
    "nrc_sub64p_supstp032": (
        "nrc_sub64p", {"subarray": "SUB64P_SUPSTP032", "shape": (64, 64), "corner": (963, 1000)},
        (0, 0, 16, 0, 1, 0, 16, 4),
    ),
    # The slow direction is x; the image is the whole detector wide.
    "nis_sub204stripe": (
        "nis_full", {"subarray": "SUB204STRIPE_SOSS", "shape": (64, 208), "corner": (1793, 2048),
                     "exp_type": "NIS_SOSS", "noutputs": 1},
        (4, 0, 204, 0, 0, 0, 204, 10),
    ),
    # Substripes, each with a reference row in front.
    "nrc_sub164stripe4": (
        "nrc_full_rapid", {"subarray": "SUB164STRIPE4_DHS", "shape": (164, 2048), "exp_type": "NRC_TSGRISM"},
        (1, 300, 40, 210, 1, 1, 0, 0),
    ),
    # Substripes one after the other, against the slow direction and not over all columns.
    "nrc_substripes": (
        "nrc_sub160", {"subarray": "GENERIC", "shape": (64, 700), "corner": (2048, 1300), "noutputs": 4},
        (4, 30, 20, 100, 0, 0, 0, 0),
    ),
}  # fmt: skip


def make_stripe_exposure(name, folder, *, ngroups=4, nints=1, seed=1, detector_seed=1, readpatt=None, zeroframe=False):
    """Write jw..._uncal.fits of a readout with stripes and return its path; nints: images, of all stripes.

    The references are those of the readout's configuration, the first of READOUTS[name], with the same detector_seed.
    ConfigError for an unknown readout.
    """
    if name not in READOUTS:
        raise ConfigError(f"readout {name} is not one of {', '.join(READOUTS)}")
    base, change, numbers = READOUTS[name]
    configuration = replace(configured(base), **change)
    count = nints * max(numbers[-1], 1)
    readout = Readout.of(configuration, ngroups, count, readpatt, zeroframe=zeroframe)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{metadata.product_name(configuration, 0, configuration.subarray.lower())}_uncal.fits"
    with Level1bModel(validate_on_assignment=False) as model:
        metadata.fill(model, configuration, readout, Pointing.of(configuration), 0, 1, False)
        for word, number in zip(WORDS, numbers, strict=True):
            setattr(model.meta.subarray, word, number)
        shape = (count, ngroups, *configuration.shape)
        stripes = Stripes.of(Ramp(model, path, data=np.empty(shape, "f4"), groupdq=np.empty(0), pixeldq=np.empty(0)))
        random = stream(seed, "stripes", name)
        counts = _counts(configuration, stripes, Detector.of(configuration, detector_seed), shape, random)
        model.data = counts
        if zeroframe:
            model.zeroframe = counts[:, 0] - (random.random(counts[:, 0].shape) < 0.9).astype("u2")
        model.save(str(path))
    return path


def _counts(configuration: Configuration, stripes: Stripes, detector: Detector, shape, random):
    """Return (nints, ngroups, ny, nx) uint16 DN: ramps with drifting amplifiers and cosmic rays."""
    nints, ngroups, ny, nx = shape
    light = BRIGHT * random.lognormal(0, SPREAD, detector.shape).astype("f4")
    light[detector.reference] = 0
    arrays = (light, detector.bias, detector.curve, detector.well, detector.read_noise)
    light, bias, curve, well, noise = (
        np.resize(stripes.gather(array[stripes.region]), (nints, ny, nx)) for array in arrays
    )
    signal = random.poisson(light[:, None], shape).astype("f4")
    signal += RAY * ((random.random(shape, dtype=np.float32) < RAYS) & (light[:, None] > 0))
    np.cumsum(signal, axis=1, out=signal)
    amplifier = np.arange(nx) // 512 if abs(configuration.axes[0]) == 1 else np.zeros(nx, int)
    level = DRIFT * random.standard_normal((nints, ngroups, 4), "f4")
    for group in range(ngroups):
        plane = measured(signal[:, group], curve, detector.coefficients, well)
        plane += bias + noise * random.standard_normal(plane.shape, "f4") + level[:, group][:, None, amplifier]
        signal[:, group] = plane
    return np.clip(np.rint(signal), 0, 65535).astype("u2")
