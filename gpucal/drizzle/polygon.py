"""Small polygons, [(x, y)]: what two have in common, and which pixels of a row lie within one.

Every sum is made in the order of the drizzle package 2.2, which decides about pixels that are nearly within.
"""

from math import copysign, hypot, inf, isfinite, nan, trunc

NEAR = 1e-12  # vertices nearer than this are one
NOTHING = 2.2250738585072014e-305  # an area smaller than this
MOST_VERTICES = 8


def counterclockwise(polygon):
    """Return the polygon, reversed if it runs clockwise."""
    if len(polygon) < 3:
        return polygon
    mean_x, mean_y = (sum(values) / len(polygon) for values in zip(*polygon, strict=True))
    (x1, y1), (x2, y2) = ((x - mean_x, y - mean_y) for x, y in polygon[:2])
    return polygon if x1 * y2 - y1 * x2 >= 0 else polygon[::-1]


def clip(polygon, window):
    """Return what a polygon and a convex window have in common; empty if nothing.

    Source: Sutherland and Hodgman 1974 (Communications of the ACM 17, 32).
    """
    polygon, window = counterclockwise(polygon), counterclockwise(window)
    for start, end in _edges(window):
        kept: list[tuple[float, float]] = []
        for before, now in _edges(polygon):
            was_inside, is_inside = _left_of(before, start, end), _left_of(now, start, end)
            if was_inside != is_inside:
                crossing = _crossing(before, now, start, end)
                if isfinite(crossing[0]) and isfinite(crossing[1]):
                    _append(kept, crossing)
            if is_inside:
                _append(kept, now)
        polygon = kept
    return _without_midpoints(counterclockwise(polygon))


def centroid(polygon):
    """Return the centre of gravity, (x, y); None if the polygon has no area."""
    edges = _edges(polygon)
    area = 0.5 * sum((x1 + x2) * (y1 - y2) for (x1, y1), (x2, y2) in edges)
    if len(polygon) < 3 or abs(area) < NOTHING:
        return None
    parts = [(x1 * y2 - x2 * y1, x1 + x2, y1 + y2) for (x1, y1), (x2, y2) in edges]
    return sum(f * x for f, x, _ in parts) / (6 * area), sum(f * y for f, _, y in parts) / (6 * area)


class Scan:
    """The pixels within a polygon, row by row upwards: those that lie as a whole between its left and right edges."""

    def __init__(self, polygon, section, tolerance):
        self.x0, self.x1, _, self.y1 = section
        self.tolerance = tolerance
        heights = [y for _, y in polygon]
        self.low, self.high = min(heights), max(heights)
        self.rows = range(max(0, int(self.low + 0.5 + 2 * tolerance)), min(self.y1, int(self.high + 2 * tolerance)) + 1)
        self.left, self.right = _sides(polygon)
        self.ended = not (self.left and self.right)

    def columns(self, y):
        """Return the first and the last pixel of row y; the last is before the first if there is none."""
        nothing = 0, -1
        if self.ended or y + 0.5 <= self.low or y - 0.5 >= self.high + 1:
            return nothing
        ends = []
        for height, margin, tolerance in ((y - 0.5, 0.0, 0.0), (y + 0.5, 0.5, self.tolerance)):
            for side in (self.left, self.right):
                while height > side[0].top + margin + tolerance:
                    if len(side) == 1:
                        self.ended = True
                        return nothing
                    del side[0]
            left = _not_nan(self.left[0].at(y) - self.tolerance, self.x0)
            right = _not_nan(self.right[0].at(y) + self.tolerance, self.x1)
            ends.append((max(left, self.x0), min(right, self.x1)))
        (left, right), (left_top, right_top) = ends
        if left_top < right_top and left < right:
            left, right = max(left, left_top), min(right, right_top)
        elif left_top < right_top:
            left, right = left_top, right_top
        elif left >= right:
            return nothing
        return _rounded(left), _rounded(right)


class Edge:
    """One side of a polygon: x = slope y + start, moved so far that a pixel left (or right) of it is so as a whole."""

    def __init__(self, lower, upper, outwards):
        (x1, y1), (x2, y2) = lower, upper
        self.slope = _quotient(x2 - x1, y2 - y1)
        start = _quotient(x1 * y2 - y1 * x2, y2 - y1)
        self.start = start - copysign(0.5 + 0.5 * abs(self.slope), outwards)
        self.top = y2

    def at(self, y):
        """Return x at height y."""
        return self.slope * y + self.start


def _sides(polygon):
    """The edges from the lowest vertex to the highest, upwards: those on the left, those on the right."""
    n = len(polygon)
    x, y = ([vertex[axis] for vertex in polygon] for axis in (0, 1))
    left_low = right_low = y.index(min(y))
    before, after = (left_low - 1) % n, (left_low + 1) % n
    other = before if y[before] < y[after] else after
    if y[other] <= y[left_low] * (1 + copysign(NEAR, y[left_low])):  # lies flat
        left_low, right_low = (other, left_low) if x[left_low] > x[other] else (left_low, other)
    left_high = right_high = y.index(max(y))
    before, after = (right_high - 1) % n, (right_high + 1) % n
    other = before if y[before] > y[after] else after
    if y[other] >= y[right_high] * (1 - copysign(NEAR, y[right_high])):
        left_high, right_high = (right_high, other) if x[other] > x[right_high] else (other, right_high)
    left = [
        Edge(polygon[(left_low - k) % n], polygon[(left_low - k - 1) % n], -1)
        for k in range((left_low - left_high) % n)
    ]
    right = [
        Edge(polygon[(right_low + k) % n], polygon[(right_low + k + 1) % n], 1)
        for k in range((right_high - right_low) % n)
    ]
    return left, right


def _edges(polygon):
    return [(polygon[k - 1], polygon[k]) for k in range(len(polygon))]


def _cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def _left_of(point, start, end):
    return _cross(point, start) - _cross(end, start) - _cross(point, end) > 0


def _crossing(p1, p2, q1, q2):
    dp, dq = (p2[0] - p1[0], p2[1] - p1[1]), (q2[0] - q1[0], q2[1] - q1[1])
    d, p, q = _cross(dp, dq), _cross(p2, p1), _cross(q2, q1)
    return tuple(_quotient(p * dq[axis] - q * dp[axis], d) for axis in (0, 1))


def _append(polygon, vertex):
    for other in (polygon[-1:], polygon[:1]):
        if other and abs(other[0][0] - vertex[0]) < NEAR and abs(other[0][1] - vertex[1]) < NEAR:
            return
    if len(polygon) < MOST_VERTICES:
        polygon.append(vertex)


def _without_midpoints(polygon):
    if len(polygon) < 3:
        return polygon
    kept = []
    for k, vertex in enumerate(polygon):
        before, after = polygon[k - 1], polygon[(k + 1) % len(polygon)]
        d = after[0] - before[0], after[1] - before[1]
        if abs(_cross(d, (vertex[0] - before[0], vertex[1] - before[1]))) > NOTHING and hypot(*d) > NEAR:
            kept.append(vertex)
    return kept


def _quotient(a, b):
    if b:
        return a / b
    return copysign(inf, a) * copysign(1.0, b) if a else nan


def _not_nan(x, otherwise):
    return x if x == x else otherwise


def _rounded(x):
    """Half away from zero, as C's round()."""
    whole = trunc(x)
    return whole + (0 if abs(x - whole) < 0.5 else -1 if x < 0 else 1)
