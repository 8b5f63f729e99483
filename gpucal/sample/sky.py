"""The sky: stars, galaxies and a background, and the light they send to each pixel of a window."""

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.optics import distortion
from gpucal.sample.pointing import Pointing, sky_offset
from gpucal.sample.streams import stream

STARS = 1500  # over an area a little larger than a full detector
GALAXIES = 60
BRIGHTEST = [2e6, 6e5, 2e5, 1e5, 5e4, 3e4]  # electron/s; every field has such stars
IN_SUBARRAY = [5e2, 2e3, 1e4, 3e4, 1e5, 4e5, 3e6]  # electron/s; every subarray has such stars
BACKGROUND = {"MIRI": 60.0}  # electron/s
OTHER_BACKGROUND = 0.4
FARTHEST = 90  # pixels that the light of a bright star reaches
FWHM = {"NIRCAM": 2.1, "MIRI": 2.4}  # pixels
OTHER_FWHM = 1.6


def render(configuration: Configuration, pointing: Pointing, seed):
    """Return the light on the window, (ny, nx) float32 electron/s; the same seed is the same sky at every pointing."""
    slope_y, slope_x = (
        np.float32(s) / np.float32(n) for s, n in zip((-0.05, 0.1), configuration.full_shape, strict=True)
    )
    rows, columns = (np.arange(w.start, w.stop, dtype="f4") for w in configuration.window)
    image = 1 + slope_y * rows[:, None] + slope_x * columns
    image *= BACKGROUND.get(configuration.instrument, OTHER_BACKGROUND)
    _add_stars(image, configuration, pointing, seed)
    _add_galaxies(image, configuration, pointing, seed)
    if not configuration.is_full:
        _add_stars_in_subarray(image, configuration, seed)
        image *= configuration.brightness
    return image


def _add_stars(image, configuration, pointing, seed):
    """Many faint stars, and a few that saturate within the first group."""
    random = stream(seed, "stars")
    half = 0.62 * max(configuration.full_shape) * configuration.pixel_scale
    count = STARS if configuration.is_full else 4 * STARS
    ra, dec = sky_offset(*random.uniform(-half, half, (2, count)))
    flux = 20.0 * random.uniform(1e-4, 1, count) ** -0.9
    flux[: len(BRIGHTEST)] = BRIGHTEST * random.uniform(0.7, 1.3, len(BRIGHTEST))
    x, y = _pixels(configuration, pointing, ra, dec)
    ny, nx = image.shape
    near = (abs(x - nx / 2) < nx / 2 + FARTHEST) & (abs(y - ny / 2) < ny / 2 + FARTHEST)
    for star in zip(x[near], y[near], flux[near], strict=True):
        _add_star(image, *star, configuration)


def _add_stars_in_subarray(image, configuration, seed):
    random = stream(seed, "stars in the subarray")
    ny, nx = image.shape
    for flux in IN_SUBARRAY:
        x, y = random.uniform(6, nx - 6), random.uniform(6, ny - 6)
        _add_star(image, x, y, flux, configuration)


def _add_star(image, x, y, flux, configuration, beta=2.8):
    """Add a Moffat profile of the given total; its reach grows with the flux."""
    reach = 12 if flux < 2e3 else 30 if flux < 5e4 else FARTHEST
    place = _around(image, x, y, reach)
    if place is None:
        return
    radius = FWHM.get(configuration.instrument, OTHER_FWHM) / 2 / np.sqrt(2 ** (1 / beta) - 1)
    rows, columns = np.ogrid[place]
    profile = (1 + ((rows - y) ** 2 + (columns - x) ** 2) / radius**2) ** -beta
    image[place] += (flux * (beta - 1) / np.pi / radius**2 * profile).astype("f4")


def _add_galaxies(image, configuration, pointing, seed):
    """Ellipses whose light falls off exponentially."""
    random = stream(seed, "galaxies")
    half = 0.5 * max(configuration.full_shape) * configuration.pixel_scale
    x, y = _pixels(configuration, pointing, *sky_offset(*random.uniform(-half, half, (2, GALAXIES))))
    axis_ratio, angle = random.uniform(0.3, 1, GALAXIES), random.uniform(0, np.pi, GALAXIES)
    length, flux = random.uniform(2, 12, GALAXIES), 10 ** random.uniform(2, 3.7, GALAXIES)
    for galaxy in zip(x, y, axis_ratio, angle, length, flux, strict=True):
        _add_galaxy(image, *galaxy)


def _add_galaxy(image, x, y, axis_ratio, angle, length, flux):
    place = _around(image, x, y, int(8 * length))
    if place is None:
        return
    rows, columns = np.ogrid[place]
    c, s = np.cos(angle), np.sin(angle)
    along, across = (columns - x) * c + (rows - y) * s, (rows - y) * c - (columns - x) * s
    profile = np.exp(-np.hypot(along, across / axis_ratio) / length)
    image[place] += (flux / (2 * np.pi * length**2 * axis_ratio) * profile).astype("f4")


def _pixels(configuration, pointing, ra, dec):
    """Return the 0-based x and y, in the window, of positions on the sky."""
    x, y = distortion(configuration).inverse(*pointing.telescope(ra, dec))
    rows, columns = configuration.window
    return x - columns.start, y - rows.start


def _around(image, x, y, reach):
    """Return the (y, x) slices of the image within reach of a place, or None if there are none."""
    place = tuple(
        slice(max(round(at) - reach, 0), min(round(at) + reach + 1, size))
        for at, size in zip((y, x), image.shape, strict=True)
    )
    return place if all(s.start < s.stop for s in place) else None
