"""Fourier transforms of real series of lines x slots samples, split in two so that both parts are short.

A series of nlines * nslots samples, t = nslots * line + slot, has the frequencies k = k1 + nlines * k2:

    X[k] = sum over slot of w(nlines * nslots)^(slot k1) w(nslots)^(slot k2) sum over line of w(nlines)^(line k1) x[t],

w(n) = exp(-2 pi i / n): transforms along the lines, a rotation, transforms along the slots. They lie as [k1, k2], with
k1 up to nlines / 2, the rest being conjugate to it. One transform of all samples takes four times as long, for nslots
has a large prime factor.

Source: D. H. Bailey 1990, J. Supercomputing 4, 23.
"""

import functools

import numpy as np

from gpucal.device import array_module


def spectrum(series, slots=None):
    """Return the spectrum of (..., nlines, nslots) float32 series: (..., nlines / 2 + 1, nslots) complex64.

    slots: (nslots) the columns of the series in the slots, if there are fewer columns than slots.
    """
    fft, options = _library(series)
    xp = array_module(series)
    lines = fft.rfft(series, axis=-2, **options)
    if slots is not None:
        lines = xp.take(lines, slots, axis=-1)
    lines *= rotation(xp, series.shape[-2], lines.shape[-1])[0]
    return fft.fft(lines, axis=-1, overwrite_x=True, **options)


def series(spectrum, nlines):
    """Return the series of a spectrum, (..., nlines, nslots) float32; the spectrum is overwritten."""
    fft, options = _library(spectrum)
    lines = fft.ifft(spectrum, axis=-1, overwrite_x=True, **options)
    lines *= rotation(array_module(spectrum), nlines, spectrum.shape[-1])[1]
    return fft.irfft(lines, nlines, axis=-2, overwrite_x=True, **options)


def arranged(values, nlines):
    """Return values of all frequencies (..., n) in a spectrum's arrangement: (..., nlines / 2 + 1, n / nlines)."""
    table = values.reshape(*values.shape[:-1], -1, nlines)[..., : nlines // 2 + 1]
    return array_module(values).ascontiguousarray(table.swapaxes(-1, -2))


def _library(array):
    """The Fourier transforms for an array's device, and the options that make them use all cores."""
    if array_module(array) is np:
        import scipy.fft

        return scipy.fft, {"workers": -1}
    import cupyx.scipy.fft

    return cupyx.scipy.fft, {}


@functools.lru_cache(maxsize=2)
def rotation(xp, nlines, nslots):
    """Return the factors between the two parts of a transform, forth and back."""
    turns = np.outer(np.arange(nlines // 2 + 1), np.arange(nslots)) / (nlines * nslots)
    forth = np.exp(-2j * np.pi * turns).astype("c8")
    return xp.asarray(forth), xp.asarray(forth.conj())
