"""Snowballs and showers are flagged as by the official step, bit for bit, and counted as there."""

import dataclasses
import re

import numpy as np
import pytest

from gpucal import model, sample
from gpucal.device import to_host
from gpucal.reference import References
from gpucal.steps import DarkCurrent, DqInit, Jump, Linearity, Refpix, Reset, Rscd, Saturation, Superbias

NEAR_INFRARED = DqInit(), Saturation(), Superbias(), Refpix(), Linearity(), DarkCurrent()
MID_INFRARED = DqInit(), Saturation(), Reset(), Linearity(), Rscd(), DarkCurrent(), Refpix()

SNOWBALLS = [
    {},
    {"sat_required_snowball": False},
    {"edge_size": 0, "min_jump_area": 15.0},
    {"expand_factor": 3.1, "max_extended_radius": 10},
    {"sat_expand": 0, "min_sat_radius_extend": 0.0},
    {"min_sat_area": 10.0, "edge_size": 5},
    {"mask_snowball_core_next_int": False},
    {"snowball_time_masked_next_int": 1},
    {"use_ellipses": True, "min_sat_radius_extend": -5.0},
]
SHOWERS = [
    {},
    {"extend_snr_threshold": 1.05},
    {"extend_snr_threshold": 0.9, "extend_min_area": 20},
    {"extend_inner_radius": 0.0, "extend_outer_radius": 2.0},
    {"extend_inner_radius": 2.5, "extend_outer_radius": 3.3},
    {"extend_ellipse_expand_ratio": 2.5, "max_extended_radius": 12},
    {"time_masked_after_shower": 0.0},
    {"time_masked_after_shower": 10000.0},
    {"max_shower_amplitude": 100.0},
    {"minimum_sigclip_groups": 3},
    {"expand_large_events": True, "edge_size": 0, "min_sat_radius_extend": 0.0},
]


@pytest.fixture(scope="module")
def official_jump(official):
    """The official step as a function of a Ramp, parameters and the references' paths."""
    from jwst.jump import JumpStep
    from stdatamodels.jwst.datamodels import RampModel

    def run(ramp, parameters, files):
        theirs = RampModel(ramp.tree.copy())
        for name in ("data", "groupdq", "pixeldq"):
            setattr(theirs, name, to_host(getattr(ramp, name)).copy())
        step = JumpStep()
        step.override_gain, step.override_readnoise = str(files["gain"]), str(files["readnoise"])
        for name, value in parameters.items():
            assert hasattr(step, name)
            setattr(step, name, value)
        step.prepare_output = lambda exposure, **_: exposure  # already a model, and nothing is to be asked of a server
        return step.process(theirs)

    return run


@pytest.fixture(scope="module")
def before(tmp_path_factory, official):
    """Make exposures as they come to the step; each once."""
    made = {}

    def make(steps, configuration, ngroups, nints, seed, **options):
        key = configuration, ngroups, nints
        if key not in made:
            folder = tmp_path_factory.mktemp(configuration)
            (path,) = sample.make_exposures(
                configuration, folder / "data", ngroups=ngroups, nints=nints, seed=seed, **options
            )
            files = sample.make_references(configuration, folder / "refs", ngroups=ngroups, nints=nints)
            ramp = model.open(path)
            for step in steps:
                ramp, _ = step.run(ramp, References(None, files))
            made[key] = ramp, files
        return made[key]

    return make


def compare(ramp, files, official_jump, host, **parameters):
    """Run both steps; the flags must be the same to the last bit, and what they note; return the official result."""
    theirs = official_jump(ramp, parameters, files)
    ours = Jump(**parameters)(ramp, References(host, files), host)
    np.testing.assert_array_equal(to_host(ours.groupdq), theirs.groupdq)
    np.testing.assert_array_equal(to_host(ours.pixeldq), theirs.pixeldq)
    for name in ("primary_cosmic_rays", "extended_emission_events"):
        assert getattr(ours.meta.exposure, name) == getattr(theirs.meta.exposure, name)
    return theirs


@pytest.mark.parametrize("parameters", SNOWBALLS, ids=str)
def test_snowballs(before, official_jump, host, parameters):
    exposure = before(NEAR_INFRARED, "nrc_sub160", 6, 3, 51, snowballs=1)
    theirs = compare(*exposure, official_jump, host, expand_large_events=True, **parameters)
    assert theirs.meta.exposure.extended_emission_events > 0


def test_snowballs_where_the_time_series_is_clipped(before, official_jump, host):
    exposure = before(NEAR_INFRARED, "nrc_sub64p", 4, 8, 52, snowballs=1)
    compare(*exposure, official_jump, host, expand_large_events=True, minimum_sigclip_groups=8)


@pytest.mark.parametrize("parameters", SHOWERS, ids=str)
def test_showers(before, official_jump, host, parameters):
    exposure = before(MID_INFRARED, "mir_sub64", 12, 3, 53, showers=2)
    theirs = compare(*exposure, official_jump, host, find_showers=True, **parameters)
    assert theirs.meta.exposure.extended_emission_events > 0


def test_showers_in_a_larger_window(before, official_jump, host):
    exposure = before(MID_INFRARED, "mir_brightsky", 12, 1, 54, showers=6)
    compare(*exposure, official_jump, host, find_showers=True)


def test_showers_in_a_time_series(before, official_jump, host):
    exposure = before(MID_INFRARED, "mir_sub64", 5, 101, 55, showers=1)
    compare(*exposure, official_jump, host, find_showers=True, extend_min_area=30)


@pytest.mark.parametrize("seed", range(4))
def test_flags_of_all_kinds(before, official_jump, host, seed):
    """Flags that no simulation sets together, and groups and reference pixels that are unused or not flagged so."""
    exposure, files = before(MID_INFRARED, "mir_sub64", 12, 3, 53, showers=2)
    rng, exposure = np.random.default_rng(seed), exposure.copy()
    some = rng.random(exposure.shape) < 0.02
    exposure.groupdq[some] |= rng.choice(np.array([1, 2, 3, 4, 5, 7, 16, 32, 33, 36, 64, 65, 68], "u1"), some.sum())
    some = rng.random(exposure.shape[2:]) < 0.01
    exposure.pixeldq[some] = rng.choice(np.array([0, 1, 2, 4, 8, 1 << 31, 1 << 31 | 1], "u4"), some.sum())
    exposure.groupdq[..., :4] = 0
    exposure.pixeldq[:, :4] = 1 << 31
    exposure.groupdq[:, 0] |= seed & 1
    exposure.groupdq[1, -1] |= seed >> 1
    parameters = {"expand_large_events": seed > 1, "edge_size": 2, "min_sat_radius_extend": 0.0}
    compare(exposure, files, official_jump, host, find_showers=True, extend_min_area=40, **parameters)


def test_parameters_are_the_official_ones(official):
    from jwst.jump import JumpStep

    names = re.findall(r"^\s*(\w+) = ", JumpStep.spec, re.M)
    theirs = {name: getattr(JumpStep(), name) for name in names}
    ours = {field.name: field.default for field in dataclasses.fields(Jump)}
    assert len(theirs) > 30
    assert {name: ours.get(name) for name in theirs} == theirs
