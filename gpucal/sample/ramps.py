"""Ramps: expose a detector to the light and read it, frame by frame."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.cosmic_rays import CosmicRays
from gpucal.sample.detector import EDGE, Detector
from gpucal.sample.drifts import Drifts
from gpucal.sample.orientation import IRS2_ROWS, irs2_normal
from gpucal.sample.readout import Readout
from gpucal.sample.streams import stream
from gpucal.sample.strips import cut_into_strips

# MIRI: the first integration starts with more charge, and every one collects faster at first.
MIRI_PEDESTALS = 300.0, 150.0  # electron; in the first integration, in the others
MIRI_EXCESS, MIRI_DECAY = 0.15, 3.0  # relative to the light; frames
FLOOR_FRACTION = 2e-5  # of the pixels read 0 in some groups


def expose(
    configuration: Configuration, detector: Detector, rate, readout: Readout, cosmic_rays: CosmicRays, key,
    interference=None,
):  # fmt: skip
    """Return the counts of an exposure, and its zero frames or None.

    rate: (ny, nx) float32, electron/s. key: numbers that fix the noise. interference: an Interference, or None.
    Returns (nints, ngroups, ny, nx) and (nints, ny, nx), uint16 DN; counts of NIRSpec's IRS2 readout have 3200 rows,
    their zero frames 2048.
    """
    ny, nx = configuration.shape
    normal = irs2_normal(configuration.detector) if configuration.irs2 else slice(None)
    blind = detector.reference[configuration.window]
    charge, total = np.empty((ny, nx), "f4"), np.empty((IRS2_ROWS if configuration.irs2 else ny, nx), "f4")
    counts = np.empty((readout.nints, readout.ngroups, *total.shape), "u2")
    zeroframe = np.empty((readout.nints, ny, nx), "u2") if readout.zeroframe else None
    strips = cut_into_strips(configuration, detector, charge, rate, *key, "strip")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drifts = _ahead(pool, Drifts(configuration, stream(*key, "drifts")).frame, readout)
        for integration in range(readout.nints):
            pedestal = MIRI_PEDESTALS[min(integration, 1)] if configuration.miri else 0.0
            _in_parallel(pool, strips, lambda strip, pedestal=pedestal: strip.reset(pedestal))
            for group, place, frames in readout.reads():
                cosmic_rays.strike(charge, blind, integration, frames)
                target = counts[integration, group] if place == readout.nframes - 1 else None
                drift = next(drifts)
                if interference:
                    drift += interference.frame(integration, frames.stop - 1)
                read = partial(_read, _light_of(frames, configuration.miri), drift, place, total, target)
                _in_parallel(pool, strips, read)
                if zeroframe is not None and group == place == 0:
                    zeroframe[integration] = (total if target is None else target)[normal]
    _sink_to_floor(counts, normal, stream(*key, "floor"))
    return counts, zeroframe


def _read(exposure, drift, place, total, target, strip):
    """Let a strip collect charge and read it; average the frames of a group, rounding down as the telescope does."""
    strip.collect(exposure)
    frame = strip.read(drift[strip.rows])
    if place:
        frame += total[strip.rows]
    if target is None:
        total[strip.rows] = frame
    else:
        target[strip.rows] = frame / np.float32(place + 1)


def _light_of(frames, miri):
    """Return how many frames' worth of light is collected in a range of frames."""
    decay = np.exp(-np.array(frames) / MIRI_DECAY) if miri else np.zeros(len(frames))
    return float((1 + MIRI_EXCESS * decay).sum())


def _in_parallel(pool, strips, work):
    for _ in pool.map(work, strips):  # also raises what went wrong
        pass


def _ahead(pool, make, readout):
    """Yield what make() returns, for every frame to be read, while the next one is being made."""
    coming = pool.submit(make)
    for _ in range(readout.nints * readout.ngroups * readout.nframes - 1):
        ready, coming = coming.result(), pool.submit(make)
        yield ready
    yield coming.result()


def _sink_to_floor(counts, normal, random):
    """Set a few pixels to 0, the floor of the A/D converter, in some groups."""
    rows = np.arange(counts.shape[2])[normal]
    nx = counts.shape[3]
    for _ in range(max(3, int(FLOOR_FRACTION * rows.size * nx))):
        y, x = rows[random.integers(EDGE, rows.size - EDGE)], random.integers(EDGE, nx - EDGE)
        counts[:, random.random(counts.shape[1]) < 0.4, y, x] = 0
