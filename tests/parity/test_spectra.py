"""A slit spectrum of MIRI's low resolution spectrometer through `pipeline=spec2` is that of the official pipeline."""

import json

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal import sample

pytestmark = pytest.mark.slow

NOT_OF_SPECTRA = ("apcorr", "area", "filteroffset", "abvegaoffset")
ROWS = slice(10, 390)  # of the trace
COLUMN, WIDTH = 325.0, 2.0  # pixels
SLIT = {"1": (-412.8, -400.3), "2": (-417.6, -400.6), "3": (-417.6, -401.1), "4": (-412.8, -400.8)}  # V2, V3, arcsec


@pytest.fixture(scope="module")
def spectrum(official, tmp_path_factory):
    """(exposure with a bright trace, {type: reference})."""
    folder = tmp_path_factory.mktemp("spectrum")
    sample.make_references("mir_full", folder / "refs", ngroups=4)
    (exposure,) = sample.make_exposures("mir_full", folder, ngroups=4)
    with fits.open(exposure, mode="update") as hdus:
        hdus[0].header.update(EXP_TYPE="MIR_LRS-FIXEDSLIT", FILTER="P750L", XOFFSET=0.0, YOFFSET=0.0)
        counts = hdus["SCI"].data.astype("f8")
        profile = np.exp(-(((np.arange(counts.shape[-1]) - COLUMN) / WIDTH) ** 2) / 2)
        counts[..., ROWS, :] += 3000 * np.arange(1, 5)[:, None, None] * profile
        hdus["SCI"].data = np.minimum(counts, 60000).astype("u2")
    references = official.references(folder / "refs")
    kept = {reftype: path for reftype, path in references.items() if reftype not in NOT_OF_SPECTRA}
    for reftype, write in (("specwcs", specwcs), ("photom", photom), ("extract1d", extract1d)):
        kept[reftype] = write(folder)
    return exposure, {reftype: str(path) for reftype, path in kept.items()}


def written(model, reftype, folder):
    """Save a reference model under the name of its type."""
    model.meta.instrument.name, model.meta.instrument.detector = "MIRI", "MIRIMAGE"
    model.meta.reftype, model.meta.useafter = reftype, "2020-01-01T00:00:00"
    model.meta.author = model.meta.description = "simulated"
    model.meta.pedigree, model.meta.telescope = "GROUND", "JWST"
    model.save(folder / f"{reftype}.fits")
    return folder / f"{reftype}.fits"


def specwcs(folder):
    """The wavelength, micrometres, and the way of the trace along the detector, and the corners of the slit."""
    from stdatamodels.jwst.datamodels import MiriLRSSpecwcsModel

    model = MiriLRSSpecwcsModel()
    table = np.zeros(388, model.get_dtype("wavetable"))
    y = table["y_center"] = np.linspace(90, -290, len(table))
    table["x_center"], table["wavelength"] = 0.02 * np.sin(y / 100), np.linspace(4.5, 14, len(table))
    for corner, dx, dy in ((0, -30, 0.5), (1, 30, 0.5), (2, 30, -0.5), (3, -30, -0.5)):
        table[f"x{corner}"], table[f"y{corner}"] = dx, y + dy
    model.wavetable = table
    meta = model.meta
    meta.x_ref, meta.y_ref, meta.x_ref_slitless, meta.y_ref_slitless = 326.13, 300.7, 38.5, 829.0
    for corner, (v2, v3) in SLIT.items():
        setattr(meta, f"v2_vert{corner}", v2)
        setattr(meta, f"v3_vert{corner}", v3)
    meta.exposure.type = "MIR_LRS-FIXEDSLIT"
    return written(model, "specwcs", folder)


def photom(folder):
    """The conversion to MJy/sr and its course with wavelength."""
    from stdatamodels.jwst.datamodels import MirLrsPhotomModel

    model, n = MirLrsPhotomModel(), 100
    own = {name: model.get_dtype("phot_table")[name] for name in model.get_dtype("phot_table").names}
    arrays = ("wavelength", "relresponse", "reluncertainty")
    wavelength = np.linspace(4, 15, n)
    row = ("P750L", "FULL", 2.0, 0.01, n, wavelength, 1 + 0.1 * np.sin(wavelength), np.full(n, 0.01))
    model.phot_table = np.array([row], [(k, v, (n,)) if k in arrays else (k, v) for k, v in own.items()])
    model.meta.photometry.pixelarea_steradians, model.meta.photometry.pixelarea_arcsecsq = 2.8e-13, 0.0121
    return written(model, "photom", folder)


def extract1d(folder):
    """The aperture of the extraction, in pixels of the rectified spectrum."""
    aperture = {"id": "MIR_LRS-FIXEDSLIT", "region_type": "target", "bkg_order": 0, "dispaxis": 2, "xstart": 25,
                "xstop": 36, "extract_width": 11, "use_source_posn": False}  # fmt: skip
    path = folder / "extract1d.json"
    path.write_text(json.dumps({"REFTYPE": "EXTRACT1D", "INSTRUME": "MIRI", "apertures": [aperture]}))
    return path


def test_a_spectrum_is_extracted_as_by_the_official_pipeline(spectrum, official, tmp_path, caplog):
    exposure, references = spectrum
    (fate,) = gpucal.run(exposure, tmp_path / "ours", override=references)
    rate = fate.products[0]
    with caplog.at_level("INFO", logger="gpucal"):
        (fate,) = gpucal.run(rate, tmp_path / "ours", override=references, pipeline="spec2")
    assert not fate.error
    assert [outcome[:2] for outcome in fate.outcomes] == [("jwst_calwebb_spec2", "COMPLETE")]
    assert any("jwst_calwebb_spec2 by jwst 3" in line for line in fate.log)
    official.silence()
    pipe = official.pipeline("Spec2Pipeline", references)
    pipe.output_dir, pipe.save_results = str(tmp_path / "theirs"), True
    (tmp_path / "theirs").mkdir()
    pipe.run(str(rate))
    theirs = sorted((tmp_path / "theirs").glob("*.fits"))
    assert sorted(path.name for path in fate.products) == [path.name for path in theirs]
    assert [path.stem.rpartition("_")[2] for path in theirs] == ["cal", "s2d", "x1d"]
    for path in theirs:
        with fits.open(path) as expected, fits.open(tmp_path / "ours" / path.name) as found:
            assert [hdu.name for hdu in found] == [hdu.name for hdu in expected]
            for mine, other in zip(found[1:-1], expected[1:-1], strict=True):
                if mine.is_image:
                    np.testing.assert_array_equal(mine.data, other.data, err_msg=mine.name)
                else:
                    assert np.array(mine.data).tobytes() == np.array(other.data).tobytes()


def test_stage_1_and_spectra_are_one_pipeline(spectrum, tmp_path):
    exposure, references = spectrum
    settings = {"pipelines": {"all": ["detector1", "spec2"]}, "pipeline": "all"}
    (fate,) = gpucal.run(exposure, tmp_path, override=references, **settings)
    assert not fate.error
    assert {path.stem.rpartition("_")[2] for path in fate.products} == {"cal", "s2d", "x1d"}
    (x1d,) = [path for path in fate.products if "x1d" in path.name]
    with fits.open(x1d) as hdus:
        flux = hdus[1].data["FLUX"]
    assert np.isfinite(flux).sum() > 300
    assert np.nanmedian(flux) > 0
