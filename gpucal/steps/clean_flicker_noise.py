"""Clean flicker noise: find what is common to a whole row or column where nothing shines, and subtract it.

Source: the JWST documentation of the step; Rauscher 2024 (PASP 136, 015001) for the fit in Fourier space.
"""

import dataclasses
import functools
import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpucal.device import array_module
from gpucal.errors import Failed, InputError, ReferenceFileError
from gpucal.flicker import automatic, fourier, scene, soss, template
from gpucal.flicker.cleaning import Cleaning
from gpucal.step import Step

log = logging.getLogger(__name__)

IN_FOURIER_SPACE = ("NRS_MSASPEC", "NRS_IFU", "NRS_FIXEDSLIT", "NRS_BRIGHTOBJ")


@dataclass(frozen=True)
class CleanFlickerNoise(Step):
    """Subtract the 1/f noise of the readout, group by group (of MIRI, the flickering of columns)."""

    skip: bool = True  # leave the exposure as it is
    autoparam: bool = False  # NIRCam and NIRISS images: let the exposure choose background, flat and channels
    fit_method: Literal["median", "fft"] = "median"  # of lines, or low frequencies (NIRSpec's spectra only)
    fit_by_channel: bool = False  # each amplifier by itself (full frames of the near infrared)
    background_method: Literal["median", "model", "median_image"] | None = "median"  # what is subtracted first
    background_box_size: list[int] | None = None  # pixels (rows, columns) of model; default: divisors up to 32
    mask_science_regions: bool = False  # leave out where spectra lie, and what MIRI does not image
    apply_flat_field: bool = False  # divide by the flat before, multiply by it after
    n_sigma: float = 2.0  # sigma; background reaches so far from its median; 0: no limits
    fit_histogram: bool = False  # median and sigma of the rates are those of their histogram
    single_mask: bool = True  # one mask for all integrations
    user_mask: str | None = None  # file with a mask, 1 for background, to be used in place of all this
    save_mask: bool = False  # write the mask, with the suffix mask
    save_background: bool = False  # write what was subtracted first, with the suffix flicker_bkg
    save_noise: bool = False  # write the noise, with the suffix flicker_noise

    def process(self, ramp, flat=None, pastasoss=None, readnoise=None, gain=None):
        """Clean every group but the first; all, with background_method=median_image."""
        self._check(ramp, pastasoss)
        draft = functools.cache(lambda: _draft(ramp, readnoise, gain))
        if self.autoparam:
            return self._automatic(ramp, flat, draft).process(ramp, flat, pastasoss, readnoise, gain)
        xp = array_module(ramp.data)
        smooth = scene.smooth_flat(flat) if self.apply_flat_field and flat is not None else None
        single = self.single_mask and self.background_method != "median_image"
        if self.user_mask is not None:
            mask = xp.asarray(_read_mask(self.user_mask, ramp))
        else:
            mask = self._mask(ramp, draft().rate if single else draft().rateints, smooth, flat, pastasoss)
        expected = None
        if self.background_method == "median_image":
            expected = template.scaled_median(ramp, draft().rateints.data, smooth)
        cleaning = Cleaning(
            mask.astype("u1").reshape(-1, *mask.shape[-2:]), _axis(ramp), self.n_sigma,
            None if expected else self.background_method, self.background_box_size, self._by_channel(ramp),
            flat=smooth, template=expected, noise_of=self._noise_of(ramp),
            background_to=xp.zeros_like(ramp.data) if self.save_background else None,
        )  # fmt: skip
        self._clean(ramp, cleaning)
        if self.save_mask:
            ramp.byproducts["mask"] = scene.like(ramp, mask.astype("f4"))
        return ramp

    def _check(self, ramp, pastasoss):
        """Raise Failed for what the step cannot do."""
        exp_type = ramp.need("exposure.type")
        tso_image = exp_type == "NRC_TSIMAGE" or (exp_type == "MIR_IMAGE" and template.is_time_series(ramp))
        if exp_type.startswith("MIR") and exp_type != "MIR_IMAGE":
            raise Failed(f"EXP_TYPE {exp_type} is not supported")
        if self.fit_method == "fft" and exp_type not in IN_FOURIER_SPACE:
            raise Failed(f"fit_method=fft cannot be used for EXP_TYPE {exp_type}")
        if self.mask_science_regions and exp_type.startswith("NRS") and self.user_mask is None:
            raise Failed(f"mask_science_regions {scene.NO_WCS}")
        if self.mask_science_regions and exp_type == "NIS_SOSS" and pastasoss is None and self.user_mask is None:
            raise Failed("mask_science_regions needs a pastasoss reference")
        if self.background_method == "median_image":
            if ramp.shape[0] < 2:
                raise Failed("background_method=median_image needs more than one integration")
            if exp_type in ("NRS_BRIGHTOBJ", "NRC_TSGRISM", "NIS_SOSS") or tso_image:
                raise Failed(f"background_method=median_image of EXP_TYPE {exp_type} {scene.NO_WCS}")

    def uses(self, reftype, model):
        """Only the references that the parameters ask for."""
        exp_type = model.meta.exposure.type
        if reftype == "flat":
            marks = self.mask_science_regions and exp_type == "MIR_IMAGE"
            return self.apply_flat_field or marks or (self.autoparam and exp_type in automatic.LIMITS)
        return reftype != "pastasoss" or exp_type == "NIS_SOSS"

    def _automatic(self, ramp, flat, draft):
        """Return the step with the parameters that the exposure chooses."""
        exp_type, found = ramp.need("exposure.type"), {}
        if exp_type in automatic.LIMITS:
            smooth = None if flat is None else scene.smooth_flat(flat)
            found = automatic.parameters(draft().rate.data, exp_type, abs(ramp.need("subarray.slowaxis")), smooth)
            log.info("%s: clean_flicker_noise chose %s", ramp.source, found)
        else:
            log.warning("%s: clean_flicker_noise.autoparam knows nothing of EXP_TYPE %s", ramp.source, exp_type)
        return dataclasses.replace(self, autoparam=False, **found)

    def _mask(self, ramp, rates, smooth, flat, pastasoss):
        """Return where there is background, bool, in the shape of the rates."""
        xp = array_module(ramp.data)
        science = None
        if self.mask_science_regions and ramp.need("exposure.type") == "MIR_IMAGE":
            science = rates.dq & np.uint32(scene.NO_SCIENCE) != 0
            if flat is not None:
                science |= scene.flat_marks(flat)
        elif self.mask_science_regions and ramp.need("exposure.type") == "NIS_SOSS":
            science = xp.asarray(soss.trace_mask(ramp.shape[2:], ramp, pastasoss))
        data = rates.data if smooth is None else rates.data / smooth
        return scene.background_mask(data, self.n_sigma, self.fit_histogram, science)

    def _by_channel(self, ramp):
        nir = not ramp.need("exposure.type").startswith("MIR")
        return self.fit_by_channel and nir and ramp.need("subarray.name").upper() == "FULL"

    def _noise_of(self, ramp):
        """Return the function that fits the noise of an image in Fourier space, or None."""
        if self.fit_method != "fft":
            return None
        detector = ramp.need("instrument.detector").upper()
        if ramp.shape[2:] == (fourier.SIDE, fourier.SIDE):
            return functools.partial(fourier.full_frame_noise, detector=detector)
        all_slits = ramp.need("subarray.name").upper() == "ALLSLITS"
        bands = fourier.BANDS_ALLSLITS if all_slits else fourier.BANDS
        return functools.partial(fourier.subarray_noise, detector=detector, bands=bands)

    def _clean(self, ramp, cleaning):
        """Clean the ramp; if the fit fails, put back what it was."""
        original = ramp.data.copy() if self.fit_method == "fft" or self.save_noise else None
        try:
            lost = cleaning.run(ramp)
        except np.linalg.LinAlgError as error:
            ramp.data[...] = original
            raise Failed(f"no fit to the noise: {error}") from error
        if lost:
            log.warning("%s: %d groups have no background and are left as they are", ramp.source, lost)
        if self.save_noise:
            ramp.byproducts["flicker_noise"] = scene.like(ramp, ramp.data - original)
        if self.save_background:
            ramp.byproducts["flicker_bkg"] = scene.like(ramp, cleaning.background_to)


def _draft(ramp, readnoise, gain):
    for reftype, reference in (("readnoise", readnoise), ("gain", gain)):
        if reference is None:
            raise ReferenceFileError(f"no {reftype} reference for {ramp.source}")
    return scene.draft_rate(ramp, readnoise, gain)


def _axis(ramp):
    """Return 1 if the noise is common to columns, 2 if to rows."""
    return 1 if ramp.need("exposure.type").startswith("MIR") else abs(ramp.need("subarray.slowaxis"))


def _read_mask(path, ramp):
    """Return a mask from a file, (ny, nx) or (nints, ny, nx) bool."""
    from stdatamodels.jwst import datamodels

    from gpucal.warned import ignored

    try:
        with ignored(), datamodels.open(path) as model:
            mask = np.array(model.data).astype(bool)
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"user_mask={path}: {error}") from error
    nints, _, ny, nx = ramp.shape
    if mask.shape not in ((ny, nx), (nints, ny, nx)):
        raise Failed(f"user_mask={path}: shape {mask.shape}, expected {(ny, nx)} or {(nints, ny, nx)}")
    return mask
