"""The shapes of a drop: their numbers, and what kernels/drops.cuh does with them, for all input pixels at once.

A shape's drops(): of the input pixels (j, i) those with a place, as a mask, and their windows of output pixels; and
weights(): what one output pixel of each drop's window gets.
"""

from dataclasses import dataclass
from math import ceil, pi, sin

import numpy as np

from gpucal.drizzle.squares import corners, shared_area

SHAPES = {"square": 0, "gaussian": 1, "point": 2, "turbo": 3, "lanczos2": 4, "lanczos3": 4}
FWHM = 2.3548  # of a Gaussian, standard deviations
SPACING = 0.003  # of the table of a Lanczos function, input pixels
SMALLEST_DROP = 0.001  # pixfrac; what is not larger is a point


@dataclass(frozen=True)
class Shape:
    """What kernels/drizzle_image.cu is told of a shape."""

    shape: int
    half: float = 0.0  # the side of a square, input pixels
    reach: float = 0.0  # from the centre to the end, output pixels
    fine: float = 0.0  # gaussian: 1 / (2 sigma^2); lanczos: entries of the table per output pixel
    height: float = 0.0  # gaussian: in the middle; turbo: 1 / area
    table: tuple[float, ...] = ()  # half a Lanczos function


def shape_of(kernel, pixfrac, ratio):
    """Return a kernel's Shape; ratio: the side of an output pixel, input pixels."""
    ratio = float(np.float32(ratio))
    if kernel == "square":
        return Shape(SHAPES[kernel], half=0.5 * pixfrac)
    if kernel == "turbo":
        area = 1 / (pixfrac * pixfrac)
        return Shape(SHAPES[kernel], reach=pixfrac / ratio / 2, height=area * ratio * ratio)
    if kernel == "gaussian":
        steep = FWHM * FWHM * (ratio * ratio) * (1 / (pixfrac * pixfrac)) / 2
        return Shape(
            SHAPES[kernel], reach=max(2.5 * pixfrac / FWHM / ratio, 1.2 / ratio), fine=steep, height=steep / pi
        )
    if kernel == "point":
        return Shape(SHAPES[kernel])
    order = int(kernel[-1])
    return Shape(SHAPES[kernel], reach=order / ratio, fine=ratio / SPACING, table=lanczos(order))


def lanczos(order):
    """Return the Lanczos function at 0, 0.003, 0.006, ..., up to its order and 0 beyond."""
    table = [1.0]
    for k in range(1, ceil(order / SPACING) + 1):
        x = k * SPACING
        near, far = pi * x, pi * x / order
        table.append(sin(near) * sin(far) / (near * far) if x <= order else 0.0)
    return tuple(table)


def rounded(a):
    """Return a rounded, half away from zero."""
    whole = np.trunc(a)
    return np.where(np.abs(a - whole) >= 0.5, whole + np.where(a < 0, -1.0, 1.0), whole)


class Drops:
    """The drops of all input pixels; where known, they have places and windows (x0, x1, y0, y1) of output pixels."""

    def __init__(self, pixmap, shape, half, reach, fine, height, table):
        self.shape, self.fine, self.height, self.table = shape, fine, height, table
        self.x, self.y = np.moveaxis(pixmap, -1, 0)
        x, y = self.x, self.y
        if shape == SHAPES["square"]:
            self.cx, self.cy = corners(self.x, half), corners(self.y, half)
            self.known = np.isfinite(self.cx).all(axis=0) & np.isfinite(self.cy).all(axis=0)
            self.window = [rounded(f(c, axis=0)) for c in (self.cx, self.cy) for f in (np.min, np.max)]
            return
        self.known = np.isfinite(x) & np.isfinite(y)
        self.box = x - reach, x + reach, y - reach, y + reach
        if shape == SHAPES["lanczos2"]:
            self.window = [np.floor(side) + (1 - k % 2) for k, side in enumerate(self.box)]
        else:
            self.window = [rounded(side) for side in self.box]

    def weigh(self, weight):
        """Return the drops' own weights: float64, from the pixels' float32."""
        weight = weight.astype("f8")
        if self.shape == SHAPES["square"]:
            (x0, x1, x2, x3), (y0, y1, y2, y3) = self.cx, self.cy
            weight /= 0.5 * ((x1 - x3) * (y0 - y2) - (x0 - x2) * (y1 - y3))
        return weight

    def weights(self, which, py, px, w):
        """Return what output pixels (py, px) get of the drops that a mask selects; w: the drops' own weights."""
        if self.shape == SHAPES["square"]:
            area = shared_area(self.cx[:, which], self.cy[:, which], py, px, [side[which] for side in self.window])
            return np.where(area == 0, 0, area * w).astype("f4")
        if self.shape == SHAPES["point"]:
            return w.astype("f4")
        x, y = self.x[which], self.y[which]
        if self.shape == SHAPES["turbo"]:
            x0, x1, y0, y1 = (side[which] for side in self.box)
            dx = np.minimum(x1, px + 0.5) - np.maximum(x0, px - 0.5)
            dy = np.minimum(y1, py + 0.5) - np.maximum(y0, py - 0.5)
            return np.where((dx > 0) & (dy > 0) & (dx * dy > 0), dx * dy * self.height * w, 0).astype("f4")
        dx, dy = x - px, y - py
        if self.shape == SHAPES["gaussian"]:
            share = self.height * power_of_e(-(dx * dx + dy * dy) * self.fine)
            return (share.astype("f4").astype("f8") * w).astype("f4")
        ix, iy = (rounded(np.abs(d * self.fine)).astype("i8") for d in (dx, dy))
        within = (ix < len(self.table)) & (iy < len(self.table))
        product = self.table[np.where(within, ix, 0)] * self.table[np.where(within, iy, 0)]
        return np.where(within, product * w, 0).astype("f4")


def power_of_e(a):
    """Return e to the power a <= 0 as kernels/drops.cuh does; 0 below 1e-300."""
    some = a > -690
    a = np.where(some, a, 0.0)
    k = np.floor(a * 1.4426950408889634 + 0.5)
    t = (a - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    total = np.ones_like(a)
    for n in range(14, 0, -1):
        total = 1 + total * (t / n)
    return np.where(some, np.ldexp(total, k.astype("i4")), 0.0)
