"""MIRI's own steps, and what depends on the place of a file within an exposure, give the official numbers."""

import contextlib

import numpy as np
import pytest
from astropy.io import fits

from gpucal import model, sample, steps
from gpucal.reference import References

pytestmark = pytest.mark.slow

WHOLE_PIPELINES = [
    "mir_sub64:10x3:51+sample.interference=6+emicorr.skip=false",
    "mir_sub64:5x4:54+firstframe.skip=false+persistence.skip=false+persistence.persistence_time=2",
    "mir_sub64:3x2:57+emicorr.skip=false",
    "nrc_sub160:5x2:81+sample.readpatt=SHALLOW4+sample.zeroframe=true+sample.inverse_linearity=true",
]


@pytest.mark.parametrize("case", WHOLE_PIPELINES)
def test_every_step_gives_the_official_numbers(case, parity, tmp_path):
    differences = parity.compare(parity.Case.parse(case), folder=tmp_path)
    assert [d for d in differences if d.equal != d.count] == []


# -- one step at a time


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """A MIRI exposure with interference, and its references."""
    folder = tmp_path_factory.mktemp("miri")
    (path,) = sample.make_exposures("mir_sub64", folder, ngroups=11, nints=4, seed=61, interference=5.0)
    return path, sample.make_references("mir_sub64", folder, ngroups=11, nints=4, types=["emicorr", "dark"])


@pytest.fixture
def both(official, host):
    """Run a step of both pipelines on copies of an exposure, given as a data model; return both results."""

    def run(name, exposure, references, **parameters):
        official.silence()
        step = getattr(official.pipeline("Detector1Pipeline", references), name)
        step.skip = False
        ours = model.open(exposure.copy(), host)
        for key, value in parameters.items():
            setattr(step, key, value)
        kind = next(kind for kind in steps.STEPS.values() if kind.alias == name)
        result, outcome = kind(**parameters | {"skip": False}).run(ours, References(host, references))
        theirs = step.process(exposure.copy())
        assert outcome.status == getattr(theirs.meta.cal_step, kind.status)
        return result, theirs

    return run


def opened(path):
    """The official data model of an exposure."""
    from stdatamodels.jwst.datamodels import RampModel

    return RampModel(str(path))


def assert_equal(ours, theirs):
    for name in ("data", "pixeldq", "groupdq"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


EMI = {
    "separately": {"fit_ints_separately": True},
    "sequential": {"algorithm": "sequential"},
    "reference as it is": {"algorithm": "sequential", "scale_reference": False},
    "all integrations": {"algorithm": "sequential", "use_n_cycles": None},
    "more cycles": {"algorithm": "sequential", "use_n_cycles": 200},
    "some integrations, few bins": {"algorithm": "sequential", "nints_to_phase": 2, "nbins": 30},
    "too many bins": {"algorithm": "sequential", "nbins": 700},
    "on the fly": {"onthefly_corr_freq": [390.625, 10.039216]},
}


@pytest.mark.parametrize("name", EMI)
def test_interference_is_removed_with_the_official_numbers(name, spoilt, both):
    path, references = spoilt
    exposure = opened(path)
    exposure.pixeldq[5:9, 20:30] = 4
    before = exposure.data.copy()
    ours, theirs = both("emicorr", exposure, references, **EMI[name])
    assert_equal(ours, theirs)
    assert np.abs(theirs.data - before).max() > 1


@pytest.mark.parametrize("readpatt", ["FAST", "SLOWR1"])
@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
def test_other_readouts_are_cleaned_with_the_official_numbers(readpatt, algorithm, spoilt, both):
    exposure = opened(spoilt[0])
    exposure.meta.exposure.readpatt, exposure.meta.exposure.nsamples = readpatt, 9 if readpatt == "SLOWR1" else 1
    assert_equal(*both("emicorr", exposure, spoilt[1], algorithm=algorithm))


def test_waves_found_on_the_fly_are_written_as_the_official_pipeline_does(spoilt, both, tmp_path):
    import asdf

    with contextlib.chdir(tmp_path):
        ours, _ = both(
            "emicorr", opened(spoilt[0]), spoilt[1], onthefly_corr_freq=[390.625], save_intermediate_results=True
        )  # fmt: skip
    (write,) = ours.beside.values()
    write(tmp_path / "ours.asdf")
    (other,) = tmp_path.glob("*_emi_ref_waves.asdf")
    with asdf.open(tmp_path / "ours.asdf") as mine, asdf.open(other) as theirs:
        assert mine["subarray_cases"] == theirs["subarray_cases"]
        (name,) = theirs["frequencies"]
        np.testing.assert_allclose(
            mine["frequencies"][name]["phase_amplitudes"], theirs["frequencies"][name]["phase_amplitudes"],
            rtol=0, atol=1e-12,  # means of the same numbers of order 1, added up in another order
        )  # fmt: skip


@pytest.mark.parametrize(("nframes", "start"), [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_darks_of_several_integrations_are_subtracted_and_written(nframes, start, spoilt, both, host, tmp_path):
    path, references = spoilt
    exposure = opened(path)
    exposure.data = exposure.data[:, :5].copy()
    if nframes > 1:
        exposure.data = exposure.data[:1].copy()  # fewer than the dark's: the official pipeline averages as many
    exposure.groupdq, exposure.pixeldq = np.zeros(exposure.data.shape, "u1"), np.zeros(exposure.data.shape[2:], "u4")
    exposure.meta.exposure.ngroups, exposure.meta.exposure.nframes = 5, nframes
    exposure.meta.exposure.integration_start = start
    assert_equal(*both("dark_current", exposure, references))
    with contextlib.chdir(tmp_path):
        mine = steps.DarkCurrent(dark_output="mine")
        mine.run(model.open(exposure.copy(), host), References(host, references))
        official_dark(exposure, references, "theirs.fits")
        for name in ("SCI", "DQ"):
            np.testing.assert_array_equal(fits.getdata("mine.fits", name), fits.getdata("theirs.fits", name))
        for word in ("NFRAMES", "NGROUPS", "GROUPGAP", "REFTYPE"):
            assert fits.getval("mine.fits", word) == fits.getval("theirs.fits", word)


def official_dark(exposure, references, path):
    """Let the official step write the dark that it subtracts."""
    from jwst.dark_current import DarkCurrentStep

    step = DarkCurrentStep()
    step.override_dark, step.dark_output = str(references["dark"]), path
    step.process(exposure.copy())


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize(
    "parameters",
    [{"persistence_time": 1}, {"persistence_time": 2, "dn_threshold": 12000.3, "persistence_dnu": True}, {}],
)
def test_persistence_is_flagged_from_file_to_file(table, parameters, spoilt, both, tmp_path, rng):
    import asdf

    exposure = opened(spoilt[0])
    exposure.groupdq[...] = (rng.random(exposure.data.shape) < 0.05) * 2
    if not table:
        del exposure.int_times
    begin = (exposure.meta.exposure.start_time - 40587) * 86400
    rows, columns = np.nonzero(rng.random(exposure.data.shape[2:]) < 0.3)
    windows = {"rows": rows, "cols": columns, "vals": begin + rng.uniform(-1, 4, rows.size)}
    tree = {"MIRIMAGE": windows | {"pers_time": parameters.get("persistence_time"), "filename": "before"}}
    asdf.AsdfFile(tree).write_to(tmp_path / "before.asdf")
    with contextlib.chdir(tmp_path):
        ours, theirs = both(
            "persistence", exposure, {}, persistence_array_file="before.asdf", save_persistence="after", **parameters
        )
    assert_equal(ours, theirs)
    assert bool((theirs.groupdq & 32).any()) == bool(parameters)


# -- segments of long exposures

SEGMENTS = {
    "mir_sub64": (3, {"emicorr.skip": False, "persistence.skip": False, "persistence.persistence_time": 1}),
    "nrc_sub64p": (4, {"persistence.skip": False, "persistence.persistence_time": 1}),
}


@pytest.mark.parametrize("configuration", SEGMENTS)
def test_segment_of_an_exposure_gives_the_official_numbers(configuration, parity, tmp_path):
    from stdatamodels.jwst.datamodels import Level1bModel

    first, settings = SEGMENTS[configuration]
    (path,) = sample.make_exposures(configuration, tmp_path, ngroups=6, nints=6, seed=71)
    references = sample.make_references(configuration, tmp_path, ngroups=6, nints=6)
    with Level1bModel(str(path)) as whole:
        whole.data = whole.data[first - 1 : first + 1]
        exposure = whole.meta.exposure
        exposure.integration_start, exposure.integration_end, exposure.segment_number = first, first + 1, 2
        whole.save(str(tmp_path / "segment_uncal.fits"))
    differences = parity.compare_files(configuration, tmp_path / "segment_uncal.fits", references, settings=settings)
    assert [d for d in differences if d.equal != d.count] == []
