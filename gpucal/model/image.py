"""Image and Cube: count rates, later surface brightness, over an exposure and integration by integration."""

from typing import Any

from gpucal.model.base import Exposure
from gpucal.model.optional import Optional


class Image(Exposure):
    """Count rates of an exposure, all arrays (ny, nx): data, err in DN/s; variances in (DN/s)^2; dq uint32.

    After photom they are MJy/sr, and their square. var_flat exists from flat_field on; area, relative to that of a mean
    pixel, from photom on.
    """

    tree_class = "ImageModel"
    arrays = {
        "data": "SCI",
        "err": "ERR",
        "dq": "DQ",
        "var_poisson": "VAR_POISSON",
        "var_rnoise": "VAR_RNOISE",
        "var_flat": "VAR_FLAT",
        "area": "AREA",
    }
    data: Any
    err: Any
    dq: Any
    var_poisson: Any
    var_rnoise: Any
    var_flat: Any
    area: Any

    @property
    def suffix(self):  # type: ignore[override]
        """The suffix of a product of this kind: rate, cal from the first step of Stage 2 on, i2d if resampled."""
        steps = self.meta.cal_step
        return "i2d" if steps.resample == "COMPLETE" else "rate" if steps.assign_wcs is None else "cal"


class Cube(Image):
    """Count rates of every integration, all arrays (nints, ny, nx), area (ny, nx)."""

    tree_class = "CubeModel"

    @property
    def suffix(self):  # type: ignore[override]
        """The suffix of a product of this kind: rateints, or calints from the first step of Stage 2 on."""
        return super().suffix + "ints"


class Slopes:
    """What a ramp fit gives: the exposure's rate and the rates of its integrations; if asked for, more about the fits.

    Corrections go over the two rates; the optional product stays what the fit has made.
    """

    is_ramp = False
    readout = ""

    def __init__(self, rate, rateints, optional=None):
        self.rate: Image = rate
        self.rateints: Cube = rateints
        self.optional: Optional | None = optional

    def __iter__(self):
        return iter((self.rate, self.rateints))

    @property
    def meta(self):
        """The metadata of the exposure's rate."""
        return self.rate.meta

    @property
    def tree(self):
        """The metadata tree of the exposure's rate."""
        return self.rate.tree

    def copy(self):
        """Return a pair that can be changed without changing this one."""
        return Slopes(self.rate.copy(), self.rateints.copy(), self.optional and self.optional.copy())

    @property
    def source(self):
        """The file the exposure came from."""
        return self.rate.source

    def mark(self, step, status):
        """Note in both products that a step is COMPLETE, SKIPPED or FAILED."""
        for model in self:
            model.mark(step, status)

    def note(self, text):
        """Add a line to the history that both products carry."""
        for model in self:
            model.note(text)

    def note_reference(self, reftype, name):
        """Note in both products which reference file was used."""
        for model in self:
            model.note_reference(reftype, name)

    def note_context(self, context, version=None):
        """Note in both products the CRDS context in use."""
        for model in self:
            model.note_context(context, version)

    def save(self, path):
        """Write the rate to path, and the other products beside it, `_rate` becoming `_rateints`."""
        from gpucal.model.names import with_suffix

        self.rate.save(path)
        self.rateints.save(with_suffix(path, "rateints"))
        if self.optional:
            self.optional.save(with_suffix(path, self.optional.suffix))
