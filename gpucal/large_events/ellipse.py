"""Ellipses: what large events are taken for, how they grow, and which pixels they cover."""

import math
from typing import NamedTuple

import numpy as np


class Ellipse(NamedTuple):
    """An ellipse on a plane of pixels.

    x, y: its centre, zero-based. minor, major: its axes in full, pixels; those of a line are -1 across. angle: degrees
    from the y axis to the major axis, towards x.
    """

    x: float
    y: float
    minor: float
    major: float
    angle: float

    def radii_times(self, factor, widest):
        """Return the rounded semi-axes, minor and major, of an ellipse whose minor axis is so many times as long.

        The major axis becomes longer by as many pixels as the minor one; neither exceeds `widest`.
        """
        longer = (factor - 1.0) * self.minor
        return round(min(self.minor * factor, widest) / 2), round(min(self.major + longer, widest) / 2)

    def radii_wider_by(self, margin, widest=math.inf):
        """Return the rounded semi-axes of an ellipse whose axes are so many pixels longer, none beyond `widest`."""
        return round(min(self.minor + margin, widest) / 2), round(min(self.major + margin, widest) / 2)

    def contains(self, points):
        """Tell for each of the points (n, 2), x and y, whether it lies inside or on the ellipse.

        As in the official pipeline the angle is taken for that from the x axis to the major axis.
        """
        turn = np.radians(180 - self.angle)
        x, y = points[:, 0] - self.x, points[:, 1] - self.y
        along, across = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
        with np.errstate(divide="ignore", invalid="ignore"):  # an axis of 0 contains nothing
            return along**2 / (self.major / 2) ** 2 + across**2 / (self.minor / 2) ** 2 <= 1

    def pixels(self, radii, shape):
        """Return a box around the ellipse with other semi-axes, as (rows, columns), and which of its pixels are inside.

        radii: whole pixels, minor and major. shape: that of the plane (ny, nx), which cuts the box. The ellipse is
        drawn around the pixel nearest to its centre; a pixel whose centre is on the edge is outside.
        """
        centre, reach = (round(self.y), round(self.x)), max(radii) + 2
        box = tuple(slice(max(c - reach, 0), min(c + reach + 1, n)) for c, n in zip(centre, shape, strict=True))
        y, x = np.ogrid[: box[0].stop - box[0].start, : box[1].stop - box[1].start]
        return box, self._covers(radii, y, x, centre[0] - box[0].start, centre[1] - box[1].start)

    def _covers(self, radii, y, x, y0, x0):
        """Tell which of the rows y and columns x are inside, with its centre at y0 and x0.

        As in scikit-image, whose first and last rows and columns matter where a radius is negative: that of a line.
        """
        minor, major = radii
        if minor == 0 or major == 0:
            return np.zeros((y.size, x.size), bool)
        angle = np.radians(self.angle) % np.pi
        sin, cos = np.sin(angle), np.cos(angle)
        rows, columns = abs(major * cos) + minor * sin, major * sin + abs(minor * cos)
        near = (y >= y0 - rows) & (y <= y0 + rows) & (x >= x0 - columns) & (x <= x0 + columns)
        y, x = y - y0, x - x0
        return near & (((y * cos + x * sin) / major) ** 2 + ((y * sin - x * cos) / minor) ** 2 < 1)
