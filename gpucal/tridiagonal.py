"""Differences of many pixels with tridiagonal covariances: maximize_likelihood.cu's arithmetic on arrays.

Source: see kernels/maximize_likelihood.cu.
"""

import numpy as np

from gpucal.root import root

ONE, TWO = 20.25, 23.8  # how far chi^2 has to fall for a jump between two groups, or within a group
HOPELESS = 20  # no jump is to be found in a smaller chi^2


def sign(i):
    """-1 for the first difference and every second one from there, 1 for the others."""
    return 1.0 if i % 2 else -1.0


class Differences:
    """Differences d, (n, npix) DN/s, which of them to use, and what the covariance of a fit makes of them.

    photon, read: (2, n), see likelihood.Pattern; noise: (npix) the square of a read's noise, DN^2.
    """

    def __init__(self, d, used, photon, read, noise):
        self.d, self.used, self.photon, self.read, self.noise = d, used, photon, read, noise
        self.n = len(d)

    def of(self, pixels):
        """Return the same of some pixels alone."""
        return Differences(self.d[:, pixels], self.used[:, pixels], self.photon, self.read, self.noise[pixels])

    def fit(self, bright):
        """Find A, B and C. bright: (npix) the rate that tells the photon noise, over the gain."""
        n, self.bright = self.n, bright
        from_photons = bright * self.photon[:, :, None]
        from_noise = self.noise * self.read[:, :, None]
        alpha, beta = from_photons + from_noise
        self.scale = _scale(alpha, beta)
        alpha, beta = alpha / self.scale, beta / self.scale
        beta[:-1] *= self.used[1:]
        beta[:-1] *= self.used[:-1]
        d = self.d * self.used
        theta, phi = np.ones((2, n + 1, bright.size))
        theta[1], phi[n - 1] = alpha[0], alpha[n - 1]
        self.db, self.dc = np.zeros((2, *d.shape))
        for i in range(2, n + 1):
            theta[i] = alpha[i - 1] * theta[i - 1] - beta[i - 2] * beta[i - 2] * theta[i - 2]
        for i in reversed(range(n - 1)):
            b, s = beta[i], sign(i + 1)
            phi[i] = alpha[i] * phi[i + 1] - b * b * phi[i + 2]
            self.dc[i] = self.dc[i + 1] * b + s * b * phi[i + 2]
            self.db[i] = (self.db[i + 1] + s * d[i + 1] * phi[i + 2]) * b
        crossed, squared, capital, capital_d = np.zeros((4, bright.size))
        self.B, self.C = np.zeros((2, bright.size))
        for i in range(n):
            s, b, whole = sign(i), beta[i - 1] if i else 1.0, theta[n]
            crossed += d[i] * s / whole * b * phi[i + 1] * capital_d
            squared += d[i] * d[i] * theta[i] * phi[i + 1] / whole
            capital = capital * b + s * theta[i] if i else -theta[0]
            capital_d = b * capital_d + s * d[i] * theta[i] if i else -d[0] * theta[0]
            self.dc[i] = s / whole * (phi[i + 1] * capital + theta[i] * self.dc[i]) * self.used[i]
            self.db[i] = s / whole * (phi[i + 1] * capital_d + theta[i] * self.db[i])
            self.B += d[i] * self.dc[i]
            self.C += self.dc[i]
        self.A = 2.0 * crossed + squared
        self.theta, self.phi, self.beta = theta, phi, beta

    @property
    def chisq(self):
        """How well the rates of the last fit agree with the differences."""
        return (self.A - self.B * self.B / self.C) / self.scale

    @property
    def rate(self):
        """The rates that the last fit has found, DN/s."""
        return self.B * (1 / self.C)

    def variances(self):
        """Return the variances of the rates, all; and apart, from photons and from read noise."""
        weight = self.dc / self.C
        parts = []
        for scale, (own, shared) in ((self.bright, self.photon), (self.noise, self.read)):
            alone, pairs = np.zeros((2, scale.size))
            for i in range(self.n):
                alone += weight[i] * weight[i] * (scale * own[i])
                if i:
                    pairs += weight[i] * weight[i - 1] * (scale * shared[i - 1])
            parts.append(alone + 2 * pairs)
        return self.scale / self.C, *parts

    def drop_worst(self, averaged, rate):
        """Leave out the difference, or the pair, that spoils each pixel's fit most; tell where it pays to look again.

        averaged: (n) whether a difference and the next may go together. rate: (npix) takes the rates without them.
        """
        ones, twos = self._without_one(), self._without_two()
        one, two = ones[0].max(axis=0), (twos[0] * averaged[:-1, None]).max(axis=0)
        alone = one - ONE > two - TWO
        drop = ~np.isnan(one + two) & np.where(alone, one > ONE, two > TWO)
        drop &= (self.chisq > HOPELESS) | (self.bright < 0)
        worst_one, worst_two = (ones[0] == one) & alone & drop, (twos[0] == two) & ~alone & drop
        without = np.where(alone, _sum(ones[1] * worst_one), _sum(twos[1] * worst_two))
        rate[drop] = (rate * 0 + without)[drop]
        self.used = self.used & ~worst_one
        self.used[:-1] &= ~worst_two
        self.used[1:] &= ~worst_two
        return drop & (self.used.sum(axis=0) > 3)

    def _inverse(self):
        """The diagonal of the inverse covariance, and what is beside it."""
        theta, phi = self.theta, self.phi
        whole = theta[self.n]
        return theta[:-1] * phi[1:] / whole, -self.beta[:-1] * theta[:-2] * phi[2:] / whole

    def _without_one(self):
        """How far chi^2 falls without each difference, and the rates; what is left out already changes nothing."""
        A, B, C, db, dc = self.A, self.B, self.C, self.db, self.dc
        v, _ = self._inverse()
        a = (v * B - db * dc) / (C * v - dc * dc)
        b = (db - a * dc) / v
        chisq = A + a * a * C - 2 * a * B + b * b * v - 2 * b * db + 2 * a * b * dc
        fall = np.where(self.used, self.chisq - chisq / self.scale, self.chisq - self.chisq)
        return fall, np.where(self.used, a, self.rate)

    def _without_two(self):
        """The same without each pair of neighbours; if one of them is left out already, without the other."""
        A, B, C = self.A, self.B, self.C
        v, v01 = self._inverse()
        (v0, v1), (db0, db1), (dc0, dc1) = ((array[:-1], array[1:]) for array in (v, self.db, self.dc))
        f, g, h = dc0 * dc0 - C * v0, dc0 * dc1 - C * v01, B * dc0 - db0 * C
        c = (h / f - (B * dc1 - db1 * C) / g) / (g / f - (dc1 * dc1 - C * v1) / g)
        b = (h - c * g) / f
        a = (B - b * dc0 - c * dc1) / C
        chisq = A + a * a * C + b * b * v0 + c * c * v1
        chisq -= 2 * a * B + 2 * b * db0 + 2 * c * db1
        chisq += 2 * a * b * dc0 + 2 * a * c * dc1 + 2 * b * c * v01
        results = self.chisq - chisq / self.scale, a
        return [
            np.where(~self.used[:-1], one[1:], np.where(~self.used[1:], one[:-1], two))
            for one, two in zip(self._without_one(), results, strict=True)
        ]


def _scale(alpha, beta):
    """The scales that give the covariances a determinant of 1."""
    n = len(alpha)
    before, last, scale = np.ones(alpha[0].shape), alpha[0], np.ones(alpha[0].shape)
    for i in range(2, n + 1):
        now = alpha[i - 1] / scale * last - beta[i - 2] * beta[i - 2] / (scale * scale) * before
        before, last = last, now
        if i % 10 == 0 or i == n:
            f = root(last, i)
            scale = scale * f
            before, last = before / (last / f), np.ones(last.shape)
    return scale


def _sum(values):
    return np.add.accumulate(values, axis=0)[-1]
