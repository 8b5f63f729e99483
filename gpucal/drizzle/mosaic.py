"""A mosaic: the mean of images on one grid, its weight, and which images made it."""

from math import sqrt

import numpy as np

from gpucal.device import to_host
from gpucal.drizzle.adding import drizzle_boxes, drizzle_image
from gpucal.drizzle.polygon import centroid
from gpucal.drizzle.section import row_limits
from gpucal.drizzle.shapes import SHAPES, SMALLEST_DROP, shape_of
from gpucal.errors import InputError

BLOCK = 16  # input pixels, the side of what one box of the index stands for
TILE = {"numpy": 128, "cupy": 4}  # output pixels, the side of what one thread owns
BITS = 32  # images per plane of the context


class Mosaic:
    """An output grid to which images are added.

    shape: (ny, nx). planes: how many images share the weight (an image and its error, say). kernel: "square", "point",
    "turbo", "gaussian", "lanczos2" or "lanczos3"; only the first three conserve flux. pixfrac: the side of a drop, in
    input pixels, over 0 to 1; Lanczos functions know none. fill: the value of pixels without weight. xp: numpy or cupy.

    image: (planes, ny, nx) float32. weight: (ny, nx) float32. context: (n, ny, nx) int32, bit k of plane p: image
    32 p + k has positive weight here. variance: (nvariances, ny, nx) float32, of the mean. flags: (ny, nx) uint32, of
    all that came in.
    Source: Fruchter and Hook 2002 (PASP 114, 144).
    """

    def __init__(self, shape, kernel="square", pixfrac=1.0, fill=np.nan, planes=1, variances=0, xp=np):
        if kernel not in SHAPES:
            raise ValueError(f"kernel={kernel} is not one of {', '.join(SHAPES)}")
        if not 0 < pixfrac <= 1:
            raise ValueError(f"pixfrac={pixfrac} is not larger than 0 and at most 1")
        self.kernel = "point" if pixfrac <= SMALLEST_DROP else kernel
        self.pixfrac, self.fill, self.xp = pixfrac, fill, xp
        self.image = xp.full((planes, *shape), fill, "f4")
        self.variance = xp.full((variances, *shape), fill, "f4")
        self.weight = xp.zeros(shape, "f4")
        self.context = xp.zeros((1, *shape), "i4")
        self.flags = xp.zeros(shape, "u4")
        self.images, self.exptime = 0, 0.0  # how many; s, of all

    def add(
        self, data, pixmap, weights=None, errors=None, variances=None, dq=None, exptime=1.0, in_units="cps", iscale=1.0,
        pixel_scale_ratio=1.0, wht_scale=1.0, section=None,
    ):  # fmt: skip
        """Add an image; return the means over this image alone of its errors, (nerrors, ny, nx) float32, or None.

        data: (planes, ny, nx) or (ny, nx) float32. pixmap: (ny, nx, 2) float64, x and y on the output of the centre
        of each input pixel; NaN: none. weights: (ny, nx) float32, 1 if None. errors: (nerrors, ny, nx) float32,
        drizzled with the same weights, but not added to the mosaic: what the official resample step makes its
        variances of. variances: (nvariances, ny, nx) float32, added with squared weights. dq: (ny, nx) uint32.
        exptime: s. in_units: "cps", or "counts" to be divided by exptime. iscale: a factor for the data and the
        errors, and, squared, for the variances. pixel_scale_ratio: the side of an output pixel in input pixels,
        which scales all kernels but square and point; None: from the map. wht_scale: a factor for the weights.
        section: (x0, x1, y0, y1), the input pixels to use, both ends included.
        Raises InputError where the map knows no places, ValueError for parameters and arrays that do not fit.
        """
        _positive(exptime=exptime, iscale=iscale, wht_scale=wht_scale)
        if in_units not in ("cps", "counts"):
            raise ValueError(f"in_units={in_units} is neither cps nor counts")
        data = data.reshape(-1, *data.shape[-2:])
        if data.shape[-2:] != pixmap.shape[:2] or len(data) != len(self.image):
            raise ValueError(
                f"data has shape {data.shape}, the map {pixmap.shape}, the mosaic {len(self.image)} planes"
            )
        if len(self.variance) and variances is None:
            raise ValueError("the mosaic has variances, but the image has none")
        ny, nx = data.shape[-2:]
        limits, polygon = row_limits(pixmap, section or (0, nx - 1, 0, ny - 1), self.weight.shape)
        if pixel_scale_ratio is None:
            pixel_scale_ratio = 1.0 if self.kernel in ("square", "point") else scale_ratio(pixmap, polygon)
        _positive(pixel_scale_ratio=pixel_scale_ratio)
        scale = np.float32(iscale)
        if in_units == "counts":
            scale /= np.float32(exptime)
        context = self._context()
        alone, alone_weight = None, None
        if errors is not None:
            alone = self.xp.full((len(errors), *self.weight.shape), self.fill, "f4")
            alone_weight = self.xp.zeros_like(self.weight)
        self._add(
            pixmap, self.xp.asarray(limits), shape_of(self.kernel, self.pixfrac, pixel_scale_ratio), weights=weights,
            data=data, errors=errors, dq=dq, context=context, alone=alone, alone_weight=alone_weight,
            variances=variances if len(self.variance) else None, scale=scale, weight_scale=wht_scale,
        )  # fmt: skip
        self.images, self.exptime = self.images + 1, self.exptime + exptime
        return alone

    def _add(self, pixmap, limits, shape, **arrays):
        xp, (ny, nx) = self.xp, pixmap.shape[:2]
        boxes = xp.empty((-(-ny // BLOCK), -(-nx // BLOCK), 6))
        drizzle_boxes(pixmap, limits, boxes, side=BLOCK, steps=2 * shape.half, reach=shape.reach)
        tile = TILE["cupy" if xp is not np else "numpy"]
        drizzle_image(
            pixmap, limits, boxes, xp.asarray(shape.table) if shape.table else None, image=self.image,
            weight=self.weight, variance=self.variance if len(self.variance) else None, flags=self.flags, side=BLOCK,
            tile=tile, ntiles=np.prod([-(-n // tile) for n in self.weight.shape]), shape=shape.shape, half=shape.half,
            reach=shape.reach, fine=shape.fine, height=shape.height, bit=self._bit(), fill=self.fill, **arrays,
        )  # fmt: skip

    def _context(self):
        """The plane of the context that has this image's bit."""
        plane = self.images // BITS
        if plane == len(self.context):
            self.context = self.xp.concatenate([self.context, self.xp.zeros_like(self.context[:1])])
        return self.context[plane]

    def _bit(self):
        return np.uint32(1 << self.images % BITS).view("i4")


def scale_ratio(pixmap, polygon):
    """Return the pixel scale ratio as the drizzle package estimates it; see the table of faults in docs/parity.md.

    Raises InputError if the map knows no place there.
    """
    centre = centroid(polygon)
    if centre is not None:
        ny, nx = pixmap.shape[:2]
        i, j = (max(min(int(c), n - 2), 0) for c, n in zip(centre, (nx, ny), strict=True))
        (here, right), (above, _) = to_host(pixmap[j : j + 2, i : i + 2])
        (a, b), (c, d) = right - here, above - here
        ratio = sqrt(abs(a * d - b * c))
        if ratio == ratio:
            return np.float32(ratio)
    raise InputError("the pixel scale cannot be estimated from the pixel map")


def _positive(**parameters):
    for name, value in parameters.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name}={value} is not positive and finite")
