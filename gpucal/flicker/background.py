"""Smooth background: clipped medians of boxes, and a spline through them.

Source: Bertin & Arnouts 1996 (A&AS 117, 393), as the package photutils does it: boxes with few values take the mean of
their neighbours weighted by 1 / distance, the medians are median-filtered, and the spline is cubic.
"""

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.flicker.ordered import COUNT, HIGH, LOW, MEDIAN, REACH, Ordered
from gpucal.warned import ignored

LARGEST = 32  # pixels; the side of a box unless it is given
ENOUGH = 1 - 10 / 100.0  # of a box's pixels must be left
FILTER = 5  # boxes
NEIGHBOURS = 10  # boxes that fill one without values


def levels_of(image, mask, below, above, lower_half=False):
    """Return the levels (6,) of an image's masked values; see Ordered.clip; NaN where there are none."""
    xp = array_module(image)
    values = xp.where(mask & xp.isfinite(image), image, np.float32(np.nan)).reshape(1, -1)
    return to_host(Ordered(values).clip(below, above, lower_half))[0]


def within(image, mask, low, high):
    """Take out of the mask, in place, what is below low or above high; NaN is neither, and limits may be NaN."""
    xp = array_module(image)
    mask &= ~((image < xp.asarray(low, "f8")) | (image > xp.asarray(high, "f8")))


def background_level(image, mask, box_size=None):
    """Return the smooth background of an image, (ny, nx) float32, from where mask is True; outliers leave the mask."""
    xp = array_module(image)
    within(image, mask, *levels_of(image, mask, REACH, REACH, lower_half=True)[[LOW, HIGH]])
    masked = xp.where(mask & xp.isfinite(image), image, np.float32(np.nan))
    return background_plane(masked, box_size, xp.nanmedian(masked))


def background_plane(image, box_size, otherwise):
    """Return the smooth background of an image, (ny, nx) float32, NaN where it does not count.

    box_size: (rows, columns) or None. otherwise: the value where no box has values enough.
    """
    xp = array_module(image)
    shape = np.array(image.shape)
    box = (
        np.minimum(box_size, shape)
        if box_size
        else [max(n for n in range(1, LARGEST + 1) if s % n == 0) for s in shape]
    )
    mesh = _medians(image, *map(int, box))
    if np.isnan(mesh).all():
        return xp.full(image.shape, otherwise, "f4")
    mesh = _filtered(_filled(mesh))
    if np.ptp(mesh) == 0:
        return xp.full(image.shape, mesh.min(), "f4")
    zoomed = _ndimage(xp).zoom(xp.asarray(mesh), tuple(map(int, box)), order=3, mode="reflect", grid_mode=True)
    return xp.clip(zoomed[: shape[0], : shape[1]], mesh.min(), mesh.max())


def _medians(image, rows, columns):
    """Return the clipped median of every box, on the host; NaN where too few values are left."""
    xp = array_module(image)
    (ny, nx), (my, mx) = image.shape, (-(-image.shape[0] // rows), -(-image.shape[1] // columns))
    padded = xp.full((my * rows, mx * columns), np.nan, "f4")
    padded[:ny, :nx] = image
    boxes = padded.reshape(my, rows, mx, columns).swapaxes(1, 2).reshape(my * mx, rows * columns)
    levels = to_host(Ordered(xp.ascontiguousarray(boxes)).clip(REACH, REACH))
    few = ~(levels[:, COUNT] > ENOUGH * (rows * columns))
    return np.where(few, np.nan, levels[:, MEDIAN]).astype("f4").reshape(my, mx)


def _filled(mesh):
    """Give boxes without a value the mean of their neighbours."""
    from scipy.spatial import cKDTree

    empty = np.isnan(mesh)
    if not empty.any():
        return mesh
    values = mesh[~empty]
    distance, which = cKDTree(np.argwhere(~empty), leafsize=10).query(np.argwhere(empty), k=NEIGHBOURS)
    weight = np.where(np.isfinite(distance), 1 / np.where(np.isfinite(distance), distance, 1.0), 0.0)
    neighbours = values[np.where(np.isfinite(distance), which, 0)]
    mesh = mesh.copy()
    mesh[empty] = (weight * neighbours).sum(axis=1) / weight.sum(axis=1)
    return mesh


def _filtered(mesh):
    """Median-filter the boxes; beyond the edge there is nothing."""
    padded = np.pad(mesh.astype("f8"), FILTER // 2, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (FILTER, FILTER))
    with ignored():
        return np.nanmedian(windows, axis=(-2, -1)).astype("f4")


def _ndimage(xp):
    if xp is np:
        from scipy import ndimage
    else:
        from cupyx.scipy import ndimage
    return ndimage
