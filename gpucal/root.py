"""x to the power 1 / n from sums, products and quotients alone: the twin of kernels/root.cuh.

Source: see kernels/root.cuh.
"""

import numpy as np

LN2, ONE_OVER_LN2 = 0.6931471805599453, 1.4426950408889634
HALVES = 134217729.0  # 2^27 + 1 splits a number in two of half the digits


def root(numbers, n):
    """Return the n-th roots; of 0, infinity and NaN themselves, of what is negative NaN."""
    x = np.where((numbers > 0) & (numbers < np.inf), numbers, 1.0)
    bits = x.view("i8")
    e = ((bits >> 52) - 1022).astype("f8")
    m = (bits & 0xFFFFFFFFFFFFF | 1022 << 52).view("f8")
    z = (m - 1.0) / (m + 1.0)
    z2 = z * z
    u = (LN2 * e + 2.0 * z * (1.0 + z2 * (1.0 / 3.0 + z2 * (1.0 / 5.0 + z2 * (1.0 / 7.0))))) / n
    k = np.trunc(u * ONE_OVER_LN2).astype("i8")
    t = u - k.astype("f8") * LN2
    r = np.ones(x.shape)
    for i in range(13, 0, -1):
        r = 1.0 + r * (t * (1.0 / i))
    r = r * (k + 1023 << 52).view("f8")
    plain, high, low = np.ones(x.shape), np.ones(x.shape), np.zeros(x.shape)
    bits_of_n = [bit == "1" for bit in f"{n:b}"]
    for is_set in bits_of_n:
        plain = plain * (plain * (r if is_set else 1.0))
    r = r + r * ((x - plain) / (n * plain))
    for is_set in bits_of_n:
        high, low = _product_of_twice(high, low, high, low)
        if is_set:
            high, low = _product_of_twice(high, low, r, 0.0)
    whole, rest = _product(1.0 / n, float(n))
    excess = (whole - 1.0) + rest
    r = r + r * (((x - high) - low) / (n * high) + excess * u)
    return np.where((numbers > 0) & (numbers < np.inf), r, np.where(numbers >= 0, numbers, np.nan))


def _product(a, b):
    p, c, d = a * b, HALVES * a, HALVES * b
    a0, b0 = c - (c - a), d - (d - b)
    a1, b1 = a - a0, b - b0
    return p, ((a0 * b0 - p) + a0 * b1 + a1 * b0) + a1 * b1


def _product_of_twice(a, a_low, b, b_low):
    p, rest = _product(a, b)
    low = rest + (a * b_low + a_low * b)
    high = p + low
    return high, low - (high - p)
