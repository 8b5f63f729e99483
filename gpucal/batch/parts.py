"""Exposures larger than memory: some integrations at a time as far as steps allow it, then some rows of all of them.

Steps say by their `scope` what they must see at once. Between the two passes the ramp lies in a temporary file.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gpucal import model
from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.groups import flagged_throughout
from gpucal.model.image import Slopes
from gpucal.model.ramp import Ramp
from gpucal.model.whole import Whole
from gpucal.step import Outcome

log = logging.getLogger(__name__)
BYTES = 12  # of memory per sample of a ramp in work: counts, flags, what a step needs beside, and the raw counts
SHARE = 4  # of the memory, a part takes one in so many: references and slopes need the rest
REACH = 2  # rows that a step may look beyond its own


def need(shape):
    """Return the bytes of memory that an exposure of a shape needs if it is calibrated at once."""
    return int(np.prod(shape, dtype=np.int64)) * BYTES


def limit(device, configured=None):
    """Return how many bytes an exposure may need: GB as configured, or half of what is free on the device."""
    if configured is not None:
        return int(configured * 1e9)
    return device.free_memory() // 2


def too_large(source, device, configured=None):
    """Return the shape of a ramp in a FITS file that needs more memory than there is for it, else None."""
    path = Path(source) if isinstance(source, str | Path) else None
    allowed = limit(device, configured)
    if path is None or not path.is_file() or path.suffix == ".asdf" or path.stat().st_size * BYTES // 2 <= allowed:
        return None  # a file holds at least two bytes of each sample: most need not be opened
    shape = model.ramp_shape(path)
    return shape if shape and need(shape) > allowed else None


def divided(pipeline, outline):
    """Return (steps on integrations, steps on rows, steps on the slopes), or None if the pipeline cannot be divided.

    It can if nothing but the fit looks at the ramp as a whole, neither a step nor a hook nor a result that is saved.
    outline: that of the exposure.
    """
    steps = pipeline.steps
    if not all(hasattr(step, "skip") for step in steps):
        return None  # a function in a list does what it likes
    fit = next((i for i, step in enumerate(steps) if step.alias == "ramp_fit" and not step.skip), None)
    if fit is None or any(one.save_results or one.pre_hooks or one.post_hooks for one in steps[: fit + 1]):
        return None
    scopes = {i: step.scope_for(outline) for i, step in enumerate(steps[: fit + 1]) if not step.skip}
    begin = min(i for i, scope in scopes.items() if scope != "integration")
    if any(scope != "rows" for i, scope in scopes.items() if i >= begin):
        return None
    return steps[:begin], steps[begin : fit + 1], steps[fit + 1 :]


class Divided:
    """One exposure that is calibrated in parts; the result is that of the whole."""

    def __init__(self, source, shape, steps, references, memory, folder):
        self.source, self.shape, self.references = source, shape, references
        self.on_integrations, self.on_rows, self.on_slopes = steps
        self.memory, self.folder = memory // SHARE, folder
        self.whole = Whole(shape)
        self.outcomes: dict[int, Outcome] = {}  # id of a step -> its outcome, with the seconds of all parts

    def run(self, on_step):
        """Calibrate the exposure and return its slopes; on_step(step, outcome, slopes) is called for every step."""
        log.info("%s: larger than memory, calibrated in parts", self.source)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            scratch = _Scratch(file, self.shape)
            ramp = self._integrations(scratch)
            slopes = self._rows(scratch, ramp)
        for outcome in self.outcomes.values():
            on_step(outcome.by, outcome, slopes)
        for step in self.on_slopes:
            slopes, outcome = step.run(slopes, self.references)
            on_step(step, outcome, slopes)
        return slopes

    def _integrations(self, scratch):
        """Take the integrations in turn through the first steps; return a ramp without its samples."""
        nints, ngroups, ny, nx = self.shape
        each = max(1, self.memory // need((1, ngroups, ny, nx)))
        tree, pixeldq, unused, zeroframes = None, None, [], []
        for first in range(0, nints, each):
            count = min(each, nints - first)
            contents = model.read(self.source, integrations=(first, count))
            tree = contents.tree = tree or contents.tree  # one for all: steps add to it
            ramp = contents.unpack(self.references.device)
            self.whole.first = first
            ramp.whole = self.whole
            ramp = self._run(self.on_integrations, ramp)
            scratch.write(first, ramp)
            unused.append(flagged_throughout(ramp.groupdq, GROUP.DO_NOT_USE))
            self.whole.highest = max(self.whole.highest, int(ramp.groupdq.max()))
            pixeldq = ramp.pixeldq if pixeldq is None else pixeldq | ramp.pixeldq
            if ramp.zeroframe is not None:
                zeroframes.append(to_host(ramp.zeroframe))
        self.whole.unused = np.concatenate(unused)
        xp = self.references.device.xp
        bare = Ramp(
            ramp.tree, ramp.source, data=xp.empty((nints, ngroups, 0, nx), "f4"),
            groupdq=xp.empty((nints, ngroups, 0, nx), "u1"), pixeldq=pixeldq,
            zeroframe=np.concatenate(zeroframes) if zeroframes else None,
            average_dark_current=ramp.average_dark_current,
        )  # fmt: skip
        return bare

    def _rows(self, scratch, whole):
        """Take bands of rows of all integrations through the steps up to the fit; return the slopes of all rows."""
        nints, ngroups, ny, nx = self.shape
        height = max(1, self.memory // need((nints, ngroups, 1, nx)) - 2 * REACH)
        slopes: Any = None
        for start in range(0, ny, height):
            stop = min(start + height, ny)
            low, high = max(start - REACH, 0), min(stop + REACH, ny)
            self.whole.rows, self.whole.last = slice(start - low, stop - low), stop == ny
            band = self._run(self.on_rows, self._band(scratch, whole, low, high))
            slopes = slopes or _empty(band, nints, ny, nx)
            for mine, theirs in zip(slopes, band, strict=True):
                for name in mine.held:
                    getattr(mine, name)[..., start:stop, :] = to_host(getattr(theirs, name)[..., self.whole.rows, :])
                mine.tree = theirs.tree  # sums in it have grown; the last are right
        y = whole.tree.meta.subarray.ystart
        for one in slopes:
            one.tree.meta.subarray.ystart = y
            for name in one.held:
                setattr(one, name, self.references.device.upload(getattr(one, name)))
        return slopes

    def _band(self, scratch, whole, low, high):
        tree = whole.tree.copy()
        tree.meta.subarray.ystart = whole.tree.meta.subarray.ystart + low
        device = self.references.device
        arrays = {
            name: device.upload(np.ascontiguousarray(to_host(array)[..., low:high, :]))
            for name in ("pixeldq", "zeroframe", "average_dark_current")
            if (array := getattr(whole, name)) is not None
        }
        data, groupdq = scratch.read(low, high)
        ramp = Ramp(tree, whole.source, data=device.upload(data), groupdq=device.upload(groupdq), **arrays)
        ramp.whole = self.whole
        return ramp

    def _run(self, steps, result):
        for step in steps:
            result, outcome = step.run(result, self.references)
            before = self.outcomes.get(id(step))
            seconds = outcome.seconds + (before.seconds if before else 0)
            self.outcomes[id(step)] = outcome._replace(seconds=seconds)
        return result


class _Scratch:
    """The samples and flags of a ramp in a temporary file, written by integrations and read by rows."""

    def __init__(self, file, shape):
        self.file, self.shape = file, shape
        self.samples = int(np.prod(shape, dtype=np.int64))

    def write(self, first, ramp):
        offset = first * (self.samples // self.shape[0])
        for array, begin, size in ((ramp.data, 0, 4), (ramp.groupdq, 4 * self.samples, 1)):
            self.file.seek(begin + offset * size)
            self.file.write(memoryview(to_host(array).reshape(-1).view(np.uint8)))
        self.file.flush()

    def read(self, low, high):
        nints, ngroups, ny, nx = self.shape
        found = []
        for dtype, begin in (("f4", 0), ("u1", 4 * self.samples)):
            rows = np.empty((nints * ngroups, high - low, nx), dtype)
            for plane, target in enumerate(rows):
                offset = begin + (plane * ny + low) * nx * rows.itemsize
                os.preadv(self.file.fileno(), [memoryview(target.reshape(-1).view(np.uint8))], offset)
            found.append(rows.reshape(nints, ngroups, high - low, nx))
        return found


def _empty(band, nints, ny, nx):
    """Slopes of the whole exposure, on the host, to be filled."""
    models = []
    for one, shape in zip(band, ((ny, nx), (nints, ny, nx)), strict=True):
        arrays = {name: np.empty(shape, array.dtype) for name, array in one.held.items()}
        models.append(type(one)(one.tree, one.source, **arrays))
    return Slopes(*models)
