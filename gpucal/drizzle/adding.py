"""The twins of the kernels that index a pixel map and add an image to a mosaic."""

import numpy as np

from gpucal.drizzle.shapes import Drops
from gpucal.kernel import kernel


@kernel
def drizzle_boxes(pixmap, limits, boxes, side, steps, reach):
    """Write the boxes of the blocks of input pixels: x0, x1, y0, y1 of the centres; how far drops reach beyond them."""
    ny, nx = pixmap.shape[:2]
    x = np.arange(nx)
    used = (x >= limits[:, :1]) & (x < limits[:, 1:])
    places = np.where(used[..., None], pixmap, np.nan)
    right, up = (np.abs(np.diff(pixmap, axis=axis, append=np.nan)) for axis in (1, 0))
    for by, bx in np.ndindex(*boxes.shape[:2]):
        own = places[by * side : (by + 1) * side, bx * side : (bx + 1) * side].reshape(-1, 2)
        ring = slice(max(by * side - 1, 0), (by + 1) * side + 1), slice(max(bx * side - 1, 0), (bx + 1) * side + 1)
        box = boxes[by, bx]
        box[0:4:2], box[1:4:2] = (
            np.fmin.reduce(own, axis=0, initial=np.inf),
            np.fmax.reduce(own, axis=0, initial=-np.inf),
        )
        box[4:] = reach
        if steps > 0:
            longest = [np.fmax.reduce(d[ring].reshape(-1, 2), axis=0, initial=0) for d in (right, up)]
            box[4:] = steps * (longest[0] + longest[1]) + reach


@kernel
def drizzle_image(
    pixmap, limits, boxes, table, weights, data, variances, errors, dq, image, weight, context, variance, flags, alone,
    alone_weight, side, tile, ntiles, shape, half, reach, fine, height, bit, scale, weight_scale, fill,
):  # fmt: skip
    """Add an image to a mosaic, the input pixels in their order. The index (boxes, side, tile) is not needed here."""
    scale, weight_scale = np.float32(scale), np.float32(weight_scale)
    with np.errstate(all="ignore"):
        for to, source, w in _rounds(
            pixmap, limits, table, weights, weight.shape, shape, half, reach, fine, height, weight_scale
        ):
            old = weight.reshape(-1)[to]
            total = old + w
            first = old == 0
            for plane, target in zip(_flat(data), _flat(image), strict=True):
                target[to] = _moved(target[to], old, plane[source] * scale, w, total)
            for plane, target in zip(_flat(variances), _flat(variance), strict=True):
                value = plane[source] * (scale * scale)
                old2, w2, total2 = (old * old).astype("f8"), (w * w).astype("f8"), total.astype("f8") ** 2
                target[to] = np.where(first, value, (target[to] * old2 + w2 * value) / total2)
            if dq is not None and flags is not None:
                before, here = flags.reshape(-1), dq.reshape(-1)[source]
                before[to] = np.where(first, here, before[to] | here)
            weight.reshape(-1)[to] = total
            if context is not None:
                context.reshape(-1)[to] |= np.where(w > 0, np.int32(bit), np.int32(0))
            if alone is not None:
                old = alone_weight.reshape(-1)[to]
                for plane, target in zip(_flat(errors), _flat(alone), strict=True):
                    target[to] = _moved(target[to], old, plane[source] * scale, w, old + w)
                alone_weight.reshape(-1)[to] = old + w
    image[:, weight == 0] = fill
    if variance is not None:
        variance[:, weight == 0] = fill
    if alone is not None:
        alone[:, alone_weight == 0] = fill


def _moved(mean, old, value, weight, total):
    return np.where(old == 0, value, (mean * old + weight * value) / total)


def _flat(planes):
    return [] if planes is None else [plane.reshape(-1) for plane in planes]


def _rounds(pixmap, limits, table, weights, out_shape, shape, half, reach, fine, height, weight_scale):
    """Yield (output pixels, their input pixels, weights), no output pixel twice, so that each gets its own in order."""
    (ny, nx), (out_ny, out_nx) = pixmap.shape[:2], out_shape
    if not (ny and nx and out_ny and out_nx):
        return
    drops = Drops(pixmap, shape, half, reach, fine, height, table)
    x = np.arange(nx)
    used = drops.known & (x >= limits[:, :1]) & (x < limits[:, 1:])
    own = drops.weigh((np.ones((ny, nx), "f4") if weights is None else weights) * weight_scale)
    x0, x1, y0, y1 = (np.where(used, side, 0) for side in drops.window)
    x0, x1, y0, y1 = np.maximum(x0, 0), np.minimum(x1, out_nx - 1), np.maximum(y0, 0), np.minimum(y1, out_ny - 1)
    found = []
    for dy in range(int((y1 - y0).max()) + 1):
        for dx in range(int((x1 - x0).max()) + 1):
            which = used & (y0 + dy <= y1) & (x0 + dx <= x1)
            py, px = y0[which] + dy, x0[which] + dx
            w = drops.weights(which, py, px, own[which])
            some = w != 0
            found.append([a[some] for a in (py.astype("i8") * out_nx + px.astype("i8"), np.flatnonzero(which), w)])
    to, source, w = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((source, to))
    to, source, w = to[order], source[order], w[order]
    starts = np.flatnonzero(np.diff(to, prepend=-1))
    turn = np.arange(len(to)) - np.repeat(starts, np.diff(starts, append=len(to)))
    for k in range(turn.max(initial=-1) + 1):
        now = turn == k
        yield to[now], source[now], w[now]
