"""Stripes: the median of the background along every row or column of an image.

Images are the differences of consecutive groups, (nints * (ngroups - 1), ny, nx), or with a template, planes times
scale, what every group has above it, (nints * ngroups, ny, nx). Source: the algorithm "image1overf" of C. Willott.
"""

import numpy as np

from gpucal.dq import GROUP
from gpucal.kernel import kernel

UNUSED = GROUP.DO_NOT_USE | GROUP.JUMP_DET


@kernel
def gather_lines(ramp, before, groupdq, mask, flat, planes, scale, limits, background, lines, along_x):
    """Lay the background of all images out in lines, what is none of it as NaN."""
    nints, ngroups = ramp.shape[:2]
    data, flags = ramp.reshape(nints, ngroups, -1), groupdq.reshape(nints, ngroups, -1)
    npix, nimages = data.shape[2], len(lines)
    good = np.broadcast_to(mask.reshape(len(mask), 1, npix) != 0, (nints, nimages // nints, npix))
    with np.errstate(all="ignore"):
        if planes is None:
            last = data[:, :-1].copy()
            if before is not None:
                last[:, 0] = before.reshape(nints, npix)
            images, good = data[:, 1:] - last, good & (flags[:, 1:] & UNUSED == 0)
        else:
            images = data - scale[:, None, None] * planes.reshape(1, -1, npix)
        images, good = images.reshape(nimages, npix), good.reshape(nimages, npix)
        if flat is not None:
            images = images / flat.reshape(npix)
        good = good & np.isfinite(images)
        if limits is not None:
            good &= (images >= limits[:, :1]) & (images <= limits[:, 1:2])
        if background is not None:
            images = images - background.reshape(nimages, npix)
    images = np.where(good, images, np.float32(np.nan))
    shape = lines.shape if along_x else (nimages, lines.shape[2], lines.shape[1])
    lines[...] = images.reshape(shape) if along_x else images.reshape(shape).swapaxes(1, 2)


@kernel
def find_stripes(lines, limits, offset, stripes):
    """Take the median of what is within the limits, line by line; 0 where nothing is."""
    inside = (lines >= limits[:, :1, None]) & (lines <= limits[:, 1:2, None])
    values = np.sort(np.where(inside, lines - offset[:, None, None], np.float32(np.nan)), axis=2)
    count = inside.sum(axis=2)[..., None]
    lower, upper = _middle(values, count)
    stripes[...] = np.where(count[..., 0] > 0, (lower + upper) / np.float32(2), 0)


def _middle(values, count):
    last = values.shape[2] - 1
    for at in ((count - 1) // 2, count // 2):
        yield np.take_along_axis(values, np.clip(at, 0, last), 2)[..., 0]


@kernel
def remove_stripes(
    ramp, before, flat, planes, scale, usable, offset, background, stripes, noise, length, along_x
):  # fmt: skip
    """Subtract each image's noise and put the ramp together again."""
    nints, ngroups = ramp.shape[:2]
    data = ramp.reshape(nints, ngroups, -1)
    npix, nx = data.shape[2], ramp.shape[3]
    per = ngroups - 1 if planes is None else ngroups
    p = np.arange(npix)
    line, point = (p // nx, p % nx) if along_x else (p % nx, p // nx)

    def clean(image, values):
        level = offset[image] if background is None else background.reshape(-1, npix)[image]
        if flat is not None:
            values = values / flat.reshape(npix)
        error = stripes[image][line, point // length] if noise is None else noise.reshape(-1, npix)[image]
        values = ((values - level) - error) + level
        return values if flat is None else values * flat.reshape(npix)

    with np.errstate(all="ignore"):
        for i, own in enumerate(data):
            last = own[0].copy() if before is None else before.reshape(nints, npix)[i]
            for g in range(per):
                image = i * per + g
                if planes is not None:
                    expected = scale[i] * planes.reshape(-1, npix)[g]
                    if usable[image]:
                        own[g] = expected + clean(image, own[g] - expected)
                    continue
                now = own[g + 1].copy()
                if usable[image]:
                    own[g + 1] = own[g] + clean(image, now - last)
                last = now
