"""Regions: connected sets of pixels on a plane, and the ellipses that have the same moments."""

import functools
import math

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.large_events.ellipse import Ellipse

SMALLEST_RING = 8  # pixels; fewer enclose no hole, for holes open towards each other at a corner too


def pixels_where(plane):
    """Return where a plane is not 0, as ascending indices into its flattened pixels, on the host."""
    return to_host(array_module(plane).flatnonzero(plane != 0))  # much faster for bool


class Regions:
    """The sets of pixels that touch each other, at an edge or at a corner.

    pixels: ascending indices into the flattened pixels of a plane of this shape (ny, nx). Regions are numbered from 0.
    All of it is done on the host: what is flagged in a plane is a small part of it.
    """

    def __init__(self, pixels, shape):
        self.shape = shape
        label = _connect(pixels, shape[1])
        order = np.argsort(label, kind="stable")
        self.y, self.x = np.divmod(pixels[order], shape[1])
        self.first = np.searchsorted(label[order], np.arange(label.max(initial=-1) + 1))
        self.size = np.diff(self.first, append=len(pixels))

    def _of_each(self, function, values):
        return function.reduceat(values, self.first) if len(self.first) else values[:0]

    @functools.cached_property
    def centres(self):
        """The means of x and y: (nregions, 2)."""
        return np.column_stack([self._of_each(np.add, axis) / self.size for axis in (self.x, self.y)])

    @functools.cached_property
    def extents(self):
        """How many columns and rows each covers: (nregions, 2)."""
        axes = (self.x, self.y)
        return np.column_stack([self._of_each(np.maximum, v) - self._of_each(np.minimum, v) + 1 for v in axes])

    @property
    def reach(self):
        """More than the half axes of the ellipse of each can be, pixels."""
        return np.hypot(*(self.extents - 1).T) + 1

    @property
    def widest(self):
        """More than the minor axis of each can be, pixels."""
        return 2.0 * self.extents.min(axis=1)

    def larger_than(self, area):
        """Return which regions, with the holes in them filled, cover at least so many pixels."""
        chosen = self.size >= area
        for k in np.flatnonzero(~chosen & (self.size >= SMALLEST_RING) & (self._spans >= area)):
            chosen[k] = _fill(self._image(k)).sum() >= area
        return np.flatnonzero(chosen)

    @functools.cached_property
    def _spans(self):
        """How many pixels there are from the first to the last in each row of each: no fewer than with holes filled."""
        if not self.x.size:
            return self.size
        begins = np.ones(self.x.size, bool)
        begins[1:] = np.diff(self.y) != 0
        begins[self.first] = True
        begins = np.flatnonzero(begins)
        spans = self.x[np.append(begins[1:], self.x.size) - 1] - self.x[begins] + 1
        return np.add.reduceat(spans, np.searchsorted(begins, self.first))

    def ellipse(self, k):
        """Return the ellipse of a region, with the axes that the official pipeline takes: a pixel shorter.

        Every operation is scikit-image's, so that ellipses are rounded to the same pixels: an einsum over rows, one
        over columns, and the eigenvalues of the inertia tensor of unit masses.
        """
        image = self._image(k)
        rows, columns = np.nonzero(image)
        powers = [
            (np.arange(n) - at.sum() / at.size)[:, None] ** np.arange(4.0)  # to the third, as there: sums round alike
            for n, at in zip(image.shape, (rows, columns), strict=True)
        ]
        by_column = np.einsum("yx,yj->jx", image.astype("f8"), powers[0], optimize="greedy")
        moments = np.einsum("jx,xi->ji", by_column, powers[1], optimize="greedy")
        both = moments[2, 0] + moments[0, 2]
        yy, xx = (both - moments[2, 0]) / moments[0, 0], (both - moments[0, 2]) / moments[0, 0]
        xy = -moments[1, 1] / moments[0, 0]
        minor, major = (4 * math.sqrt(max(v, 0.0)) - 1 for v in np.linalg.eigvalsh(np.array([[yy, xy], [xy, xx]])))
        if yy == xx:
            angle = math.pi / 4 if xy < 0 else -math.pi / 4
        else:
            angle = math.atan2(-2 * xy, xx - yy) / 2
        x, y = self.centres[k].tolist()
        return Ellipse(x, y, minor, major, float(np.degrees(angle)))

    def _image(self, k):
        """The region as True in the smallest box around it."""
        mine = slice(self.first[k], self.first[k] + self.size[k])
        y, x = self.y[mine], self.x[mine]
        image = np.zeros(self.extents[k][::-1], bool)
        image[y - y.min(), x - x.min()] = True
        return image


def _connect(pixels, nx):
    """Number the regions in the order of their first pixels; return the number of each pixel's."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    if not pixels.size:
        return pixels
    # Runs along rows first; then runs of neighbouring rows are connected, in rows 2 longer, so that none touch around.
    new = np.ones(pixels.size, bool)
    new[1:] = (np.diff(pixels) != 1) | (pixels[1:] % nx == 0)
    first = np.flatnonzero(new)
    length = np.diff(first, append=pixels.size)
    start = pixels[first] + pixels[first] // nx * 2
    end = start + length - 1
    lowest = np.searchsorted(end, start + nx + 1)
    count = np.searchsorted(start, end + nx + 3, side="right") - lowest
    edges = np.concatenate([[0], np.cumsum(count)])
    touching = np.arange(edges[-1]) - np.repeat(edges[:-1] - lowest, count)
    graph = csr_array((np.ones(touching.size, "u1"), touching, edges), shape=(first.size, first.size))
    return np.repeat(connected_components(graph, directed=False)[1], length)


def _fill(image):
    """Fill the holes of an image; two that touch at a corner are one, and so is one that touches the outside."""
    from scipy.ndimage import binary_fill_holes

    return binary_fill_holes(image, np.ones((3, 3)))
