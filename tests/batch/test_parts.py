"""An exposure larger than memory is calibrated in parts, with the result of the whole."""

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal.batch import parts
from gpucal.sample import make_exposures, make_references
from gpucal.settings import Settings

CASES = {
    "mir_sub64": {"ngroups": 6, "nints": 5},  # other groups to skip, and another dark, in the first integration
    "mir_full": {"ngroups": 4, "nints": 2},  # reference pixels at both sides
    "nrc_sub160": {"ngroups": 5, "nints": 3},  # reference pixels at the lower edge, in the first group's precision
    "nrc_sub64p": {"ngroups": 3, "nints": 101},  # outliers are clipped along the integrations
}


@pytest.fixture(scope="module", params=CASES)
def exposure(request, tmp_path_factory):
    """(path, references, shape) of an exposure with many hits."""
    folder = tmp_path_factory.mktemp("parts")
    (path,) = make_exposures(request.param, folder, seed=5, cr_rate=1e-3, **CASES[request.param])
    make_references(request.param, folder / "refs", **CASES[request.param])
    return path, folder / "refs", fits.getdata(path).shape


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


@pytest.mark.parametrize("share", [3])
def test_the_parts_make_the_whole(exposure, share, tmp_path):
    expected, headers, whole = products(exposure, tmp_path / "whole")
    memory = parts.need(exposure[2]) // share * parts.SHARE  # so that a part is one in `share`
    needed = parts.need(exposure[2])
    if memory >= needed:
        memory = needed - 1
    found, mine, fate = products(exposure, tmp_path / "parts", memory)
    assert any("calibrated in parts" in line for line in fate.log)
    assert [outcome[:3] for outcome in fate.outcomes] == [outcome[:3] for outcome in whole.outcomes]
    assert found.keys() == expected.keys()
    for name, pixels in expected.items():
        np.testing.assert_array_equal(found[name], pixels, err_msg=str(name))
    assert mine == headers


def test_single_rows_and_integrations_will_do(exposure, tmp_path):
    if exposure[2][2] > 200:
        pytest.skip("a thousand rows one by one take long")
    expected, _, _ = products(exposure, tmp_path / "whole")
    found, _, _ = products(exposure, tmp_path / "parts", 1000)
    for name, pixels in expected.items():
        np.testing.assert_array_equal(found[name], pixels, err_msg=str(name))


def test_steps_that_need_all_at_once_get_it(exposure, tmp_path):
    if exposure[2][2] > 200:
        pytest.skip("one small exposure suffices")
    showers = {"jump": {"find_showers": True}}
    expected, _, _ = products(exposure, tmp_path / "whole", steps=showers)
    found, _, fate = products(exposure, tmp_path / "parts", 1000, steps=showers)
    assert any("its steps need all of it at once" in line for line in fate.log)
    for name, pixels in expected.items():
        np.testing.assert_array_equal(found[name], pixels, err_msg=str(name))


def test_nothing_is_left_of_the_temporary_file(exposure, tmp_path):
    _, _, fate = products(exposure, tmp_path, 1000 if exposure[2][2] < 200 else parts.need(exposure[2]) - 1)
    assert sorted(tmp_path.iterdir()) == sorted(fate.products)


def test_a_pipeline_without_a_fit_cannot_be_divided():
    def scopes(*settings):
        return parts.divided(Settings(settings).pipeline("nircam"))

    before, rows, after = scopes()
    assert [step.alias for step in rows if not step.skip] == ["jump", "ramp_fit"]
    assert [step.alias for step in before][:2] == ["group_scale", "dq_init"]
    assert [step.alias for step in after] == ["gain_scale"]
    assert scopes("stop_after=linearity") is None
    assert scopes("steps.ramp_fit.algorithm=LIKELY") is None
    assert scopes("steps.clean_flicker_noise.skip=false") is None
