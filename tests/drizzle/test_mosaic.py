"""Drizzling: closed forms, several planes, the index, and what is refused."""

import numpy as np
import pytest

from gpucal import device as devices
from gpucal.device import to_host
from gpucal.drizzle import Mosaic, mosaic
from gpucal.drizzle.shapes import SHAPES
from gpucal.errors import InputError
from tests.conftest import BACKENDS
from tests.drizzle import maps

SHAPE = 9, 12
IDENTITY = np.eye(2)
NAMES = "image", "weight", "context", "variance", "flags"


@pytest.fixture
def add(backend):
    """Add images to a mosaic on the backend: `add(mosaic, data, pixmap, weights=...)`; return what is added alone."""

    def adding(onto, data, pixmap, **more):
        arrays = {n: backend.upload(more.pop(n)) for n in ("weights", "errors", "variances", "dq") if n in more}
        alone = onto.add(backend.upload(data), backend.upload(np.ascontiguousarray(pixmap)), **arrays, **more)
        return None if alone is None else to_host(alone)

    return adding


@pytest.fixture
def empty(backend):
    """Make a mosaic on the backend."""
    return lambda shape=SHAPE, *args, **more: Mosaic(shape, *args, xp=backend.xp, **more)


@pytest.fixture
def image(rng):
    """An image of the size of the output."""
    return rng.normal(10, 3, SHAPE).astype("f4")


# -- closed forms


@pytest.mark.parametrize("kernel", ["square", "turbo", "point"])
def test_image_on_its_own_grid_is_itself(add, empty, image, kernel):
    out = empty(kernel=kernel)
    add(out, image, maps.affine(SHAPE, IDENTITY))
    np.testing.assert_array_equal(to_host(out.image)[0], image)
    np.testing.assert_array_equal(to_host(out.weight), 1)
    np.testing.assert_array_equal(to_host(out.context), 1)


@pytest.mark.parametrize("kernel", ["square", "turbo"])
def test_shift_by_half_a_pixel_halves_each(add, empty, image, kernel):
    out = empty(kernel=kernel)
    add(out, image, maps.affine(SHAPE, IDENTITY, (0.5, 0)))
    mean = (image[:, 1:].astype("f8") + image[:, :-1]) / 2
    np.testing.assert_array_equal(to_host(out.image)[0, :, 1:], mean.astype("f4"))
    np.testing.assert_array_equal(to_host(out.weight), np.where(np.arange(SHAPE[1]) == 0, 0.5, 1) * np.ones(SHAPE))


def test_small_drops_leave_gaps(add, empty, image):
    out = empty((18, 24), pixfrac=0.5, fill=-1)
    add(out, image, maps.affine(SHAPE, 2 * IDENTITY))
    np.testing.assert_array_equal(to_host(out.image)[0, ::2, ::2], image)
    assert (to_host(out.image)[0, 1::2] == -1).all()
    assert (to_host(out.weight)[1::2] == 0).all()


@pytest.mark.parametrize("kernel", ["square", "turbo", "point"])
@pytest.mark.parametrize("pixfrac", [0.02, 0.7, 1.0])
def test_weight_is_conserved(add, empty, rng, kernel, pixfrac):
    image, weights = rng.normal(size=(2, *SHAPE)).astype("f4")
    weights = np.abs(weights)
    turn = [[0.8, -0.6], [0.6, 0.8]]
    out = empty((25, 25), kernel=kernel, pixfrac=pixfrac)
    add(out, image, maps.affine(SHAPE, turn, (10, 5)), weights=weights)
    assert to_host(out.weight).sum(dtype="f8") == pytest.approx(weights.sum(dtype="f8"), rel=1e-6)
    flux = np.nansum(to_host(out.image)[0].astype("f8") * to_host(out.weight))
    assert flux == pytest.approx((image.astype("f8") * weights).sum(), rel=1e-5)


def test_weighted_mean_of_two_images(add, empty, image):
    out, same = empty(variances=1), maps.affine(SHAPE, IDENTITY)
    one, two = np.full((2, *SHAPE), 2, "f4"), np.full((1, *SHAPE), 5, "f4")
    add(out, image, same, weights=one[0], variances=two)
    add(out, image + 3, same, weights=one[0] / 2, variances=two)
    mean = (2 * image.astype("f8") + (image + 3)) / 3
    # A running mean is rounded with every image; that it is the package's in every bit is tested in test_official.py.
    np.testing.assert_array_max_ulp(to_host(out.image)[0], mean.astype("f4"), maxulp=1)
    np.testing.assert_array_max_ulp(to_host(out.variance)[0], np.full(SHAPE, 5 * (4 + 1) / 9, "f4"), maxulp=1)
    np.testing.assert_array_equal(to_host(out.context), 3)
    assert (out.images, out.exptime) == (2, 2.0)


# -- scales, planes, flags


def test_counts_are_divided_by_the_exposure_time(add, empty, image):
    out = empty(variances=1)
    add(
        out, image, maps.affine(SHAPE, IDENTITY), variances=image[None], in_units="counts", exptime=4.0, iscale=2.0,
        wht_scale=3.0,
    )  # fmt: skip
    np.testing.assert_array_equal(to_host(out.image)[0], image / 2)
    np.testing.assert_array_equal(to_host(out.variance)[0], image / 4)
    np.testing.assert_array_equal(to_host(out.weight), 3)


def test_planes_share_a_weight(add, empty, rng):
    planes = rng.normal(size=(3, *SHAPE)).astype("f4")
    pixmap = maps.affine(SHAPE, [[0.9, 0.2], [-0.1, 1.1]], (0.3, 2))
    together = empty(planes=3)
    add(together, planes, pixmap)
    for plane, values in enumerate(planes):
        alone = empty()
        add(alone, values, pixmap)
        np.testing.assert_array_equal(to_host(together.image)[plane], to_host(alone.image)[0])


def test_errors_are_means_over_one_image_alone(add, empty, rng):
    planes = rng.uniform(1, 2, (2, *SHAPE)).astype("f4")
    pixmap = maps.affine(SHAPE, [[0.9, 0.2], [-0.1, 1.1]], (0.3, 2))
    out, fresh = empty(), empty()
    add(out, planes[0], pixmap + 0.3)
    alone = add(out, planes[0], pixmap, errors=planes)
    add(fresh, planes[1], pixmap)
    np.testing.assert_array_equal(alone[1], to_host(fresh.image)[0])


def test_flags_of_all_that_came_in(add, empty, image):
    out, same = empty(), maps.affine(SHAPE, IDENTITY)
    weights = np.ones(SHAPE, "f4")
    weights[3, 4] = 0
    add(out, image, same, dq=np.full(SHAPE, 1, "u4"))
    add(out, image, same, dq=np.full(SHAPE, 4, "u4"), weights=weights)
    flags = to_host(out.flags)
    assert flags[3, 4] == 1
    assert (np.delete(flags.reshape(-1), 3 * SHAPE[1] + 4) == 5).all()


def test_context_has_a_bit_for_every_image(add, empty):
    out = empty((2, 33), kernel="point")
    for k in range(33):
        add(out, np.ones((2, 33), "f4"), maps.affine((2, 33), IDENTITY, (-k, 0)))
    context = to_host(out.context).view("u4")
    assert context.shape == (2, 2, 33)
    for x in range(33):  # the images that were not yet shifted away from here
        bits = sum(1 << k for k in range(33 - x))
        assert (context[0, :, x] == bits % 2**32).all()
        assert (context[1, :, x] == bits >> 32).all()


def test_pixels_without_a_place_or_weight_add_nothing(add, empty, image):
    pixmap, weights = maps.affine(SHAPE, IDENTITY), np.ones(SHAPE, "f4")
    pixmap[4, 5, 0] = np.nan
    weights[6, 7] = 0
    out = empty(kernel="point")
    add(out, image, pixmap, weights=weights)
    expected = image.copy()
    expected[4, 5] = expected[6, 7] = np.nan
    np.testing.assert_array_equal(to_host(out.image)[0], expected)


def test_image_beside_the_output_adds_nothing(add, empty, image):
    out = empty(fill=0)
    add(out, image, maps.affine(SHAPE, IDENTITY, (100, -50)))
    assert not to_host(out.weight).any()
    assert not to_host(out.image).any()
    assert out.images == 1


# -- the same sums in the same order, however the work is shared


@pytest.mark.parametrize("kernel", SHAPES)
@pytest.mark.parametrize("choice", BACKENDS[1:])
def test_compiled_kernels_equal_their_twins(rng, kernel, choice):
    for holes in (0.0, 0.05):
        results = []
        pixmap, shape = maps.random(rng, holes)
        planes, weights = rng.normal(size=(2, *pixmap.shape[:2])).astype("f4"), rng.uniform(0, 1, pixmap.shape[:2])
        weights = np.where(weights < 0.2, 0, weights).astype("f4")
        for device in (devices.choose("numpy"), devices.choose(choice)):
            out = Mosaic(shape, kernel, pixfrac=0.9, variances=2, xp=device.xp)
            up, dq = device.upload, np.arange(weights.size, dtype="u4").reshape(weights.shape)
            for shift in (0, 0.37):
                alone = out.add(
                    up(planes[0]), up(pixmap + shift), weights=up(weights), errors=up(planes), variances=up(planes**2),
                    dq=up(dq), pixel_scale_ratio=0.8,
                )  # fmt: skip
            results.append([to_host(getattr(out, name)) for name in NAMES] + [to_host(alone)])
        for mine, theirs in zip(*results, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("tile", "block"), [(1, 16), (5, 3), (1000, 1000)])
@pytest.mark.parametrize("kernel", SHAPES)
def test_index_does_not_change_a_bit(backend, rng, monkeypatch, kernel, tile, block):
    pixmap, shape = maps.random(rng)
    image = backend.upload(rng.normal(size=pixmap.shape[:2]).astype("f4"))
    results = []
    for change in (False, True):
        if change:
            monkeypatch.setattr(mosaic, "TILE", dict.fromkeys(mosaic.TILE, tile))
            monkeypatch.setattr(mosaic, "BLOCK", block)
        out = Mosaic(shape, kernel, xp=backend.xp)
        out.add(image, backend.upload(pixmap))
        results.append([to_host(getattr(out, name)) for name in NAMES])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, theirs)


# -- what is refused


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kernel": "tophat"}, "kernel=tophat is not one of square, "),
        ({"pixfrac": 0.0}, "pixfrac=0.0 is not larger than 0 and at most 1"),
        ({"pixfrac": 1.5}, "pixfrac=1.5 "),
    ],
)
def test_wrong_mosaic_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Mosaic(SHAPE, **parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"exptime": 0.0}, "exptime=0.0 is not positive"),
        ({"iscale": -1.0}, "iscale=-1.0 is not positive"),
        ({"wht_scale": np.nan}, "wht_scale=nan is not positive"),
        ({"pixel_scale_ratio": 0.0}, "pixel_scale_ratio=0.0 is not positive"),
        ({"in_units": "Jy"}, "in_units=Jy is neither cps nor counts"),
        ({"weights": np.ones((3, 3), "f4")}, "weights has ny=3"),
    ],
)
def test_wrong_image_is_refused(host, image, parameters, message):
    with pytest.raises(ValueError, match=message):
        Mosaic(SHAPE).add(image, maps.affine(SHAPE, IDENTITY), **parameters)


def test_mosaic_with_variances_wants_them(host, image):
    with pytest.raises(ValueError, match="the mosaic has variances, but the image has none"):
        Mosaic(SHAPE, variances=1).add(image, maps.affine(SHAPE, IDENTITY))


def test_map_of_another_shape_is_refused(host, image):
    with pytest.raises(ValueError, match="data has shape"):
        Mosaic(SHAPE).add(image, maps.affine((3, 4), IDENTITY))


def test_map_without_places_is_refused(backend, image):
    with pytest.raises(InputError, match="places for fewer than two columns or rows"):
        Mosaic(SHAPE, xp=backend.xp).add(backend.upload(image), backend.upload(np.full((*SHAPE, 2), np.nan)))
