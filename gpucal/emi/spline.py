"""A wave between its samples: a cubic spline through one period, for the host and for kernels."""

import numpy as np


class PeriodicWave:
    """A wave as a function of its phase, from 0 to 1.

    As in the official pipeline the spline is not periodic: it goes through one more sample at each end.
    """

    def __init__(self, shape):
        """Take one period, sampled in the middle of equal parts."""
        from scipy.interpolate import make_interp_spline

        n = len(shape)
        phases = (np.arange(n + 2) - 0.5) / n
        self.samples = phases[1:-1]
        self._spline = make_interp_spline(phases, np.array([shape[-1], *shape, shape[0]]), k=3)

    def __call__(self, phase):
        """Return the wave at phases (any shape), to the official pipeline's last bit."""
        return self._spline(phase)

    def pieces(self):
        """Return the same as polynomials, (n + 1, 4) ascending powers of the distance from a sample, in samples."""
        n = len(self.samples)
        left = (np.arange(n + 1) - 0.5) / n
        within = left + 0.5 / n  # the third derivative jumps at samples
        terms = [self._spline(at, nu=k) / (f * n**k) for at, k, f in ((left, 0, 1), (left, 1, 1), (left, 2, 2))]
        return np.stack([*terms, self._spline(within, nu=3) / (6 * n**3)], axis=-1)
