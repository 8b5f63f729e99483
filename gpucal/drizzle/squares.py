"""Pixels mapped corner by corner, and the area they share with output pixels: Squares in kernels/drops.cuh."""

import numpy as np

LITTLE = 1e-6  # an area, output pixels
CLEAR = 1e-9  # a distance that no rounding bridges, output pixels
STEEP = 1e300  # instead of infinity, which times 0 is not 0
MOST = 6  # output pixels, the side of the largest window that is measured; the same as in kernels/drops.cuh


def corners(centre, half):
    """Return one coordinate of the corners of all pixels, (4, ny, nx): (-, +), (+, +), (+, -), (-, -)."""
    (ny, nx), h = centre.shape, half
    y, x = np.indices((ny, nx))
    result = np.array([_bilinear(centre, y + dy, x + dx) for dx, dy in ((-h, h), (h, h), (h, -h), (-h, -h))])
    if ny < 4 or nx < 4:
        return result
    share = np.array([h, 1 - h, h])
    share = share[:, None] * share  # of the pixel itself, its neighbours, and those across
    share[1, [0, 2]] = share[[0, 2], 1] = (1 - h) * h
    part = [
        [centre[1 + j : ny - 2 + j, 1 + i : nx - 2 + i] * share[j + 1, i + 1] for i in (-1, 0, 1)] for j in (-1, 0, 1)
    ]
    for corner, (j, i) in zip(result, ((1, 0), (1, 1), (0, 1), (0, 0)), strict=True):
        corner[1 : ny - 2, 1 : nx - 2] = part[j][i] + part[j][i + 1] + part[j + 1][i] + part[j + 1][i + 1]
    return result


def _bilinear(centre, y, x):
    ny, nx = centre.shape
    i, j = (np.clip(np.trunc(p), 0, n - 2).astype("i8") for p, n in ((x, nx), (y, ny)))
    a, b = x - i, y - j
    a1, b1 = 1 - a, 1 - b
    return centre[j, i] * a1 * b1 + centre[j, i + 1] * a * b1 + centre[j + 1, i] * a1 * b + centre[j + 1, i + 1] * a * b


def shared_area(cx, cy, py, px, window):
    """Return the areas drops share with an output pixel of each's window; corners: (4, n); window: x0, x1, y0, y1."""
    x0, x1, y0, y1 = window
    found = _measured(cx, cy, px - 0.5, y0 - 0.5, py - y0)
    asked = np.isnan(found) | (x1 - x0 >= MOST) | (y1 - y0 >= MOST)
    u, v = cx[:, asked] - (px[asked] - 0.5), cy[:, asked] - (py[asked] - 0.5)
    found[asked] = sum(area_under(u[k], v[k], u[(k + 1) % 4], v[(k + 1) % 4]) for k in range(4))
    return found


def _measured(cx, cy, border, base, t):
    """The areas, 1e-16 off, in the column that begins at border, from t to t + 1 above base; NaN if next to nothing."""
    next_x, next_y = np.roll(cx, -1, axis=0), np.roll(cy, -1, axis=0)
    dx, dy = next_x - cx, next_y - cy
    slope, run = np.where(dx == 0, 0.0, dy / dx), np.where(dy == 0, STEEP, np.abs(dx / dy))
    sign = np.where(dx > 0, 1.0, -1.0)
    u1, v1 = cx - border, cy - base
    a, b = np.maximum(np.minimum(cx, next_x) - border, 0), np.minimum(np.maximum(cx, next_x) - border, 1)
    far, width = np.where(b > a, 0.0, STEEP), np.maximum(b - a, 0)
    ya, yb = v1 + slope * (a - u1), v1 + slope * (b - u1)
    low, high = (np.minimum(ya, yb) + far).min(axis=0), (np.maximum(ya, yb) - far).max(axis=0)
    p0, p1, p2, p3 = sign * (_above(ya, yb, width, run, t) - _above(ya, yb, width, run, t + 1))
    total = (p0 + p2) + (p1 + p3)
    below = sum(sign * width)
    found = np.where(np.abs(total) < LITTLE, np.nan, total)
    found = np.where(low >= t + 1 + CLEAR, below, found)
    return np.where(high <= t - CLEAR, 0.0, found)


def _above(ya, yb, width, run, t):
    da, db = ya - t, yb - t
    d = np.maximum(da, db)
    ha, hb, h = da + np.abs(da), db + np.abs(db), d + np.abs(d)
    return 0.125 * np.minimum(h * h * run, 2 * width * (ha + hb))


def area_under(x1, y1, x2, y2):
    """Return the area under lines within the unit square, negative where they run to the left."""
    dx, dy = x2 - x1, y2 - y1
    right = dx > 0
    sign = np.where(right, 1.0, -1.0)
    a, b = np.where(right, x1, x2), np.where(right, x2, x1)
    nothing = (dx == 0) | (a >= 1) | (b <= 0)
    a, b = np.where(a > 0, a, 0.0), np.where(b < 1, b, 1.0)
    slope = dy / dx
    ya, yb = y1 + slope * (a - x1), y1 + slope * (b - x1)
    nothing |= (ya <= 0) & (yb <= 0)
    above = (ya >= 1) & (yb >= 1)
    whole = sign * (b - a)
    det = x1 * y2 - y1 * x2
    a, ya = np.where(ya < 0, det / dy, a), np.where(ya < 0, 0.0, ya)
    b, yb = np.where(yb < 0, det / dy, b), np.where(yb < 0, 0.0, yb)
    within = sign * 0.5 * (b - a) * (yb + ya)
    top = (dx + det) / dy  # where the line leaves the square
    rising = sign * (0.5 * (top - a) * (1 + ya) + b - top)
    falling = sign * (0.5 * (b - top) * (1 + yb) + top - a)
    return np.select(
        [nothing, above, (ya <= 1) & (yb <= 1), ya <= 1], [np.zeros_like(dx), whole, within, rising], falling
    )
