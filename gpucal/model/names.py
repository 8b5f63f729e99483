"""Names of products: `<stem>_<suffix>.fits`, a known suffix replaced, an unknown one kept."""

import re
from pathlib import Path

from gpucal.step import STEPS

SUFFIXES = set(
    (
        "uncal ramp rate rateints trapsfilled fitopt likely_chisq dark bsub bsubints cal calints crf crfints i2d s2d "
        "s3d x1d x1dints c1d cat segm phot whtlt psfstack psfalign psfsub outlier_i2d wfscmb asn median blot "
        "group_scale dq_init saturation ipc superbias refpix linearity dark_current reset rscd lastframe firstframe "
        "emicorr charge_migration jump picture_frame clean_flicker_noise persistence ramp_fit gain_scale "
        "gain_scaleints guider_cds assign_wcs flat_field photom bkg_subtract resample skymatch tweakreg "
        "outlier_detection source_catalog badpix_selfcal msa_flagging imprint extract_2d wavecorr srctype straylight "
        "fringe residual_fringe pathloss barshadow wfss_contam pixel_replace adaptive_trace_model resample_spec "
        "cube_build extract_1d"
    ).split()
)


def stem(path):
    """Return the file name of an exposure without folder, ending and product suffix."""
    name = Path(path).name
    name = re.sub(r"\.(fits|asdf)(\.gz)?$", "", name)
    for suffix in sorted({*SUFFIXES, *STEPS}, key=len, reverse=True):
        for ending in (f"_{suffix}ints", f"_{suffix}"):
            if name.endswith(ending):
                return name.removesuffix(ending).removesuffix("_jwst")
    return name


def with_suffix(path, suffix, folder=None, ending=None):
    """Return the path of another product of the same exposure, in the same folder unless another is given."""
    path = Path(path)
    ending = ending or (path.suffix if path.suffix in (".fits", ".asdf") else ".fits")
    return (path.parent if folder is None else Path(folder)) / f"{stem(path)}_{suffix}{ending}"


def numbered(path, place):
    """Return the path of one of several products of the same kind, `x_0_s3d.fits`."""
    path = Path(path)
    name = stem(path)
    return path.with_name(f"{name}_{place}{path.name.removeprefix(name)}")
