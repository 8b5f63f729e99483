"""Cosmic rays: hits and tracks of single particles, snowballs that saturate their core, and faint wide showers."""

from dataclasses import dataclass, field, replace

import numpy as np

TRACK_LENGTHS = [1, 1, 1, 2, 3, 5, 12]  # pixels; all equally likely
FEWEST = 4  # in an integration, however short
SHOWERS = np.array([(8, 0.4, 0, 30), (30, 1, np.pi, 80)])  # smallest and largest: pixels, axis ratio, angle, electrons


@dataclass(frozen=True)
class CosmicRays:
    """What struck the window during an exposure, in order of integration and frame.

    hits: (nhits, 5) integration, frame, y, x, electrons; snowballs: (n, 5) integration, frame, y, x, radius in pixels;
    showers: (n, 8) integration, frame, y, x, semi-major axis in pixels, axis ratio, its angle from x to y in radians,
    electrons per pixel; all zero-based, frames dropped between groups counted.
    """

    hits: np.ndarray
    snowballs: np.ndarray
    showers: np.ndarray = field(default_factory=lambda: np.empty((0, 8)))

    @classmethod
    def draw(cls, random, readout, blind, rate, nsnowballs):
        """Draw hits at a rate per pixel and second, and a number of snowballs per integration.

        blind: (ny, nx) bool, pixels that collect no charge.
        """
        mean = rate * blind.size * readout.frame_time * readout.frames
        hits = [
            _hits(random, i, readout.frames, blind, max(random.poisson(mean), FEWEST)) for i in range(readout.nints)
        ]
        ny, nx = blind.shape
        snowballs = [
            (i, random.integers(1, max(2, readout.frames)), *random.uniform((0, 0, 6), (ny, nx, 25)))
            for i in range(readout.nints)
            for _ in range(nsnowballs)
        ]
        return cls(_in_order(np.concatenate(hits)), _in_order(np.array(snowballs, float).reshape(-1, 5)))

    def with_showers(self, random, readout, blind, nshowers):
        """Return the same with a number of showers per integration."""
        ny, nx = blind.shape
        low, high = np.concatenate([[(0, 0), (ny, nx)], SHOWERS], axis=1)
        showers = [
            (i, random.integers(1, max(2, readout.frames)), *random.uniform(low, high))
            for i in range(readout.nints)
            for _ in range(nshowers)
        ]
        return replace(self, showers=_in_order(np.array(showers, float).reshape(-1, 8)))

    def strike(self, charge, blind, integration, frames):
        """Add the charge (ny, nx), electron, of what strikes during a range of frames."""
        hits = _during(self.hits, integration, frames)
        y, x = hits[:, 2].astype(int), hits[:, 3].astype(int)
        np.add.at(charge, (y, x), hits[:, 4].astype("f4"))
        for _, _, y0, x0, radius in _during(self.snowballs, integration, frames):
            _add_snowball(charge, blind, y0, x0, radius)
        for _, _, *shower in _during(self.showers, integration, frames):
            _add_shower(charge, blind, *shower)


def _hits(random, integration, frames, blind, count):
    """Return the hits of an integration: straight tracks of one to a dozen pixels."""
    ny, nx = blind.shape
    frame = random.integers(0, frames, count)
    y, x = random.integers(0, ny, count), random.integers(0, nx, count)
    electrons = np.clip(random.lognormal(6.0, 1.6, count), 20, 3e5)
    length = random.choice(TRACK_LENGTHS, count)
    angle = random.uniform(0, 2 * np.pi, count)
    track = np.repeat(np.arange(count), length)
    step = np.arange(track.size) - np.repeat(np.cumsum(length) - length, length)
    y = np.trunc(y[track] + step * np.sin(angle[track])).astype(int)
    x = np.trunc(x[track] + step * np.cos(angle[track])).astype(int)
    deposit = electrons[track] * random.uniform(0.5, 1.2, track.size)
    hits = np.column_stack([np.full(track.size, integration), frame[track], y, x, deposit])
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    hits, y, x = hits[inside], y[inside], x[inside]
    return hits[~blind[y, x]]


def _add_snowball(charge, blind, y0, x0, radius):
    """Add a core that saturates, a bright disc and a halo."""
    ny, nx = charge.shape
    reach = int(3 * radius)
    rows = slice(max(int(y0) - reach, 0), min(int(y0) + reach, ny))
    columns = slice(max(int(x0) - reach, 0), min(int(x0) + reach, nx))
    y, x = np.ogrid[rows, columns]
    distance = np.hypot(y - y0, x - x0) / radius
    core, disc = 4e5 * np.exp(-((2 * distance) ** 4)), 3e4 * (distance < 1)
    halo = 600 * np.exp(-((distance / 1.3) ** 2))
    charge[rows, columns] += ((core + disc + halo) * ~blind[rows, columns]).astype("f4")


def _add_shower(charge, blind, y0, x0, radius, ratio, angle, electrons):
    """Add the same charge to all pixels of an ellipse."""
    y, x = np.ogrid[: charge.shape[0], : charge.shape[1]]
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    charge[(np.hypot(along, across / ratio) < radius) & ~blind] += np.float32(electrons)


def _in_order(events):
    return events[np.lexsort((events[:, 1], events[:, 0]))]


def _during(events, integration, frames):
    mine = events[slice(*np.searchsorted(events[:, 0], [integration, integration + 1]))]
    return mine[slice(*np.searchsorted(mine[:, 1], [frames.start, frames.stop]))]
