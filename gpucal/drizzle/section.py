"""Which input pixels are drizzled: those that lie within the output's outline, seen from the input.

An input pixel may miss the output altogether, and asking each one costs time, so the drizzle package takes of each row
only the pixels between two edges of a polygon: the input image, cut to the output. How it rounds there decides about
pixels at the border, so it is done in the same way here, on a handful of vertices.
"""

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.drizzle.polygon import Scan, clip, counterclockwise
from gpucal.errors import InputError
from gpucal.kernel import kernel

TOLERANCE = 0.03  # input pixels: how exactly an output position is found on the input
MOST_ROUNDS = 50
GOLDEN = 0.6180339887498949


def row_limits(pixmap, section, out_shape):
    """Return the input pixels in use of each row, (ny, 2) int32: the first, and the one after the last; and a polygon.

    section: (x0, x1, y0, y1), both ends included. The polygon, [(x, y)], bounds the pixels in use; fewer than three
    vertices if there are none. Raises InputError if the map knows places for fewer than two columns or rows.
    """
    limits = np.zeros((len(pixmap), 2), "i4")
    section = shrink(pixmap, section)
    polygon = outline(pixmap, section, out_shape)
    if len(polygon) >= 3:
        scan = Scan(polygon, section, TOLERANCE)
        for y in scan.rows:
            first, last = scan.columns(y)
            limits[y] = first, last + 1
            if scan.ended:
                break
    return limits, polygon


def shrink(pixmap, section):
    """Return the section without the columns and rows at its border for which the map knows no place at all."""
    x0, x1, y0, y1 = section
    ends = array_module(pixmap).empty((len(pixmap), 2), "i4")
    drizzle_valid(pixmap, ends, x0=x0, x1=x1)
    first, last = to_host(ends).T
    rows = np.flatnonzero(last[y0 : y1 + 1] >= 0) + y0
    if len(rows) < 2 or last[rows].max() <= first[rows].min():
        raise InputError("the pixel map knows places for fewer than two columns or rows of the image")
    return int(first[rows].min()), int(last[rows].max()), int(rows[0]), int(rows[-1])


def outline(pixmap, section, out_shape):
    """Return the vertices, in input coordinates, of what the section and the output have in common."""
    x0, x1, y0, y1 = section
    left, right, low, high = x0 - 0.5, x1 + 0.5, y0 - 0.5, y1 + 0.5
    whole = [(left, low), (right, low), (right, high), (left, high)]
    corners = [bilinear(pixmap, *vertex) for vertex in whole]
    if np.isnan(corners).any():
        return whole
    ny, nx = out_shape
    output = [(-0.5, -0.5), (nx - 0.5, -0.5), (nx - 0.5, ny - 0.5), (-0.5, ny - 0.5)]
    common = clip(corners, output)
    if not common:
        return []
    points = array_module(pixmap).asarray(np.array(common))
    found = points.copy()
    drizzle_invert(pixmap, points, found, x0=x0, x1=x1, y0=y0, y1=y1)
    vertices = [(float(x), float(y)) for x, y in to_host(found)]
    for k, vertex in enumerate(vertices):
        if np.isnan(vertex).any():  # the drizzle package keeps the corners it had found so far, and the image's others
            return (vertices[:k] + whole[k:])[:4]
    return counterclockwise(vertices)


def bilinear(pixmap, xin, yin):
    """Return the place on the output of one point of the input, (x, y), as Map::point in kernels/drops.cuh."""
    ny, nx = pixmap.shape[:2]
    i, j = min(max(int(xin), 0), nx - 2), min(max(int(yin), 0), ny - 2)
    (f00, f10), (f01, f11) = to_host(pixmap[j : j + 2, i : i + 2])
    a, b = xin - i, yin - j
    with np.errstate(invalid="ignore"):
        x, y = f00 * (1 - a) * (1 - b) + f10 * a * (1 - b) + f01 * (1 - a) * b + f11 * a * b
    return float(x), float(y)


@kernel
def drizzle_valid(pixmap, ends, x0, x1):
    """Write the first and the last pixel of each row, from x0 to x1, that has a place; nx and -1 if none has."""
    nx = pixmap.shape[1]
    known = ~np.isnan(pixmap[:, x0 : x1 + 1]).any(axis=-1)
    some = known.any(axis=1)
    if known.size:
        ends[:, 0] = np.where(some, x0 + known.argmax(axis=1), nx)
        ends[:, 1] = np.where(some, x0 + known.shape[1] - 1 - known[:, ::-1].argmax(axis=1), -1)


@kernel
def drizzle_invert(pixmap, points, found, x0, x1, y0, y1):
    """Write where on the input the points of the output come from; NaN where that is not to be found."""
    for point, result in zip(points, found, strict=True):
        result[:] = _invert(pixmap, point, [x0 - 0.5, y0 - 0.5], [x1 + 0.5, y1 + 0.5])


def _invert(pixmap, point, low, high):
    for _ in range(MOST_ROUNDS):
        size = [high[0] - low[0], high[1] - low[1]]
        if size[0] <= TOLERANCE and size[1] <= TOLERANCE:
            return 0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])
        xs = high[0] - GOLDEN * size[0], low[0] + GOLDEN * size[0]
        ys = high[1] - GOLDEN * size[1], low[1] + GOLDEN * size[1]
        places = [bilinear(pixmap, x, y) for x in xs for y in ys]
        if np.isnan(places).any():
            break
        distances = [(x - point[0]) * (x - point[0]) + (y - point[1]) * (y - point[1]) for x, y in places]
        nearest = distances.index(min(distances))
        if distances.count(min(distances)) > 1:
            nearest = 3
        for axis, (upper, cut) in enumerate(((nearest // 2, xs), (nearest % 2, ys))):
            if upper:
                low[axis] = cut[0]
            else:
                high[axis] = cut[1]
    return np.nan, np.nan
