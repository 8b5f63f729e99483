"""Pixel maps: where the centres of an image's pixels fall on an output."""

import numpy as np


def affine(shape, matrix, offset=(0, 0)):
    """Return a map, (ny, nx, 2), of output = matrix @ (x, y) + offset."""
    y, x = np.indices(shape, float)
    return np.stack([x, y], axis=-1) @ np.asarray(matrix, float).T + offset


def random(rng, holes=0.0):
    """Return a map with rotation, scale, shear, flips and distortion, and the shape of an output it half covers."""
    ny, nx = rng.integers(5, 60, 2)
    turn, scale, shear, flip = (
        rng.uniform(0, 2 * np.pi),
        rng.uniform(0.5, 2.2),
        rng.uniform(-0.4, 0.4),
        rng.choice([-1, 1]),
    )
    if rng.random() < 0.3:
        turn *= 0.002
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [[1, shear], [0, flip]]
    pixmap = affine((ny, nx), matrix)
    bend = (np.arange(nx) / nx - 0.5)[:, None] * (np.arange(ny) / ny - 0.5)[:, None, None]
    pixmap += rng.normal(size=2) * bend * scale
    pixmap -= pixmap.min(axis=(0, 1))
    width, height = pixmap.max(axis=(0, 1)) * rng.uniform(0.4, 1.2, 2) + 3
    pixmap += rng.uniform(-5, 5, 2)
    if holes:
        pixmap[rng.random((ny, nx)) < holes] = np.nan
        pixmap[: rng.integers(0, 3)] = np.nan
    return pixmap, (int(height), int(width))
