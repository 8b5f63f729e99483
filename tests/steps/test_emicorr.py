"""EMI: a wave that was put into ramps is found and taken out again."""

import functools

import numpy as np
import pytest

from gpucal import params
from gpucal.device import to_host
from gpucal.emi.case import Case
from gpucal.emi.sequential import resampled
from gpucal.emi.spline import PeriodicWave
from gpucal.errors import ConfigError, InputError, ReferenceFileError, Skip
from gpucal.reference import Reference, References
from gpucal.steps import Emicorr

ROW, FRAME, PERIOD = 28, 8512, 240.0  # clocks
FREQUENCY = 1e5 / PERIOD  # Hz
SHAPE = 20, 16  # pixels
MIRI = {
    "instrument": "MIRI", "detector": "MIRIMAGE", "subarray": "SUB64", "readpatt": "FASTR1", "xstart": 1, "ystart": 779,
}  # fmt: skip
HALF_BIN = np.pi / 120  # of the amplitude: how much the wave changes over half a bin of the phase
KNOWN = np.sin(2 * np.pi * (np.arange(120) + 0.5) / 120)
WAVE = "Hz417", FREQUENCY, KNOWN


def cycles(nints, ngroups, again=True, period=PERIOD):
    """The cycles from the first pixel to each quad of pixels: (nints, ngroups, ny, nx / 4)."""
    ny, nx = SHAPE
    integration, group, y, x = np.ogrid[:nints, :ngroups, :ny, : nx // 4]
    frames = integration * ngroups + group
    clock = frames * (ny * ROW + (1024 - ny) * 7) + integration * (FRAME if again else 0) + y * ROW + x
    return clock / period


def spoilt(ngroups, nints=1, amplitude=30.0, phase=0.2, again=True, noise=0.0, seed=1):
    """Ramps of various slopes with a wave on them, and the ramps without it."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(20, 25, SHAPE)
    ramps = np.empty((nints, ngroups, *SHAPE))
    ramps[...] = 10000 + rate * np.arange(ngroups)[:, None, None]
    ramps += rng.normal(0, noise, ramps.shape) if noise else 0
    wave = amplitude * np.sin(2 * np.pi * (cycles(nints, ngroups, again) + phase))
    return ramps + np.repeat(wave, 4, axis=-1), ramps


@pytest.fixture
def exposure(ramp):
    """A MIRI exposure."""
    return functools.partial(ramp, **MIRI)


@pytest.fixture
def run(backend):
    """Run the step with a reference file."""

    def go(exposure, path, **parameters):
        reference = Reference(path, "emicorr", None, backend) if path else None
        return Emicorr(skip=False, **parameters).process(exposure, reference)

    return go


# -- the wave between its samples


def test_pieces_are_the_spline(rng):
    shape = rng.normal(size=37)
    wave = PeriodicWave(shape)
    np.testing.assert_allclose(wave(wave.samples), shape, rtol=0, atol=1e-14)
    pieces = wave.pieces()
    phase = rng.random(500)
    at = phase * 37 + 0.5
    index = at.astype(int)
    value = sum(pieces[index, k] * (at - index) ** k for k in range(4))
    np.testing.assert_allclose(value, wave(phase), rtol=0, atol=1e-13)


# -- joint


@pytest.mark.parametrize("readpatt", ["FASTR1", "FAST"])
def test_wave_is_taken_out_of_all_integrations(exposure, emi_file, run, readpatt):
    data, clean = spoilt(6, nints=3, again=readpatt == "FASTR1")
    result = run(exposure(data, readpatt=readpatt), emi_file([WAVE]))
    assert np.abs(data - clean).max() > 29
    assert np.abs(to_host(result.data) - clean).max() < 30 * HALF_BIN


def test_three_groups_are_enough(exposure, emi_file, run):
    data, clean = spoilt(3)
    assert np.abs(to_host(run(exposure(data), emi_file([WAVE])).data) - clean).max() < 30 * HALF_BIN


def test_integrations_may_differ_where_they_are_fitted_separately(exposure, emi_file, run):
    data, clean = spoilt(6, nints=2)
    data[1] = spoilt(6, nints=2, amplitude=5.0, phase=0.7)[0][1]
    apart = run(exposure(data), emi_file([WAVE]), fit_ints_separately=True)
    together = run(exposure(data), emi_file([WAVE]))
    assert np.abs(to_host(apart.data) - clean).max() < 30 * HALF_BIN
    assert np.abs(to_host(together.data) - clean).max() > 2


def test_flagged_and_noisy_pixels_do_not_count(exposure, emi_file, run):
    data, clean = spoilt(6)
    flags = np.zeros(SHAPE, "u4")
    flags[3, 5], data[0, 3:, 3, 5] = 4, 1e6
    data[0, :, 7, 8] += [0, 9000, -9000, 0, 30000, 7]
    result = to_host(run(exposure(data, pixeldq=flags), emi_file([WAVE])).data)
    result[0, :, [3, 7], [5, 8]] = clean[0, :, [3, 7], [5, 8]]
    assert np.abs(result - clean).max() < 30 * HALF_BIN


def test_ramps_without_interference_stay(exposure, emi_file, run):
    _, clean = spoilt(6)
    assert np.abs(to_host(run(exposure(clean), emi_file([WAVE])).data) - clean).max() < 0.01


def test_several_waves_are_taken_out_one_after_the_other(exposure, emi_file, run):
    data, clean = spoilt(12, nints=2)
    slow = 8 * np.sin(2 * np.pi * cycles(2, 12, period=1e5 / 33.3))
    result = run(exposure(data + np.repeat(slow, 4, axis=-1)), emi_file([WAVE, ("Hz33", 33.3, KNOWN)]))
    assert np.abs(to_host(result.data) - clean).max() < 1


# -- sequential


@pytest.mark.parametrize("parameters", [{}, {"use_n_cycles": None}, {"nints_to_phase": 2}, {"nbins": 60}])
def test_residuals_tell_the_wave_too(exposure, emi_file, run, parameters):
    data, clean = spoilt(20, nints=2, noise=1.0)
    result = run(exposure(data), emi_file([WAVE]), algorithm="sequential", **parameters)
    left = to_host(result.data) - clean
    assert np.std(data - clean) > 20
    assert np.std(left - left.mean()) < 2.5


def test_reference_may_be_taken_as_it_is(exposure, emi_file, run):
    data, clean = spoilt(20, amplitude=1.0)
    result = run(exposure(data), emi_file([WAVE]), algorithm="sequential", scale_reference=False)
    assert np.std(to_host(result.data) - clean) < 0.1


def test_exposure_can_correct_itself_and_tell_the_wave(exposure, run, backend, tmp_path):
    data, clean = spoilt(20, noise=1.0)
    result = run(exposure(data), None, onthefly_corr_freq=[FREQUENCY], nbins=60, save_intermediate_results=True)
    left = to_host(result.data) - clean
    assert np.std(left - left.mean()) < 2.5
    assert result.meta.ref_file.emicorr.name is None

    (ending, write), path = next(iter(result.beside.items())), tmp_path / "waves.asdf"
    assert ending == "emi_ref_waves.asdf"
    write(path)
    waves = Reference(path, "emicorr", None, backend)
    with pytest.raises(Skip, match="has no case for SUB64 FASTR1 MIRIMAGE"):
        Case.from_reference(waves, "SUB64", "FASTR1", "MIRIMAGE")  # nor has the official pipeline's own file
    contents = waves.made("emi", dict)
    assert contents["subarray_cases"]["SUB64"]["freqs"]["FASTR1"] == [repr(FREQUENCY)]
    shown = contents["frequencies"][repr(FREQUENCY)]
    assert shown["frequency"] == FREQUENCY
    assert np.ptp(shown["phase_amplitudes"]) == pytest.approx(60, rel=0.1)


def test_three_groups_do_not_tell_a_slope_and_stay(exposure, emi_file, run):
    data, _ = spoilt(3)
    result = run(exposure(data), emi_file([WAVE]), algorithm="sequential")
    np.testing.assert_array_equal(to_host(result.data), data.astype("f4"))


def test_resampling_takes_what_is_at_or_before():
    values = np.arange(4.0)
    assert resampled(values, 2.0).tolist() == [0, 2]
    assert resampled(values, 8).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(resampled(values, 6.5)) == 7


# -- which exposures, which references

SKIPS = {
    "no correction for RAPID": {"readpatt": "RAPID"},
    "emicorr.asdf has no case for SUB256 FASTR1 MIRIMAGE": {"subarray": "SUB256"},
    "emicorr.asdf has no case for SUB64 SLOWR1 MIRIFULONG": {"readpatt": "SLOWR1", "detector": "MIRIFULONG"},
}


@pytest.mark.parametrize("reason", SKIPS)
def test_what_has_no_correction_is_skipped(exposure, emi_file, backend, reason):
    data, _ = spoilt(4)
    shelf = References(backend, {"emicorr": emi_file([WAVE])})
    result, outcome = Emicorr(skip=False).run(exposure(data, **SKIPS[reason]), shelf)
    assert (outcome.status, outcome.reason) == ("SKIPPED", reason)
    np.testing.assert_array_equal(to_host(result.data), data.astype("f4"))


def test_other_instruments_are_skipped(ramp, backend):
    _, outcome = Emicorr(skip=False).run(ramp((1, 5, 4, 4)), References(backend))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "only for MIRI")


def test_slow_readout_has_its_case_by_detector(exposure, emi_file, run):
    data, clean = spoilt(6)
    result = run(exposure(data, readpatt="SLOWR1"), emi_file([WAVE]))
    assert np.abs(to_host(result.data) - clean).max() < 30 * HALF_BIN


def test_step_is_skipped_by_default_without_a_reference_and_with_two_groups(exposure, emi_file, backend):
    assert Emicorr().skip
    data, _ = spoilt(2)
    _, outcome = Emicorr(skip=False).run(exposure(data), References(backend))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no emicorr reference")
    _, outcome = Emicorr(skip=False).run(exposure(data), References(backend, {"emicorr": emi_file([WAVE])}))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "fewer than three groups")
    unknown = exposure(spoilt(4)[0], subarray="SUBPRISM")
    _, outcome = Emicorr(skip=False, onthefly_corr_freq=[100.0]).run(unknown, References(backend))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no clocks of SUBPRISM are known")


def test_deprecated_parameter_names_the_reference(exposure, emi_file, run, tmp_path):
    data, clean = spoilt(6)
    result = run(exposure(data), None, user_supplied_reffile=str(emi_file([WAVE])))
    assert np.abs(to_host(result.data) - clean).max() < 30 * HALF_BIN
    with pytest.raises(InputError, match=r"user_supplied_reffile=nowhere.asdf: no such file"):
        run(exposure(data), None, user_supplied_reffile="nowhere.asdf")


def test_reference_that_names_a_wave_it_lacks_is_refused(exposure, emi_file, run):
    with pytest.raises(ReferenceFileError, match="frequency Hz5 is missing"):
        run(exposure(spoilt(4)[0]), emi_file([WAVE], freqs={"FAST": ["Hz417", "Hz5"]}))


def test_frequencies_are_a_list_of_numbers():
    assert params.build(Emicorr, {"onthefly_corr_freq": [390, 10.5]}).onthefly_corr_freq == [390.0, 10.5]
    with pytest.raises(ConfigError, match=r"onthefly_corr_freq=390: expected a list, each a number or null"):
        params.build(Emicorr, {"onthefly_corr_freq": 390})
    with pytest.raises(ConfigError, match=r"onthefly_corr_freq=often: expected a number"):
        params.build(Emicorr, {"onthefly_corr_freq": ["often"]})


@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
def test_backends_agree(make_ramp, emi_file, same_as_twins, algorithm):
    data, _ = spoilt(7, nints=2, noise=3.0)
    path = emi_file([WAVE])

    def go(device):
        reference = Reference(path, "emicorr", None, device)
        return Emicorr(skip=False, algorithm=algorithm).process(make_ramp(device, data.round(), **MIRI), reference)

    same_as_twins(go)
