"""Mosaics against the drizzle package: weights, context and flags, data and variances, image after image."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.drizzle import Mosaic
from gpucal.drizzle.shapes import SHAPES
from gpucal.errors import InputError
from tests.drizzle import maps

resample = pytest.importorskip(
    "drizzle.resample", reason="the drizzle package is not installed: pip install 'gpucal[parity]'"
)
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:Kernel .* is not a flux-conserving kernel"),
    pytest.mark.filterwarnings("ignore:In lanczos kernel, pixel_fraction is ignored"),
    pytest.mark.filterwarnings("ignore:Kernel reset to 'point'"),
]
SEEDS = range(12)


def compare(rng, backend, kernel, pixfrac, ratio, holes=0.0, fill=np.nan, section=None, images=3):
    """Drizzle some images with both, and compare all that comes out."""
    pixmap, shape = maps.random(rng, holes)
    size = pixmap.shape[:2]
    official = resample.Drizzle(kernel=kernel, out_shape=shape, fillval=fill, fillval2=fill)
    ours = Mosaic(shape, kernel, pixfrac, fill, variances=2, xp=backend.xp)
    up = backend.upload
    for k in range(images):
        data, sigma = rng.normal(size=size).astype("f4"), rng.uniform(1, 2, size).astype("f4")
        weights = rng.uniform(-0.3, 2, size).clip(0).astype("f4")
        variances, dq = rng.uniform(size=(2, *size)).astype("f4"), rng.integers(0, 99, size).astype("u4")
        scales = {
            "pixel_scale_ratio": ratio, "iscale": rng.uniform(0.5, 2), "wht_scale": rng.uniform(0.5, 2),
            "exptime": rng.uniform(1, 100), "in_units": "cps" if k % 2 else "counts",
        }  # fmt: skip
        place = pixmap + 0.37 * k
        same = scales | {"pixmap": place, "weight_map": weights, "pixfrac": pixfrac}
        if section:
            same |= dict(zip(("xmin", "xmax", "ymin", "ymax"), section, strict=True))
        fresh = resample.Drizzle(kernel=kernel, out_shape=shape, fillval=fill, disable_ctx=True)
        fresh.add_image(sigma, **same)
        official.add_image(data, data2=list(variances), dq=dq, **same)
        alone = ours.add(
            up(data), up(place), weights=up(weights), errors=up(sigma[None]), variances=up(variances), dq=up(dq),
            section=section, **scales,
        )  # fmt: skip
    for name, mine, theirs in (
        ("context", ours.context, official.out_ctx),
        ("flags", ours.flags, official.out_dq),
        ("weight", ours.weight, official.out_wht),
        ("image", ours.image[0], official.out_img),
        ("variance", ours.variance, official.out_img2),
        ("alone", alone[0], fresh.out_img),
    ):
        np.testing.assert_array_equal(to_host(mine), np.asarray(theirs), err_msg=name)
    return official, ours


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kernel", SHAPES)
def test_random_maps(backend, kernel, seed):
    rng = np.random.default_rng(seed)
    pixfrac = rng.choice([0.01, 0.3, 1.0, rng.uniform(0.01, 1)])
    compare(rng, backend, kernel, pixfrac, ratio=rng.uniform(0.5, 2), holes=0.05 * (seed % 2))


@pytest.mark.parametrize("kernel", ["square", "turbo", "gaussian", "lanczos3"])
def test_scale_ratio_from_the_map(backend, kernel):
    compare(np.random.default_rng(3), backend, kernel, 1.0, ratio=None)


@pytest.mark.parametrize("fill", [0.0, -7.5, np.nan])
def test_fill(backend, fill):
    compare(np.random.default_rng(4), backend, "square", 0.3, ratio=1.0, fill=fill)


@pytest.mark.parametrize("kernel", ["square", "point"])
def test_section(backend, kernel):
    compare(np.random.default_rng(5), backend, kernel, 1.0, ratio=1.0, section=(1, 3, 2, 4))


def test_tiny_drops_are_points(backend):
    compare(np.random.default_rng(6), backend, "square", 0.001, ratio=1.0)


@pytest.mark.parametrize("matrix", [[[9, 2], [-3, 8]], [[0.1, 0.02], [0.03, -0.1]], [[0, 7], [0.2, 0]]])
def test_drops_much_larger_or_smaller_than_output_pixels(host, rng, matrix):
    pixmap = maps.affine((20, 30), matrix)
    pixmap -= pixmap.min(axis=(0, 1)) + 1.3
    shape = tuple(int(n) + 1 for n in pixmap.max(axis=(0, 1))[::-1])
    data, weights = rng.normal(size=(2, 20, 30)).astype("f4")
    ours, official = Mosaic(shape), resample.Drizzle(out_shape=shape)
    ours.add(data, pixmap, weights=weights**2)
    official.add_image(data, 1.0, pixmap, weight_map=weights**2)
    np.testing.assert_array_equal(ours.weight, official.out_wht)
    np.testing.assert_array_equal(ours.image[0], official.out_img)
    np.testing.assert_array_equal(ours.context, official.out_ctx)


def test_both_refuse_a_map_without_places(host):
    data, pixmap = np.ones((4, 5), "f4"), np.full((4, 5, 2), np.nan)
    pixmap[2] = 1
    with pytest.raises(ValueError, match="too few valid pixels"):
        resample.Drizzle(out_shape=(4, 5)).add_image(data, 1.0, pixmap)
    with pytest.raises(InputError, match="fewer than two"):
        Mosaic((4, 5)).add(data, pixmap)
