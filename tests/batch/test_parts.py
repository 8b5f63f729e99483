"""An exposure larger than memory is calibrated in parts, with the result of the whole."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal.batch import parts
from gpucal.model.outline import outline
from gpucal.sample import make_exposures, make_references
from gpucal.settings import Settings

CASES = {
    "mir_sub64": {"ngroups": 6, "nints": 5},  # other groups to skip, and another dark, in the first integration
    "mir_full": {"ngroups": 4, "nints": 2},  # reference pixels at both sides
    "nrc_sub160": {"ngroups": 5, "nints": 3},  # reference pixels at the lower edge, in the first group's precision
    "nrc_sub64p": {"ngroups": 3, "nints": 101},  # outliers are clipped along the integrations
}


def made(name, folder):
    """(path, references, shape) of an exposure with many hits."""
    (path,) = make_exposures(name, folder, seed=5, cr_rate=1e-3, **CASES[name])
    make_references(name, folder / "refs", **CASES[name])
    return path, folder / "refs", fits.getdata(path).shape


@pytest.fixture(scope="module", params=CASES)
def exposure(request, tmp_path_factory):
    """Each of the cases."""
    return made(request.param, tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One whose single rows do not take long."""
    return made("mir_sub64", tmp_path_factory.mktemp("parts"))


def divided(fate):
    """Tell whether an exposure was calibrated in parts."""
    return any("calibrated in parts" in line for line in fate.log)


def products(exposure, folder, memory=None, **settings):
    """{(file, extension): pixels} and the primary headers of what a run makes with so much memory, in bytes."""
    runner = {"memory": memory and memory / 1e9}
    (fate,) = gpucal.run(exposure[0], folder, references=exposure[1], runner=runner, sidecar=False, **settings)
    assert not fate.error
    found, headers = {}, []
    for path in fate.products:
        with fits.open(path) as hdus:
            found |= {(path.name, h.name): np.array(h.data) for h in hdus if h.is_image and h.data is not None}
            headers.append({key: value for key, value in hdus[0].header.items() if key not in ("DATE", "")})
    return found, headers, fate


def equal(found, expected):
    """Raise AssertionError unless two sets of products are the same in every bit."""
    assert found.keys() == expected.keys()
    for name, pixels in expected.items():
        np.testing.assert_array_equal(found[name], pixels, err_msg=str(name))


def test_the_parts_make_the_whole(exposure, tmp_path):
    expected, headers, whole = products(exposure, tmp_path / "whole")
    found, mine, fate = products(exposure, tmp_path / "parts", parts.need(exposure[2]) - 1)
    assert divided(fate)
    assert [outcome[:3] for outcome in fate.outcomes] == [outcome[:3] for outcome in whole.outcomes]
    equal(found, expected)
    assert mine == headers
    assert sorted((tmp_path / "parts").iterdir()) == sorted(fate.products)  # nothing is left of the temporary file


def test_single_rows_and_integrations_will_do(small, tmp_path):
    expected, _, _ = products(small, tmp_path / "whole")
    found, _, fate = products(small, tmp_path / "parts", 1000)
    assert divided(fate)
    equal(found, expected)


ALL_AT_ONCE = {
    "showers": {"steps": {"jump": {"find_showers": True}}},
    "a saved result": {"steps": {"dq_init": {"save_results": True}}},
    "every result": {"save_all": True},
    "the calibrated ramp": {"save_calibrated_ramp": True},
    "a hook": {"steps": {"linearity": {"post_hooks": ["tests.batch.test_parts.twice"]}}},
    "a step between jump and the fit": {
        "insert_after": {"jump": "firstframe"},
        "steps": {"firstframe": {"skip": False}},
    },
}


def twice(ramp):
    """Double the counts; the exposure must be whole."""
    ramp.data = ramp.data * (2 if ramp.whole is None else 0)
    return ramp


@pytest.mark.parametrize("settings", ALL_AT_ONCE.values(), ids=ALL_AT_ONCE)
def test_what_needs_all_at_once_gets_it(settings, small, tmp_path):
    expected, _, _ = products(small, tmp_path / "whole", **settings)
    found, _, fate = products(small, tmp_path / "parts", 1000, **settings)
    assert not divided(fate)
    assert any("its steps need all of it at once" in line for line in fate.log)
    equal(found, expected)


def test_what_is_saved_behind_the_fit_is_saved_once(small, tmp_path):
    saved = {"steps": {"gain_scale": {"save_results": True, "post_hooks": ["echo"]}}}
    expected, _, _ = products(small, tmp_path / "whole", **saved)
    found, _, fate = products(small, tmp_path / "parts", 1000, **saved)
    assert divided(fate)
    equal(found, expected)


def test_frames_of_irs2_are_seen_together(tmp_path):
    (path,) = make_exposures("nrs_irs2", tmp_path, ngroups=2, nints=2)
    assert parts.divided(Settings().pipeline("nirspec"), outline(path)) is None


def test_a_pipeline_without_a_fit_cannot_be_divided(small):
    def scopes(*settings):
        return parts.divided(Settings(settings).pipeline("nircam"), outline(small[0]))

    before, rows, after = scopes()
    assert [step.alias for step in rows if not step.skip] == ["jump", "ramp_fit"]
    assert [step.alias for step in before][:2] == ["group_scale", "dq_init"]
    assert [step.alias for step in after] == ["gain_scale"]
    assert scopes("stop_after=linearity") is None
    assert scopes("steps.ramp_fit.algorithm=LIKELY") is None
    assert scopes("steps.clean_flicker_noise.skip=false") is None
