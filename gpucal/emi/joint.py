"""Fit ramps and interference jointly: amplitude and phase of a known wave that leave the straightest ramps.

Every pixel's ramp is a line plus the wave at the phase of the pixel and the group. Pixels are summed by their phase in
the first group; then chi squared is quadratic in the amplitude, and is minimised over 500 trial phases, the best of
which a parabola refines. Source: T. Brandt, in the JWST documentation of the emicorr step.
"""

import numpy as np

from gpucal.device import array_module, to_host
from gpucal.emi.spline import PeriodicWave
from gpucal.kernel import kernel

TRIALS = 500
BAD_COLUMNS = 1, 2  # of each amplifier: reference columns that do not follow the others
CLOSE = 1e-9  # relative; closer minima are worked out again, operation by operation as in the official pipeline


def remove(ramp, case, separately=False):
    """Subtract the waves of a case from a ramp of three groups or more, in place, one after the other.

    separately: fit every integration by itself, not one amplitude and phase to all.
    """
    xp = array_module(ramp.data)
    nints, ngroups, ny, nx = ramp.shape
    again = str(ramp.need("exposure.readpatt")).upper() in ("FASTR1", "SLOWR1")  # a frame is reset between integrations
    frame = ny * case.rowclocks + (1024.0 - ny) * 7.0
    clock = np.arange(ny)[:, None] * case.rowclocks + np.arange(nx // 4) * ramp.need("exposure.nsamples")
    quads = ramp.data.reshape(nints, ngroups, -1, 4)  # the amplifiers take turns, so four neighbours are read at once
    for wave in case.waves:
        shape = PeriodicWave(wave.shape)
        phase = clock / wave.period % 1
        per_group = frame / wave.period % 1
        per_integration = per_group * ngroups + (case.frameclocks if again else 0) / wave.period
        steps = np.arange(ngroups) * per_group
        phases = (shape.samples[:, None] + steps) % 1
        y, n = _summed(quads, ramp.pixeldq, phase, len(shape.samples))
        pieces = xp.asarray(shape.pieces())
        starts, amplitudes = _Fit(shape, phases, y, n, per_integration).solve(xp, pieces, separately)
        subtract_wave(
            quads, xp.asarray(phase.ravel()), xp.asarray(steps), xp.asarray(starts), xp.asarray(amplitudes), pieces
        )


def _summed(quads, pixeldq, phase, nphases):
    """Sum the good pixels by phase: (nints, nphases, ngroups) counts and (nints, nphases) pixels, on the host.

    Good pixels scatter less than twice as much as the median pixel and have no flag.
    """
    xp = array_module(quads)
    nints, ngroups, nquads, _ = quads.shape
    scatter = xp.empty((nints, nquads, 4), "f4")
    measure_scatter(quads, scatter)
    good = (scatter < np.float32(2) * xp.median(scatter).astype("f4")) & (pixeldq.reshape(nquads, 4) == 0)
    bins = (phase * nphases).astype("i4")
    bins[:, list(BAD_COLUMNS)] = nphases
    order = np.argsort(bins.ravel(), kind="stable").astype("i4")
    bounds = np.cumsum([0, *np.bincount(bins.ravel(), minlength=nphases)[:nphases]])
    y, n = xp.empty((nints, nphases, ngroups)), xp.empty((nints, nphases))
    sum_by_phase(quads, good.astype("u1"), xp.asarray(order), xp.asarray(bounds), y, n)
    return to_host(y), to_host(n)


class _Fit:
    """Chi squared as a function of the phase, for each integration or several together."""

    def __init__(self, shape, phases, y, n, per_integration):
        self.shape, self.phases, self.y, self.n, self.per_integration = shape, phases, y, n, per_integration
        self.nints, _, self.ngroups = y.shape
        self.t = np.arange(self.ngroups)
        self.s_t, self.s_tt = np.sum(self.t), np.sum(self.t**2)
        self.delta = self.ngroups * self.s_tt - self.s_t**2
        self.s_y, self.s_ty = np.sum(y, axis=2), np.sum(y * self.t, axis=2)
        self.trials = np.arange(TRIALS) * 1.0 / TRIALS
        self._sums: dict = {}

    def solve(self, xp, pieces, separately):
        """Return the phase at which each integration starts, and its amplitude."""
        scores = self._scores(xp, pieces)
        ints = np.arange(self.nints)
        if separately:
            best = [self._best(scores, [i]) for i in ints]
            starts = [phase + i * self.per_integration for i, phase in zip(ints, best, strict=True)]
            return np.array(starts), np.array([self.at(phase, [i])[1] for i, phase in zip(ints, best, strict=True)])
        phase = self._best(scores, ints)
        return (phase + ints * self.per_integration) % 1, np.full(self.nints, self.at(phase, ints)[1])

    def at(self, phase, ints):
        """Return chi squared and the best amplitude at a phase of the first integration.

        The order of the operations is the official pipeline's: its last bits decide where the minimum is.
        """
        a = b = 0.0
        for i in ints:
            start = self.per_integration * i
            z, s_z, s_tz, s_zz = self._wave(int(np.argmin(np.abs((self.trials - phase - start) % 1))))
            y, n, s_y, s_ty = self.y[i], self.n[i], self.s_y[i], self.s_ty[i]
            s_yz = np.sum(z * y, axis=1)
            lines = -self.s_tt * s_z**2 + 2 * self.s_t * s_z * s_tz - self.ngroups * s_tz**2 + s_zz * self.delta
            cross = self.s_tt * s_z * s_y - self.s_t * s_tz * s_y - self.s_t * s_z * s_ty + self.ngroups * s_tz * s_ty
            a += np.sum(n / self.delta * lines)
            b += (2 / self.delta) * np.sum(cross)
            b -= 2 * np.sum(s_yz)
        if np.isclose(a, 0, atol=1e-8) or not np.isfinite(a) or not np.isfinite(b):
            return np.nan, 0.0
        c = -b / (2 * a)
        return a * c**2 + b * c, c

    def _wave(self, trial):
        """The wave at every phase and group for a trial phase, and its sums over the groups."""
        if trial not in self._sums:
            z = self.shape((self.phases.T + self.trials[trial]) % 1).T
            self._sums[trial] = z, np.sum(z, axis=1), np.sum(self.t * z, axis=1), np.sum(z**2, axis=1)
        return self._sums[trial]

    def _scores(self, xp, pieces):
        """The coefficients of chi squared, a c^2 + b c, for each trial phase and integration, to about 1e-12."""
        s_y, s_ty, t = self.s_y[:, :, None], self.s_ty[:, :, None], self.t
        weights = self.s_tt * s_y - self.s_t * t * s_y - self.s_t * s_ty + self.ngroups * t * s_ty
        weights = np.ascontiguousarray(np.moveaxis((2 / self.delta) * weights - 2 * self.y, 0, -1))
        a, b = xp.empty((TRIALS, self.nints)), xp.empty((TRIALS, self.nints))
        score_phases(
            xp.asarray(self.trials), xp.asarray(self.phases), pieces, xp.asarray(weights),
            xp.asarray(np.ascontiguousarray(self.n.T / self.delta)), a, b,
            s_t=self.s_t, s_tt=self.s_tt, delta=self.delta,
        )  # fmt: skip
        return to_host(a), to_host(b)

    def _best(self, scores, ints):
        """The phase of the smallest chi squared: the vertex of a parabola through the best trial and its neighbours."""
        nearest = self._nearest(np.asarray(ints))
        a, b = (part[nearest, ints].sum(axis=1) for part in scores)
        with np.errstate(all="ignore"):
            chi = np.where(np.abs(a) > 1e-8, -(b**2) / (4 * a), np.nan)
        chi[~np.isfinite(chi)] = np.nan
        if np.isnan(chi).all():
            return self.trials[0]
        lowest = np.nanmin(chi)
        close = np.flatnonzero(chi <= lowest + CLOSE * abs(lowest))
        exact = np.array([self.at(self.trials[k], ints)[0] for k in close])
        if np.isnan(exact).all():
            return self.trials[0]
        best = close[np.nanargmin(exact)]
        # As in the official pipeline the phases before 0 and after the last are not unwrapped.
        three = [best - 1, best, (best + 1) % TRIALS]
        around = np.array([self.at(self.trials[k], ints)[0] for k in three])
        if not np.isfinite(around).all() or np.std(around) == 0:
            return self.trials[best]
        curvature, slope, _ = np.polyfit(self.trials[three], around, 2)
        return -slope / (2 * curvature)

    def _nearest(self, ints):
        """The trial that serves each integration when the first one starts at a trial phase: (TRIALS, len(ints))."""
        phase, start = self.trials[:, None, None], self.per_integration * ints[:, None]
        about = np.ceil((phase + start) * TRIALS - 1e-6).astype("i8")
        near = (about + np.array([-1, 0, 1])) % TRIALS
        which = np.argmin(np.abs((self.trials[near] - phase - start) % 1), axis=2)
        return np.take_along_axis(near, which[:, :, None], axis=2)[:, :, 0]


@kernel
def measure_scatter(ramp, scatter):
    """Write the standard deviation of every pixel's groups in each integration, in single precision."""
    scatter[...] = np.std(ramp, axis=1).reshape(scatter.shape)


@kernel
def sum_by_phase(ramp, good, order, bounds, y, n):
    """Sum what the good pixels of each phase have collected, group by group, and count them."""
    for i, k in np.ndindex(n.shape):
        here = order[bounds[k] : bounds[k + 1]]
        some = good[i, here].astype("f4")
        values = (ramp[i][:, here] * some).reshape(len(ramp[i]), -1).astype("f8")
        y[i, k] = np.add.accumulate(values, axis=1)[:, -1] if len(here) else 0
        n[i, k] = some.sum(dtype="f8")


@kernel
def score_phases(trials, phases, pieces, weights, counts, square, linear, s_t, s_tt, delta):
    """Write the coefficients of chi squared for every trial phase and integration."""
    nphases, ngroups, nints = weights.shape
    for k, trial in enumerate(trials):
        z = wave_at(phases + trial, pieces)
        linear[k] = np.add.accumulate((z[:, :, None] * weights).reshape(-1, nints), axis=0)[-1]
        s_z, s_tz, s_zz = (np.add.accumulate(v, axis=1)[:, -1] for v in (z, np.arange(ngroups) * z, z * z))
        lines = 2 * s_t * s_z * s_tz - s_tt * s_z * s_z - ngroups * s_tz * s_tz + s_zz * delta
        square[k] = np.add.accumulate(counts * lines[:, None], axis=0)[-1]


@kernel
def subtract_wave(ramp, phase, steps, starts, amplitudes, pieces):
    """Subtract the wave from the four amplifiers, each group and integration at its phase."""
    for i, g in np.ndindex(ramp.shape[:2]):
        wave = amplitudes[i] * wave_at(phase + steps[g] + starts[i], pieces)
        ramp[i, g] = ramp[i, g] - wave[:, None]


def wave_at(phase, pieces):
    """Evaluate the pieces of a wave at phases, of which only the fraction counts."""
    at = (phase - np.floor(phase)) * (len(pieces) - 1) + 0.5
    index = at.astype("i4")
    r, c = at - index, pieces[index]
    return ((c[..., 3] * r + c[..., 2]) * r + c[..., 1]) * r + c[..., 0]
