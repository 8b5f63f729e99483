"""Simulated guide star exposures: identification, acquisition, tracking and fine guiding."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from stdatamodels.jwst.datamodels import GuiderRawModel, Level1bModel

from gpucal.errors import ConfigError
from gpucal.sample import metadata
from gpucal.sample.configurations import Configuration, configured
from gpucal.sample.detector import Detector
from gpucal.sample.pointing import Pointing
from gpucal.sample.readout import Readout
from gpucal.sample.streams import stream

CONFIGURATION = "fgs_full"  # whose references fit
STAR, WIDTH, SKY = 4e6, 1.4, 20.0  # electron/s; pixels; electron/s in a pixel
HITS = 1e-3  # fraction of the pixels that a cosmic ray hits, in each integration
RAY = 5000.0  # DN


class Mode(NamedTuple):
    """How guide stars are read in one mode."""

    shape: tuple[int, int]  # ny, nx
    corner: tuple[int, int]  # ystart, xstart
    nints: int
    ngroups: int
    frame_time: float  # s


MODES = {
    "FGS_ID-IMAGE": Mode((2024, 2048), (13, 1), 2, 2, 0.3388),
    "FGS_ID-STACK": Mode((2304, 2048), (1, 1), 2, 2, 0.3388),  # overlapping strips: more rows than the detector
    "FGS_ACQ1": Mode((128, 128), (1022, 887), 6, 2, 0.182),
    "FGS_ACQ2": Mode((32, 32), (1070, 935), 5, 2, 0.0252),
    "FGS_TRACK": Mode((32, 32), (1070, 935), 40, 2, 0.032),
    "FGS_FINEGUIDE": Mode((8, 8), (1082, 947), 40, 8, 0.016),
}
TABLES = {
    "planned_star_table": "Planned Reference Stars",
    "flight_star_table": "Flight Reference Stars",
    "pointing_table": "Pointing",
    "centroid_table": "FGS Centroid Packet",
    "track_sub_table": "Track subarray table",
}


def make_guider_exposure(exp_type, folder, *, nints=None, seed=1, detector_seed=1, tables=True, **change):
    """Write jw..._gs-..._uncal.fits of a guider mode, EXP_TYPE, and return its path.

    The references are those of the configuration "fgs_full" with the same detector_seed. tables: add the five that
    such exposures may have. change: what else of the Mode, corner=(1, 1). ConfigError for an unknown mode.
    """
    if exp_type not in MODES:
        raise ConfigError(f"EXP_TYPE {exp_type} is not one of {', '.join(MODES)}")
    mode = MODES[exp_type]._replace(**({"nints": nints} if nints else {}), **change)
    configuration = replace(
        configured(CONFIGURATION), exp_type=exp_type, frame_time=mode.frame_time, corner=mode.corner,
        shape=mode.shape, subarray="FULL" if mode.shape[1] > 128 else f"{mode.shape[0]}X{mode.shape[1]}",
    )  # fmt: skip
    readout = Readout.of(configuration, mode.ngroups, mode.nints)
    random = stream(seed, "guider", exp_type)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"jw01234001001_gs-{exp_type[4:].lower()}_2024001060000_uncal.fits"
    with Level1bModel(validate_on_assignment=False) as model:
        model.data = _counts(configuration, readout, Detector.of(configuration, detector_seed), random)
        metadata.fill(model, configuration, readout, Pointing.of(configuration), 0, 1, False)
        del model.int_times, model.group
        model.save(str(path))
    if tables:
        with fits.open(path, mode="append") as hdus:
            for name, extension in TABLES.items():
                hdus.append(fits.BinTableHDU(_table(GuiderRawModel().get_dtype(name), random), name=extension))
    return path


def _counts(configuration: Configuration, readout: Readout, detector: Detector, random):
    """Return (nints, ngroups, ny, nx) uint16 DN: a star in the middle, read without reset within an integration."""
    (ny, nx), shape = configuration.shape, (readout.nints, readout.ngroups, *configuration.shape)
    ystart, xstart = configuration.corner
    at = np.ix_((np.arange(ny) + ystart - 1) % 2048, (np.arange(nx) + xstart - 1) % 2048)
    y, x = np.mgrid[:ny, :nx].astype("f4")
    y0, x0 = random.uniform(0.4, 0.6, 2) * (ny, nx)
    star = STAR / (2 * np.pi * WIDTH**2) * np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * WIDTH**2))
    step = (star + SKY) * readout.group_time / detector.gain[at]
    signal = np.cumsum(random.poisson(step, shape), axis=1, dtype="f4")
    hit = random.random((shape[0], *shape[2:]), dtype=np.float32) < HITS
    signal[:, 1:] += RAY * hit[:, None]
    signal += detector.bias[at] + detector.read_noise[at] * random.standard_normal(shape, "f4")
    return np.clip(np.rint(signal), 0, 65535).astype("u2")


def _table(dtype, random, rows=3):
    table = np.zeros(rows, dtype)
    for name in dtype.names:
        kind = dtype[name].kind
        table[name] = [f"{k}" for k in range(rows)] if kind == "S" else random.integers(0, 9, rows)
    return table
