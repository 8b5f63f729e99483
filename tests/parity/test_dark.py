"""pipeline=dark gives the official DarkPipeline's ramps."""

import pytest

import gpucal
from gpucal import sample
from gpucal.settings import Settings
from tests.parity.test_stage1 import failures

TYPES = ("mask", "saturation", "superbias", "linearity", "ipc", "reset", "rscd")


@pytest.mark.parametrize(
    ("configuration", "ngroups", "nints", "seed"),
    [("nrc_sub160", 5, 2, 71), ("nis_sub64", 4, 3, 72), ("mir_sub64", 6, 2, 73), ("nrc_subgrism256", 2, 1, 74)],
)
def test_every_step_gives_the_official_numbers(configuration, ngroups, nints, seed, parity, official, tmp_path):
    official.silence()
    (exposure,) = sample.make_exposures(configuration, tmp_path, ngroups=ngroups, nints=nints, seed=seed)
    references = sample.make_references(configuration, tmp_path / "refs", ngroups=ngroups, nints=nints, types=TYPES)
    differences = parity.compare_files(configuration, exposure, references, pipeline="dark")
    assert not failures(differences)
    assert sum(d.count - d.equal for d in differences) == 0
    assert "linearity" in {d.step for d in differences}


DARKS = {"nircam": "NRC_DARK", "niriss": "NIS_DARK", "nirspec": "NRS_DARK", "fgs": "FGS_DARK", "miri": "MIR_DARKIMG"}


@pytest.mark.parametrize("instrument", DARKS)
def test_darks_go_through_it_by_themselves(instrument):
    settings = Settings()
    assert settings.pipeline(instrument, DARKS[instrument]).name == "dark"
    assert settings.pipeline(instrument, "NRC_IMAGE").name == "detector1"
    assert [step.alias for step in settings.pipeline(instrument, DARKS[instrument]).steps][-1] in ("linearity", "rscd")


def test_its_product_is_a_dark(tmp_path):
    from stdatamodels.jwst import datamodels

    (exposure,) = sample.make_exposures("nis_sub64", tmp_path, ngroups=3)
    with datamodels.open(str(exposure)) as model:
        model.meta.exposure.type = "NIS_DARK"
        model.save(str(exposure))
    sample.make_references("nis_sub64", tmp_path / "refs", ngroups=3)
    (fate,) = gpucal.run(exposure, tmp_path, references=tmp_path / "refs")
    assert [path.name for path in fate.products] == ["jw01234001001_02101_00001_nis_dark.fits"]
    with datamodels.open(str(fate.products[0])) as dark:
        assert type(dark) is datamodels.RampModel
        assert dark.meta.cal_step.linearity == "COMPLETE"
        assert dark.meta.cal_step.dark_sub is None
