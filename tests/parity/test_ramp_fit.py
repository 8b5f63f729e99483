"""Ramp fit gives the official step's numbers, whatever its parameters: on random ramps with flags of every kind."""

import numpy as np
import pytest
from astropy.io import fits

from gpucal import model
from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.reference import References
from gpucal.steps import RampFit
from tests.conftest import header

RATE = ("data", "err", "var_poisson", "var_rnoise", "dq")
CHARGELOSS = GROUP.CHARGELOSS | GROUP.DO_NOT_USE
SHAPE = (12, 15)


@pytest.fixture
def exposure(rng):
    """Make a RampModel of random ramps, a tenth of whose groups are flagged; keywords as in conftest.header."""

    def make(ngroups, nints, zeroframe=False, flags=(1, 4, 4, 4, 32, 5), read_times=None, dark=None, **keywords):
        shape = (nints, ngroups, *SHAPE)
        tree = header(shape, **keywords)
        rate = rng.choice([0.5, 5, 50, 2000], SHAPE)
        tree.data = np.cumsum(rng.normal(rate * 10, np.sqrt(rate * 10 / 2) + 5, shape), axis=1).astype("f4")
        flagged = np.where(rng.random(shape) < 0.1, rng.choice(flags, shape), 0)
        saturated = np.arange(ngroups)[:, None, None] >= rng.choice([0, 1, 2, 3, 5] + [999] * 20, (nints, 1, *SHAPE))
        tree.groupdq = (flagged | saturated * GROUP.SATURATED).astype("u1")
        tree.pixeldq = rng.choice([0] * 20 + [1, 2, 1024], SHAPE).astype("u4")
        if zeroframe:
            tree.zeroframe = np.where(rng.random((nints, *SHAPE)) < 0.1, 0, tree.data[:, 0] * 0.5).astype("f4")
        if dark is not None:
            tree.average_dark_current = np.full(SHAPE, dark, "f4")
        if read_times:
            tree.meta.exposure.read_times = read_times
        return tree

    return make


@pytest.fixture
def references(reference_file, rng):
    """Gain and read noise files, some of whose pixels are bad."""
    gain = rng.normal(2, 0.1, SHAPE).astype("f4")
    noise = rng.normal(8, 1, SHAPE).astype("f4")
    gain[0, :3], noise[1, 0] = (0, -1.5, np.nan), np.nan
    words = {"SUBSIZE1": SHAPE[1], "SUBSIZE2": SHAPE[0], "FASTAXIS": -1, "SLOWAXIS": 2}
    return {name: reference_file(name, data=data, **words) for name, data in (("gain", gain), ("readnoise", noise))}


@pytest.fixture
def both(official, references, host, tmp_path):
    """Fit an exposure with both; return the products of each, and the folder with the official optional product."""

    def run(exposure, **parameters):
        ours = RampFit(**parameters).run(model.open(exposure.copy(), host), References(host, references))[0]
        step = official.pipeline("Detector1Pipeline", references).ramp_fit
        step.output_dir = str(tmp_path)
        for name, value in parameters.items():
            setattr(step, name, value)
        official.silence()
        exposure.meta.filename = "exposure_ramp.fits"
        return ours, step.run(exposure)

    return run


def assert_same(ours, theirs, names=RATE):
    for name in names:
        np.testing.assert_array_equal(to_host(getattr(ours, name)), getattr(theirs, name), err_msg=name)


PARAMETERS = [{}, {"suppress_one_group": False}, {"firstgroup": 1}, {"lastgroup": 3}, {"firstgroup": 1, "lastgroup": 4}]
SHALLOW = {"nframes": 4, "groupgap": 1, "frame_time": 2.0, "group_time": 10.0}
MIRI = {"instrument": "MIRI", "detector": "MIRIMAGE", "filter": "F770W", "exp_type": "MIR_IMAGE"}


@pytest.mark.parametrize(
    ("ngroups", "nints", "parameters"),
    [(6, 2, p) for p in PARAMETERS] + [(n, k, p) for n, k in ((2, 3), (1, 2), (70, 1)) for p in PARAMETERS[:2]],
    ids=str,
)
def test_least_squares(exposure, both, ngroups, nints, parameters):
    ours, theirs = both(exposure(ngroups, nints, zeroframe=True, dark=0.3, **SHALLOW), **parameters)
    for mine, other in zip(ours, theirs, strict=True):
        assert_same(mine, other)


@pytest.mark.parametrize("suppress_one_group", [True, False])
@pytest.mark.parametrize("nints", [1, 3])
def test_read_noise_where_charge_has_migrated(exposure, both, nints, suppress_one_group):
    tree = exposure(7, nints, zeroframe=True, flags=(1, 4, CHARGELOSS, CHARGELOSS, CHARGELOSS | 4, 128), **SHALLOW)
    for mine, other in zip(*both(tree, suppress_one_group=suppress_one_group), strict=True):
        assert_same(mine, other)


@pytest.mark.parametrize("suppress_one_group", [True, False])
@pytest.mark.parametrize("case", [SHALLOW, SHALLOW | MIRI, {}], ids=["averaged", "miri", "single"])
def test_optional_results(exposure, both, tmp_path, case, suppress_one_group):
    tree = exposure(9, 2, zeroframe=True, **case)
    if "instrument" in case:
        tree.groupdq[:, [0, -1]] |= GROUP.DO_NOT_USE
    ours, theirs = both(tree, save_opt=True, suppress_one_group=suppress_one_group)
    for mine, other in zip(ours, theirs, strict=True):
        assert_same(mine, other)
    with fits.open(tmp_path / "exposure_fitopt.fits") as official:
        for name, extension in ours.optional.arrays.items():
            array = getattr(ours.optional, name)
            np.testing.assert_array_equal(to_host(array), official[extension].data, err_msg=name)


def test_optional_results_without_a_jump(exposure, both, tmp_path):
    ours, _ = both(exposure(4, 2, flags=(0,)), save_opt=True, opt_name="other.fits")
    with fits.open(tmp_path / "other_fitopt.fits") as official:
        assert ours.optional.crmag.shape[::-1] == tuple(official["CRMAG"].header[f"NAXIS{n}"] for n in (1, 2, 3, 4))
    ours.optional.save(tmp_path / "ours_fitopt.fits")
    with fits.open(tmp_path / "ours_fitopt.fits") as mine, fits.open(tmp_path / "other_fitopt.fits") as official:
        assert [hdu.header for hdu in mine[1:-1]] == [hdu.header for hdu in official[1:-1]]


UNEVEN = [[1.0], [11.0, 12.0], [21.0, 22.0, 23.0], [40.0, 41.0], [60.0], [61.0, 62.0, 63.0, 64.0]]


@pytest.mark.parametrize(
    ("ngroups", "nints", "options"),
    [
        pytest.param(6, 1, {}, id="single reads"),
        pytest.param(6, 3, SHALLOW, id="averaged reads"),
        pytest.param(6, 2, SHALLOW | {"zeroframe": True}, id="zero frame"),
        pytest.param(9, 2, {"zeroframe": True}, id="zero frame of single reads"),
        pytest.param(4, 4, SHALLOW, id="fewest groups"),
        pytest.param(12, 70, {"dark": 0.3}, id="many integrations"),
        pytest.param(70, 1, SHALLOW, id="many groups"),
        pytest.param(25, 2, MIRI, id="miri"),
        pytest.param(6, 2, {"read_times": UNEVEN}, id="uneven groups"),
    ],
)
def test_likelihood(exposure, both, tmp_path, ngroups, nints, options):
    """Of two or three differences that contradict each other rounding chooses one, and powers round differently.

    So a few pixels with little that is usable may differ, 1 % of these ramps, flagged far more than real ones.
    """
    tree = exposure(ngroups, nints, **options)
    algorithm = "OLS_C" if "read_times" in options else "LIKELY"
    few = (np.lib.stride_tricks.sliding_window_view(tree.groupdq != 0, 2, axis=1).any(axis=-1) == 0).sum(axis=1) <= 3
    ours, theirs = both(tree, algorithm=algorithm, save_opt=True)
    for mine, other, lottery in zip(ours, theirs, (few.any(axis=0), few), strict=True):
        for name in RATE:
            a, b = to_host(getattr(mine, name)), np.asarray(getattr(other, name))
            same = (a == b) | (np.isnan(a) & np.isnan(b)) if name != "dq" else a == b
            assert same[~lottery].all(), name
            assert same.mean() > 0.99, name
    with fits.open(tmp_path / "exposure_likely_chisq.fits") as official:
        same = np.isclose(to_host(ours.optional.data), official["SCI"].data, rtol=1e-5, atol=1e-6, equal_nan=True)
        assert same[~few.any(axis=0)].all()


def test_likelihood_of_too_few_groups_is_least_squares(exposure, both):
    for mine, other in zip(*both(exposure(3, 2), algorithm="LIKELY"), strict=True):
        assert_same(mine, other)
