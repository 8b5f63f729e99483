"""Segments of many ramps at once: what kernels/segments.cuh does for one, for the twins of the kernels that fit lines.

Source: see kernels/segments.cuh.
"""

from typing import Any, NamedTuple

import numpy as np

from gpucal.dq import GROUP

BAD = GROUP.DO_NOT_USE | GROUP.SATURATED
TOO_LARGE = 1e6  # (DN/s)^2: variances beyond are written as 0
SNR_LIMITS = (5, 10, 20, 50, 100)  # between the powers of the weights
SQRT2 = 1.41421356  # as the official fit has it


class Integration:
    """One integration of many pixels, (ngroups, npix), with what its flags amount to."""

    def __init__(self, data, flags, after_cut, lone_groups, zeroframe):
        self.flags = flags.copy()
        if after_cut:
            self.flags[0] &= np.uint8(~GROUP.JUMP_DET & 0xFF)
        self.ngroups = len(flags)
        good = (self.flags == 0).sum(axis=0)
        self.unused = (self.flags & BAD != 0).sum(axis=0)
        self.saturated = (self.flags & GROUP.SATURATED != 0).sum(axis=0)
        self.any = np.bitwise_or.reduce(self.flags, axis=0)
        self.passed = (self.any & (GROUP.JUMP_DET | GROUP.PERSISTENCE)).astype("u4")  # to the pixel's flags
        self.values = np.where(self.flags & GROUP.SATURATED != 0, np.nan, data.astype("f8"))
        none = np.zeros(good.shape, bool)
        self.lone = (good == 1) & (self.flags[0] == 0) if lone_groups else none
        self.zero = (good == 0) & (zeroframe != 0) if lone_groups and zeroframe is not None else none
        if self.zero.any():
            self.flags[0, self.zero] = 0
            self.values[0, self.zero] = zeroframe[self.zero]
            self.saturated = self.saturated - (self.zero & (self.saturated == self.ngroups))
            self.unused = self.unused - self.zero


def integrations(ramp, groupdq, zeroframe, pixels, first, ngroups, lone_groups):
    """Return the Integrations of some pixels, a slice, and of the groups from `first` on."""
    data, flags = (a.reshape(*a.shape[:2], -1)[:, first : first + ngroups, pixels] for a in (ramp, groupdq))
    zero = [None] * len(data) if zeroframe is None else zeroframe.reshape(len(data), -1)[:, pixels]
    return [Integration(d, q, first > 0, lone_groups, z) for d, q, z in zip(data, flags, zero, strict=True)]


class Piece(NamedTuple):
    """Segments of the same length n, one of each pixel `at`, and the lines through them."""

    at: np.ndarray
    n: int
    slope: np.ndarray  # DN/s
    poisson: np.ndarray  # (DN/s)^2
    noise: np.ndarray  # (DN/s)^2
    sigma: np.ndarray
    intercept: np.ndarray  # DN
    intercept_sigma: np.ndarray


def pieces(flags, wanted, keep_lone=False):
    """Yield (pixels, starts, n) of the segments that count, by place and length; flags: (ngroups, npix).

    Of several segments of one group only the first counts, where none is longer; keep_lone: all of them.
    """
    clean = flags & np.uint8(~GROUP.PERSISTENCE & 0xFF)
    starts, lengths = [], []
    begin = np.full(wanted.shape, -1)
    for g in range(len(clean) + 1):
        good = clean[g] == 0 if g < len(clean) else np.zeros(wanted.shape, bool)
        ends = (begin >= 0) & ~good
        starts.append(np.where(ends, begin, -1))
        lengths.append(np.where(ends, g - begin, 0))
        opens = good & (begin < 0)
        led = clean[g - 1] == GROUP.JUMP_DET if g else np.zeros(wanted.shape, bool)
        begin = np.where(opens, np.where(led, g - 1, g), np.where(good, begin, -1))
    longest = np.max(lengths, axis=0)
    taken = np.zeros(wanted.shape, bool)
    for start, length in zip(starts, lengths, strict=True):
        use = wanted & (length > 0) & ~((longest > 1) & (length == 1)) & ~((longest == 1) & taken & (not keep_lone))
        for n in np.unique(length[use]):
            at = np.flatnonzero(use & (length == n))
            yield at, start[at], int(n)
        taken |= use


class Lines:
    """The arithmetic of segments.cuh on arrays of pixels: times in s, then the pixels' own numbers."""

    def __init__(self, group_time, frame_time, one_group_time, weights=None):
        self.group, self.frame, self.one_group = (float(t) for t in (group_time, frame_time, one_group_time))
        self.weights = weights

    def set_pixels(self, gain, readnoise, nframes, dark, ramps):
        """Take the gain, the read noise and the dark current of pixels, and their median rate from their ramps."""
        self.gain = gain.astype("f8")
        self.readnoise = (readnoise * (self.gain / np.sqrt(2.0 * nframes))).astype("f4").astype("f8")
        self.dark = np.zeros(self.gain.shape) if dark is None else dark.astype("f8")
        self.rate = sum(self.median_rate(r) for r in ramps) / len(ramps)

    def median_rate(self, ramp):
        """The median of the usable differences of an integration, DN/s."""
        if ramp.ngroups == 1:
            return ramp.values[0] / self.one_group
        values = np.where(ramp.flags & GROUP.DO_NOT_USE != 0, np.nan, ramp.values / self.group)
        steps = np.where(ramp.flags[1:] & GROUP.JUMP_DET != 0, np.nan, np.diff(values, axis=0))
        ordered = np.sort(steps, axis=0)
        count = (~np.isnan(steps)).sum(axis=0)
        lower = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
        upper = np.take_along_axis(ordered, np.minimum(count // 2, len(steps) - 1)[None], axis=0)[0]
        rate = np.where(count > 0, np.where(count % 2, upper, (lower + upper) / 2), values[0])
        rate = np.where(ramp.zero, ramp.values[0] / self.frame, rate)
        rate = np.where(ramp.lone, ramp.values[0] / self.one_group, rate)
        return np.where(np.isnan(rate), 0.0, rate)

    def fits(self, ramp, wanted):
        """Yield the Pieces of an integration, of the pixels that are wanted."""
        for at, start, n in pieces(ramp.flags, wanted):
            yield Piece(at, n, *(self._few if n <= 2 else self._line)(ramp, start, n, at))

    def integrate(self, ramp, base):
        """Average the segments of an integration; return the five numbers of its product, and the exposure's sums.

        base: the pixels' flags. Sums: of slope / noise variance, 1 / Poisson variance, 1 / noise variance.
        """
        dq = base | ramp.passed
        lost = ramp.flags[0] & GROUP.SATURATED != 0
        dq |= lost * np.uint32(BAD)
        unused = ramp.unused == ramp.ngroups
        dq |= unused * np.uint32(GROUP.DO_NOT_USE)
        dq |= (unused & (ramp.saturated == ramp.ngroups)) * np.uint32(GROUP.SATURATED)
        slopes, poissons, noises, totals = np.zeros((4, base.size))
        fitted, bad = np.zeros(base.shape, bool), dq & BAD != 0
        for piece in self.fits(ramp, ~(lost | unused)):
            at = piece.at
            slopes[at] += piece.slope / piece.noise
            poissons[at] += np.where(piece.poisson > 0, 1 / piece.poisson, 0.0)
            noises[at] += 1 / piece.noise
            totals[at] += 1 / (piece.poisson + piece.noise)
            fitted[at] = True
        poisson = np.where(fitted & (poissons > 0), 1 / poissons, 0.0)
        poisson = np.where((poisson >= TOO_LARGE) | bad, 0.0, poisson)
        noise = np.where(fitted, 1 / noises, 0.0)
        noise = np.where((noise >= TOO_LARGE) | bad, 0.0, noise)
        variance = 1 / totals
        err = np.where(fitted & ~bad & ~(variance > TOO_LARGE), np.sqrt(variance), 0.0)
        slope = np.where(bad, np.nan, np.where(fitted, slopes * noise, 0.0))
        sums = np.where(fitted, [slopes, np.where(poissons > 0, poissons, 0.0), noises], 0.0)
        return (slope, err, poisson, noise, dq), sums

    def noise(self, at, n, time: Any = None):
        """The variance of the slope of n groups from read noise."""
        time = self.group if time is None else time
        length = float(n)
        r = self.readnoise[at] / time
        cubed = length * length * length - length if n > 2 else 6.0
        noise = 12.0 * r * r / (cubed * self.gain[at] * self.gain[at])
        return noise if n <= 2 else np.where(self.gain[at] > 0, noise, 0.0)

    def alone(self, ramp, at):
        """The time that a segment of one group stands for."""
        return np.where(ramp.lone[at], self.one_group, np.where(ramp.zero[at], self.frame, self.group))

    def _signal(self, at):
        return np.where(self.rate[at] > 0, self.rate[at] + self.dark[at], self.dark[at])

    def _few(self, ramp, start, n, at):
        time: Any = self.alone(ramp, at) if n == 1 else self.group
        first, last = ramp.values[start, at], ramp.values[start + n - 1, at]
        rise = first if n == 1 else last - first
        common = rise / time, self._signal(at) / (time * self.gain[at]), self.noise(at, n, time)
        if n == 1:
            return *common, *np.zeros((3, at.size))
        x = start + 1.0
        sigma = SQRT2 * self.readnoise[at]
        return *common, sigma, last * (1.0 - x) + first * x, sigma

    def _line(self, ramp, start, n, at):
        gain, readnoise = self.gain[at], self.readnoise[at]
        rise = ramp.values[start + n - 1, at] - ramp.values[start, at]
        noise2 = readnoise * readnoise + rise * gain
        snr = np.where((noise2 <= 0) | (gain == 0), 0.0, rise * gain / np.sqrt(noise2))
        power = np.select([snr < limit for limit in SNR_LIMITS], range(len(SNR_LIMITS)), len(SNR_LIMITS))
        scale = 1 / (readnoise * readnoise)
        sw, sx, sxx, sy, sxy = np.zeros((5, at.size))
        for i in range(n):
            w, x = self.weights[power, n, i].astype("f8") * scale, (start + i).astype("f8")
            y = np.nan_to_num(ramp.values[start + i, at], nan=0.0, posinf=np.inf, neginf=-np.inf)
            xw = x * w
            sw, sx, sxx, sy, sxy = sw + w, sx + xw, sxx + x * xw, sy + y * w, sxy + y * xw
        inverse = 1 / (sw * sxx - sx * sx)
        slope = (sw * sxy - sx * sy) * inverse / self.group
        poisson = self._signal(at) / (self.group * gain * (float(n) - 1))
        intercept = (sxx * sy - sx * sxy) * inverse
        return slope, poisson, self.noise(at, n), np.sqrt(sw * inverse), intercept, np.sqrt(sxx * inverse)
