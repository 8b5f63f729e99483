"""Collate: put the stripes of a superstripe exposure to their places in one image."""

from gpucal.device import array_module
from gpucal.dq import PIXEL
from gpucal.errors import InputError
from gpucal.model.ramp import Ramp
from gpucal.stripes import DETECTOR, Stripes

# Subarrays whose image is the whole detector along the slow axis, whatever their stripes cover.
WHOLE = {"SUB17STRIPE_SOSS", "SUB60STRIPE_SOSS", "SUB204STRIPE_SOSS", "SUB680STRIPE_SOSS"}
ROW_PAD, FRAME_PAD = 12, {1: (2, 0), 4: (1, 1)}  # clocks after a row; rows and clocks after a frame, by outputs
CLOCK = 10.0e-6  # s
KEYWORDS = (
    "multistripe_reads1 multistripe_reads2 multistripe_skips1 multistripe_skips2 repeat_stripe interleave_reads1 "
    "num_superstripe superstripe_step"
).split()


def collated(ramp):
    """Return the Ramp that a SuperstripeRamp makes; what no stripe covers is NaN and REFERENCE_PIXEL.

    A stripe that was read several times within a frame gives so many groups. Of places that several stripes cover,
    the last one's pixels are kept.
    """
    xp = array_module(ramp.data)
    stripes, n = Stripes.of(ramp), ramp.nstripes
    nints, ngroups = ramp.shape[:2]
    if nints % n:
        raise InputError(f"{ramp.source}: {nints} integrations are no multiple of the {n} stripes of an image")
    science = [[part for part in parts if part.science] for parts in stripes.parts]
    repeats = max(len(parts) for parts in science)
    first, last = (0, DETECTOR) if ramp.meta.subarray.name in WHOLE else _extent(science)
    along_y = abs(stripes.axis) == 2
    plane = (last - first, ramp.shape[3]) if along_y else (ramp.shape[2], last - first)

    image = {
        "data": xp.full((nints // n, ngroups * repeats, *plane), xp.nan, "f4"),
        "groupdq": xp.zeros((nints // n, ngroups * repeats, *plane), "u1"),
        "pixeldq": xp.full(plane, PIXEL.REFERENCE_PIXEL, "u4"),
    }
    if ramp.zeroframe is not None:
        image["zeroframe"] = xp.full((nints // n, *plane), xp.nan, "f4")
    for repeat in range(repeats):
        for stripe, parts in enumerate(science):
            part = parts[repeat]
            to = _rows(part.start - first, part.nrows, last - first, stripes.axis)
            of = _rows(part.place, part.nrows, stripes.nrows, stripes.axis)
            for name in ("data", "groupdq"):
                image[name][:, repeat::repeats][to] = getattr(ramp, name)[stripe::n][of]
            image["pixeldq"][to] = ramp.pixeldq[stripe][of]
            if ramp.zeroframe is not None:
                image["zeroframe"][to] = ramp.zeroframe[stripe::n][of]
    return Ramp(_tree(ramp, image["data"].shape, n, repeats, _start(first, last, stripes.axis)), ramp.source, **image)


def _extent(science):
    """Return the first row of the detector that a stripe covers, and the one after the last."""
    parts = [part for stripe in science for part in stripe]
    return min(part.start for part in parts), max(part.start + part.nrows for part in parts)


def _rows(start, count, size, axis):
    """Return the index of some rows, given in detector orientation, in an array in science orientation."""
    rows = slice(start, start + count) if axis > 0 else slice(size - start - count, size - start)
    return (..., rows, slice(None)) if abs(axis) == 2 else (..., rows)


def _start(first, last, axis):
    """Return the SUBSTRT of an image along the slow axis."""
    return (first if axis > 0 else DETECTOR - last) + 1


def _tree(ramp, shape, nstripes, repeats, start):
    """Return the metadata of the image: an ordinary exposure's."""
    from stdatamodels.jwst import datamodels

    from gpucal.warned import ignored

    tree = getattr(datamodels, Ramp.tree_class)()
    with ignored():
        tree.update(ramp.tree)
    for table in ramp.tables:
        if ramp.tree.hasattr(table):
            setattr(tree, table, getattr(ramp.tree, table))
    exposure, subarray = tree.meta.exposure, tree.meta.subarray
    begin = exposure.integration_start or 1
    end = exposure.integration_end or exposure.nints
    if repeats > 1:
        exposure.read_times = read_times(ramp)
    exposure.integration_start, exposure.integration_end = -(-begin // nstripes), -(-end // nstripes)
    exposure.nints, exposure.ngroups = -(-exposure.nints // nstripes), shape[1]
    subarray.ysize, subarray.xsize = shape[2:]
    setattr(subarray, "ystart" if abs(subarray.slowaxis) == 2 else "xstart", start)
    for keyword in KEYWORDS:
        setattr(subarray, keyword, None)
    if tree.hasattr("int_times") and len(tree.int_times):
        _join_times(tree, nstripes, exposure.integration_start)
    return tree


def _join_times(tree, nstripes, number):
    """Keep the times of the stripes in a table of their own; an image lasts from its first stripe to its last."""
    import numpy as np

    times = tree.int_times
    images = np.arange(len(times) // nstripes)
    columns = [name for name in times.dtype.names if name != "integration_number"]
    stripes = np.zeros(len(times), tree.get_dtype("int_times_stripe"))
    stripes["integration_number"] = np.repeat(images + number, nstripes)[: len(times)]
    stripes["stripe_number"] = np.arange(len(times)) % nstripes + 1
    for name in columns:
        stripes[name] = times[name]
    joined = np.zeros(len(images), times.dtype)
    joined["integration_number"] = images + number
    for kind in ("MJD_UTC", "BJD_TDB"):
        begin, end = times[f"int_start_{kind}"][::nstripes], times[f"int_end_{kind}"][nstripes - 1 :: nstripes]
        begin = begin[: len(images)]
        joined[f"int_start_{kind}"], joined[f"int_end_{kind}"] = begin, end
        joined[f"int_mid_{kind}"] = (end - begin) / 2.0 + begin
    tree.int_times_stripe, tree.int_times = stripes, joined


def read_times(ramp):
    """Return, for every group of the image, the seconds at which its frames were read."""
    subarray, exposure = ramp.meta.subarray, ramp.meta.exposure
    sizes = subarray.xsize, subarray.ysize
    nrows, ncolumns = sizes if abs(subarray.slowaxis) == 1 else sizes[::-1]
    outputs, frames = exposure.noutputs, exposure.nframes
    rows_more, clocks_more = FRAME_PAD.get(outputs, (3, 0)) if outputs != 1 or ncolumns >= 9 else (3, 0)

    def seconds(rows, clocks):
        return ((ncolumns / outputs + ROW_PAD) * rows + clocks) * CLOCK

    rows = subarray.multistripe_reads1 + subarray.multistripe_reads2
    frame = seconds(nrows + rows_more, clocks_more)
    steps = [frame]
    if rows:  # the reset comes before the first of the repeats
        steps = [seconds(rows + rows_more, clocks_more)] + [seconds(rows, 0)] * (nrows // rows - 1)
    times, now = [], 0.0
    for _ in range(exposure.ngroups):
        for step in steps:
            times.append([now + step + k * frame for k in range(frames)])
            now += step
        now += frame * (frames - 1 + exposure.groupgap)
    return times
