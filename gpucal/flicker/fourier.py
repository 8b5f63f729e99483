"""Noise in Fourier space: low frequencies fitted to the background of a NIRSpec image, which has gaps.

All in detector orientation: rows are read one after the other. Least squares with weights p: the normal equations of
Fourier vectors are made of the transform of p^2, so nothing larger than the number of frequencies is ever inverted.
Source: Rauscher 2024 (PASP 136, 015001), "NSClean", and its variant for subarrays.
"""

import numpy as np

from gpucal.device import array_module, to_host

# -- full frames: every row by itself, then smoothed along the columns
CUTOFF = 1 / 256  # 1/pixel; half power
ROLL_OFF = CUTOFF / 4  # 1/pixel
DENSITY_SIGMA = 32  # pixels; over which the density of the background is estimated
SMOOTH_SIGMA = 1.5  # pixels
OUTLIERS = 3.0  # sigma
EDGE = 4  # rows of reference pixels
SIDE = 2048  # pixels

# -- subarrays: some rows at a time, as one stream of samples
OVERHEAD = 12  # samples between two rows
SAMPLE = np.float32(10.0e-6)  # s
BANDS = (
    1061,
    1211,
    49943,
    49957,
)  # Hz; fitted below the second and above the third, fully below the first, above the last
BANDS_ALLSLITS = (150, 200, 49943, 49957)
SECTION = 512  # background pixels that are fitted together
SUBARRAY_OUTLIERS = 4  # sigma
LEAST = 0.05  # of a section's pixels must be background


def full_frame_noise(image, detector):
    """Return the noise of a full frame, (ny, nx) float32; image: the background, NaN elsewhere.

    Raises numpy.linalg.LinAlgError where a row has too few pixels for a fit.
    """
    xp = array_module(image)
    rows = _to_detector(image, detector)
    mask = ~xp.isnan(rows)
    ny, nx = rows.shape
    rows, any_ = _without_outliers(rows, mask)
    weight = _weights(mask).astype("f8")
    gains = _low_pass(nx)
    order = np.arange(len(gains))
    waves = xp.asarray(np.exp(-2j * np.pi * np.outer(np.arange(nx), order) / nx))
    squares = weight * weight
    density, signal = squares @ waves, (squares * xp.where(mask, rows, 0)) @ waves
    used = any_ & (xp.arange(ny) >= EDGE) & (xp.arange(ny) < ny - EDGE)
    lags = xp.asarray(order[:, None] - order)
    density = xp.where(used[:, None], density, xp.asarray(order == 0))
    matrix = xp.where(lags >= 0, density[:, xp.absolute(lags)], xp.conjugate(density[:, xp.absolute(lags)]))
    amplitudes = xp.linalg.solve(matrix, signal[..., None])[..., 0]
    if not bool(xp.isfinite(amplitudes).all()):  # what CuPy returns where NumPy raises
        raise np.linalg.LinAlgError("Singular matrix")
    amplitudes = amplitudes * xp.asarray(gains * np.where(order == 0, 1, 2))
    model = (amplitudes @ xp.conjugate(waves).T).real * used[:, None]
    return _from_detector(_smoothed(model.astype("f4")), detector).astype("f4")


def _without_outliers(rows, mask):
    """Replace outliers by the median of their row; tell which rows have any pixel at all."""
    xp = array_module(rows)
    count = mask.sum(axis=1)
    median = _row_medians(rows, count)
    sigma = np.float32(1.4826) * _row_medians(xp.absolute(rows - median), count)
    reach = np.float32(OUTLIERS) * sigma
    return xp.where((median - reach <= rows) & (rows <= median + reach), rows, median), count > 0


def _row_medians(rows, count):
    xp = array_module(rows)
    ordered = xp.sort(rows, axis=1)
    last = rows.shape[1] - 1
    lower, upper = (
        xp.take_along_axis(ordered, xp.clip(at, 0, last)[:, None], 1) for at in ((count - 1) // 2, count // 2)
    )
    return (lower + upper) / np.float32(2)


def _weights(mask):
    """One over the local density of background pixels, which a Gaussian along the row measures.

    The official estimate is that of the pixel before in the row before, and single precision, in which far from any
    background it is the rounding of the transforms.
    """
    xp = array_module(mask)
    ny, nx = mask.shape
    kernel = np.zeros((ny, nx), "f4")
    x, centre = np.arange(nx), nx // 2 + 1
    kernel[ny // 2 + 1] = np.exp(-((x - centre) ** 2) / DENSITY_SIGMA**2 / 2) / DENSITY_SIGMA / np.sqrt(2 * np.pi)
    transform = xp.fft.rfft2(xp.asarray(np.fft.ifftshift(kernel)))
    density = xp.fft.irfft2(xp.fft.rfft2(mask.astype("f4")) * transform, (ny, nx))
    good = mask & (density != 0)
    return xp.where(good, 1 / xp.where(good, density, np.float32(1)), np.float32(0))


def _low_pass(n):
    """The gain of each frequency of n samples, up to the last that is not 0."""
    frequency = np.fft.rfftfreq(n)
    roll_off = (1 + np.cos(np.pi * (frequency - CUTOFF) / ROLL_OFF + np.pi / 2)) / 2
    gain = np.where(frequency <= CUTOFF - ROLL_OFF / 2, 1, roll_off)
    gain = np.where(frequency <= CUTOFF + ROLL_OFF / 2, gain, 0)
    return gain[: np.sum(gain > 0)]


def _smoothed(model):
    """Smooth along the columns; the official kernel moves the model by one pixel in both directions."""
    xp = array_module(model)
    ny, nx = model.shape
    y, centre = np.arange(ny), nx // 2 + 1
    kernel = np.exp(-(((y - centre) / SMOOTH_SIGMA) ** 2) / 2) / SMOOTH_SIGMA / np.sqrt(2 * np.pi)
    transform = xp.fft.rfft(xp.asarray(np.fft.ifftshift(kernel)))[:, None]
    return xp.roll(xp.fft.irfft(xp.fft.rfft(model.astype("f8"), axis=0) * transform, ny, axis=0), 1, axis=1)


def subarray_noise(image, detector, bands=BANDS):
    """Return the noise of a subarray, (ny, nx) float32; image: the background, NaN elsewhere. Works on the host.

    Raises numpy.linalg.LinAlgError where there is no pixel to fit, or too few.
    """
    rows = np.ascontiguousarray(to_host(_to_detector(image, detector)))
    mask = _without_neighbours(rows)
    total, weights = np.zeros(rows.shape), np.zeros(rows.shape)
    for first, count in _sections(mask.sum(axis=1)):
        part = slice(first, first + count)
        nearness = 1.001 - np.abs(np.linspace(-1, 1, count))[:, None]
        if mask[part].mean() > LEAST:
            total[part] += nearness * _section_noise(rows[part], mask[part], bands)
        weights[part] += nearness
    weights[total == 0] = 1
    return array_module(image).asarray(_from_detector(total / weights, detector).astype("f4"))


def _without_neighbours(rows):
    """Where there is background that is no outlier, nor next to one."""
    mask = ~np.isnan(rows)
    if not mask.any():
        raise np.linalg.LinAlgError("no background")
    median = np.median(rows[mask])
    deviation = np.float32(1.4825) * np.median(np.abs(rows[mask] - median))
    outlier = mask & (np.abs(np.where(mask, rows, median) - median) > SUBARRAY_OUTLIERS * deviation)
    mask &= ~outlier
    mask[1:] &= ~outlier[:-1]
    mask[:-1] &= ~outlier[1:]
    mask[:, 1:] &= ~outlier[:, :-1]
    mask[:, :-1] &= ~outlier[:, 1:]
    return mask


def _sections(counts):
    """Yield (first row, rows) of overlapping sections with enough background pixels each; counts: those of each row."""
    (rows,) = np.nonzero(counts)
    if not rows.size:
        raise np.linalg.LinAlgError("no background")
    first, last = int(rows[0]), int(rows[-1])
    before = np.concatenate([[0], np.cumsum(counts)])
    while first <= last:
        end = last + 1
        if before[-1] - before[first] > 1.5 * SECTION:
            enough = np.flatnonzero(before[first + 1 : last + 2] - before[first] > SECTION)
            end = first + 1 + int(enough[0]) if enough.size else end
        yield first, end - first
        if end == last + 1:
            return
        first += max(int(np.round((end - first) / 2)), 1)


def _section_noise(rows, mask, bands):
    ny, nx = rows.shape
    n = ny * (nx + OVERHEAD)
    gain = _band_gain(np.fft.rfftfreq(n, SAMPLE).astype("f4"), np.array(bands, "f4"))
    weight = _stream_weights(mask, n, 1 / ((bands[0] + bands[1]) / 2) / SAMPLE / 2 / 4)
    squares = weight * weight
    signal = np.zeros((ny, nx + OVERHEAD))
    signal[:, :nx] = np.where(mask, rows, 0)
    which = np.flatnonzero(gain > 0)
    lags = which[:, None] - which
    density = np.fft.rfft(squares)
    matrix = np.where(lags >= 0, density[abs(lags)], density[abs(lags)].conj())
    transform = np.zeros(len(gain), complex)
    transform[which] = n * np.linalg.solve(matrix, np.fft.rfft(squares * signal.ravel())[which])
    return np.fft.irfft(transform * gain, n).reshape(ny, -1)[:, :nx]


def _band_gain(frequency, bands):
    """1 below the first and above the last of four frequencies, 0 between the middle two, cosines between."""
    gain = np.zeros(len(frequency), "f4")
    gain[(frequency < bands[0]) | (frequency >= bands[3])] = 1
    for start, end, phase in ((bands[0], bands[1], 0), (bands[2], bands[3], np.pi)):
        here = (frequency >= start) & (frequency < end)
        gain[here] = 0.5 * (np.cos(np.pi / (end - start) * (frequency[here] - start) + phase) + 1)
    return gain


def _stream_weights(mask, n, sigma):
    """One over the density of background in the stream, which a Gaussian measures one sample early."""
    x, centre = np.arange(n, dtype="f4"), np.float32(n // 2 + 1)
    sigma = np.float32(sigma)
    kernel = np.exp(-((x - centre) ** 2) / sigma**2 / 2) / sigma / np.sqrt(2 * np.pi)
    stream = np.zeros((len(mask), mask.shape[1] + OVERHEAD), "f4")
    stream[:, : mask.shape[1]] = mask
    stream = stream.ravel()
    density = np.fft.irfft(np.fft.rfft(stream) * np.fft.rfft(np.fft.ifftshift(kernel)), n)
    good = (stream > 0) & (density != 0)
    return np.where(good, 1 / np.where(good, density, 1.0), 0.0)


def _to_detector(image, detector):
    return image.T if detector == "NRS1" else image.T[::-1]


def _from_detector(image, detector):
    return image.T if detector == "NRS1" else image[::-1].T
