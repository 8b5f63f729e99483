"""The context of flight data: the references that gpucal finds are those that the official client recommends."""

import pytest

from gpucal.errors import ReferenceFileError
from gpucal.model.outline import outline
from gpucal.reference import library
from tests.parity.conftest import SHARED

crds = pytest.importorskip("crds", reason="the CRDS client is not installed: pip install 'gpucal[crds]'")
REAL = SHARED / "real"
pytestmark = pytest.mark.skipif(not (REAL / "crds_cache").is_dir(), reason="no CRDS cache of flight data")

TYPES = (
    "mask saturation superbias refpix linearity dark gain readnoise ipc reset rscd persat trapdensity trappars".split()
)
MODES = [
    {"instrument": "NIRCAM", "detector": "NRCA1", "subarray": "SUB64P", "exp_type": "NRC_IMAGE"},
    {"instrument": "NIRCAM", "detector": "NRCALONG", "subarray": "FULL", "exp_type": "NRC_WFSS", "filter": "F444W"},
    {"instrument": "MIRI", "detector": "MIRIMAGE", "subarray": "FULL", "exp_type": "MIR_IMAGE", "readpatt": "FASTR1"},
    {"instrument": "MIRI", "detector": "MIRIFUSHORT", "subarray": "FULL", "exp_type": "MIR_MRS", "readpatt": "SLOWR1"},
    {"instrument": "NIRISS", "detector": "NIS", "subarray": "SUB64", "exp_type": "NIS_IMAGE", "readpatt": "NIS"},
    {"instrument": "NIRSPEC", "detector": "NRS1", "subarray": "FULL", "exp_type": "NRS_IFU", "readpatt": "NRSIRS2"},
    {"instrument": "FGS", "detector": "GUIDER1", "subarray": "FULL", "exp_type": "FGS_IMAGE", "readpatt": "FGS"},
]


@pytest.fixture
def context():
    return library("crds", REAL / "crds_cache", "jwst_0676.pmap")


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode["detector"])
def test_the_answers_are_those_of_the_official_client(mode, context, make_ramp, host):
    exposure = make_ramp(host, [1], **mode)
    parameters = exposure.tree.get_crds_parameters()
    official = crds.getrecommendations(parameters, TYPES, "jwst_0676.pmap", observatory="jwst", fast=True)
    found = 0
    for reftype in TYPES:
        theirs = official[reftype]
        if theirs.startswith("NOT FOUND") and "n/a" not in theirs:
            with pytest.raises(ReferenceFileError, match=f"has no {reftype}"):
                context.find(reftype, exposure)
        else:
            _, ours = context.find(reftype, exposure)
            assert ours.removeprefix("crds://") == (theirs if theirs.endswith(".fits") else "N/A")
            found += ours != "N/A"
    assert found > 3


def test_the_files_of_the_cache_are_whole(context, monkeypatch, tmp_path):
    monkeypatch.setenv("GPUCAL_CACHE", str(tmp_path))
    files = [path for path in (REAL / "crds_cache" / "references").rglob("*.asdf") if "_0" in path.name]
    context = library("crds", REAL / "crds_cache", "jwst_0676.pmap")
    assert len(files) > 50
    assert context.provide(files) == {}
    assert len(context.cache.facts) > 6000


def test_parameter_files_that_the_context_names_but_the_cache_lacks_are_told(context, make_ramp, host):
    exposure = outline(REAL / "miri_sub64_ground_uncal.fits")
    assert context.pars(exposure, "detector1", ["jump", "ramp_fit"]) == {}
    niriss = {"instrument": "NIRISS", "detector": "NIS"}
    assert context.pars(make_ramp(host, [1], exp_type="NIS_IMAGE", **niriss), "image2", ["photom"]) == {}
    with pytest.raises(ReferenceFileError, match=r"jwst_niriss_pars-image2pipeline_\d+.asdf: not in the CRDS cache"):
        context.pars(make_ramp(host, [1], exp_type="NIS_AMI", **niriss), "image2", ["photom"])
