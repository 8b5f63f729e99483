"""Reference files that calibrate the simulated exposures, with all the trouble that real ones have.

NaN, zero and negative values, pixels that cannot be corrected, DQ_DEF tables in an order of their own; full-frame files
for subarray exposures, but darks and resets at the exposures' own size.
"""

from pathlib import Path

from gpucal.errors import ConfigError
from gpucal.sample import (
    references_dark,
    references_detector,
    references_irs2,
    references_miri,
    references_optics,
    references_sirs,
)
from gpucal.sample.configurations import configured
from gpucal.sample.detector import Detector
from gpucal.sample.flags import Bits
from gpucal.sample.readout import Readout
from gpucal.sample.request import Request

USEAFTER = "2020-01-01T00:00:00"
ASDF = {"sirskernel", "emicorr", "distortion", "filteroffset", "abvegaoffset"}  # all others are FITS
# Without pixels:
WHOLE = {"rscd", "emicorr", "refpix", "sirskernel", "photom", "distortion", "filteroffset", "apcorr", "abvegaoffset"}

# A maker is named like its reference type; it returns a data model, or None where the instrument has no such file.
MAKERS = {
    maker.__name__: maker
    for maker in (
        references_detector.mask,
        references_detector.saturation,
        references_detector.superbias,
        references_detector.linearity,
        references_dark.dark,
        references_detector.gain,
        references_detector.readnoise,
        references_detector.ipc,
        references_miri.reset,
        references_miri.rscd,
        references_miri.emicorr,
        references_irs2.refpix,
        references_sirs.sirskernel,
        references_optics.flat,
        references_optics.photom,
        references_optics.area,
        references_optics.distortion,
        references_optics.filteroffset,
        references_optics.pictureframe,
        references_optics.apcorr,
        references_optics.abvegaoffset,
    )
}


def make_references(
    configuration, folder, *, ngroups=10, nints=1, detector_seed=1, readpatt=None, dark="rapid", match=(),
    inverse_linearity=False, ipc_per_pixel=False, plain_dq=False, clean=False, photom_time=False, types=None,
):  # fmt: skip
    """Write the reference files for exposures of a configuration and return their paths by reference type.

    ngroups, nints, readpatt: of the exposures; detector_seed: theirs. dark: "rapid" has single frames that cover the
    exposures, "match" their read pattern, "short" too few groups. match: types to write at the exposures' window
    instead of the full frame; IPC and AREA never are. inverse_linearity: add INV_COEFFS. ipc_per_pixel: a kernel for
    every pixel. plain_dq: standard order of the DQ bits. clean: no NaN and no bad values. photom_time: sensitivity
    that declines. types: write only these. ConfigError for an unknown configuration, read pattern, dark or type.
    """
    chosen = configured(configuration)
    _check(dark, match, types)
    request = Request(
        configuration=chosen,
        detector=Detector.of(chosen, detector_seed),
        readout=Readout.of(chosen, ngroups, nints, readpatt),
        seed=detector_seed,
        dark=dark,
        match=frozenset(match),
        inverse_linearity=inverse_linearity,
        ipc_per_pixel=ipc_per_pixel,
        clean=clean,
        photom_time=photom_time,
        bits=Bits(plain_dq),
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for reftype in MAKERS if types is None else types:
        model = MAKERS[reftype](request)
        if model is not None:
            path = folder / f"{reftype}.{'asdf' if reftype in ASDF else 'fits'}"
            _write(model, reftype, request, path)
            paths[reftype] = path
    return paths


def _check(dark, match, types):
    if dark not in ("rapid", "match", "short"):
        raise ConfigError(f"dark={dark} is not one of rapid, match, short")
    for reftype in (*match, *(types or ())):
        if reftype not in MAKERS:
            raise ConfigError(f"reference type {reftype} is not one of {', '.join(MAKERS)}")


def _write(model, reftype, request, path):
    with model:
        _describe(model.meta, reftype, request)
        if model.hasattr("dq"):
            model.dq_def = request.bits.definitions(model.get_dtype("dq_def"))
        # Not model.save: it would translate the DQ array, which has the file's own bits already.
        if path.suffix == ".asdf":
            model.to_asdf(str(path))
        else:
            model.to_fits(str(path), overwrite=True)


def _describe(meta, reftype, request):
    """Fill the header: the keywords by which a reference file is chosen."""
    configuration = request.configuration
    meta.reftype, meta.description = reftype, f"simulated {reftype}"
    meta.author, meta.pedigree, meta.useafter = "gpucal", "GROUND", USEAFTER
    meta.instrument.name, meta.instrument.detector = configuration.instrument, configuration.detector
    for word in ("channel", "module", "filter", "pupil"):
        if getattr(configuration, word) is not None:
            setattr(meta.instrument, word, getattr(configuration, word))
    for node in ("exposure", "subarray"):
        if not hasattr(meta, node):  # not in every schema
            setattr(meta, node, {})
    meta.exposure.type = configuration.exp_type
    subarray = meta.subarray
    whole = reftype in WHOLE or not request.matches(reftype)
    subarray.name = "FULL" if whole else configuration.subarray
    subarray.ystart, subarray.xstart = (1, 1) if whole else configuration.corner
    subarray.ysize, subarray.xsize = configuration.full_shape if whole else configuration.shape
    subarray.fastaxis, subarray.slowaxis = configuration.axes
