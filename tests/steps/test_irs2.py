"""IRS2: where samples lie in time, and that drifts injected into the reference samples are removed from the others."""

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP, PIXEL
from gpucal.errors import InputError, ReferenceFileError
from gpucal.irs2 import Readout, bad_samples, correction, geometry, reference_output, spectrum
from gpucal.irs2.weights import Weights, weights
from gpucal.sample.orientation import irs2_normal
from gpucal.steps import Ipc, Refpix, Saturation, Superbias

ROWS, LINES, SLOTS = 3200, 2048, 712
READOUTS = {"NRS1": Readout(reverse=False), "NRS2": Readout(reverse=True)}
WORDS = {"instrument": "NIRSPEC", "subarray": "FULL", "xstart": 1, "ystart": 1, "noutputs": 5}
WORDS |= {"nrs_normal": 16, "nrs_reference": 4}
FREQUENCIES = LINES // 2 + 1, SLOTS
EITHER = pytest.mark.parametrize("detector", READOUTS)


# -- geometry


@EITHER
def test_normal_rows_are_those_of_the_simulation(detector):
    readout = READOUTS[detector]
    np.testing.assert_array_equal(readout.is_normal, irs2_normal(detector))
    np.testing.assert_array_equal(readout.normal, np.flatnonzero(irs2_normal(detector)))


def test_samples_of_a_line_follow_each_other_with_gaps_for_stepping_out_and_back():
    readout = READOUTS["NRS1"]
    slots = readout.slots[readout.order]
    assert (np.diff(slots, axis=1) > 0).all()
    first = [*range(8), *range(9, 13), *range(14, 30), *range(31, 35), *range(36, 44)]
    assert slots[0, : len(first)].tolist() == first
    assert slots.max() == 703  # and 8 samples to the next line


def test_outputs_take_turns_in_their_direction():
    order = READOUTS["NRS1"].order
    assert order[:, 0].tolist() == [639, 640, 1919, 1920, 3199]
    np.testing.assert_array_equal(READOUTS["NRS2"].order, 3199 - order)
    np.testing.assert_array_equal(READOUTS["NRS2"].columns(np.arange(2)), [2047, 2046])


@EITHER
def test_four_reference_samples_are_two_pairs_of_either_parity(detector):
    readout = READOUTS[detector]
    parity = readout.odd[readout.across[2]]  # of the detector's columns
    assert parity[:14].tolist() == [0, 1] * 4 + [0, 0, 1, 1] + [0, 1]
    assert readout.is_interleaved[readout.pairs].all()
    assert readout.is_interleaved[readout.pairs + 1].all()
    assert readout.pairs.size * 2 == readout.is_interleaved.sum() == 640


# -- transforms


def test_spectrum_in_two_parts_is_the_spectrum(rng, backend):
    samples = rng.standard_normal((2, 16, 22)).astype("f4")
    ours = spectrum.spectrum(backend.upload(samples))
    direct = spectrum.arranged(np.fft.fft(samples.reshape(2, -1)), 16)
    np.testing.assert_allclose(to_host(ours), direct, atol=1e-5)
    np.testing.assert_allclose(to_host(spectrum.series(ours, 16)), samples, atol=1e-6)


def test_columns_can_go_into_several_slots(rng, backend):
    columns = rng.standard_normal((8, 3)).astype("f4")
    slots = np.array([0, 2, 2, 1, 0])
    ours = spectrum.spectrum(backend.upload(columns), backend.upload(slots))
    direct = spectrum.spectrum(columns[:, slots])
    np.testing.assert_allclose(to_host(ours), direct, atol=1e-6)


# -- kernels


def test_gaps_are_filled_by_scipys_convolution(rng, backend):
    samples = rng.normal(0, 20, 500).astype("f4")
    samples[rng.random(500) < 0.3] = 0
    samples[200:260] = 0
    bell = reference_output.bell()
    total = convolve1d(samples, bell.astype("f4"), mode="wrap")
    weight = convolve1d((samples != 0).astype("f4"), bell.astype("f4"), mode="wrap")
    mean = np.where(weight == 0, 0, total) / np.where(weight == 0, np.float32(1), weight)
    filled = backend.xp.empty(500, "f4")
    reference_output.fill_gaps(backend.upload(samples), backend.upload(bell), filled)
    np.testing.assert_array_equal(to_host(filled), np.where(samples == 0, mean, samples))


@pytest.mark.parametrize("reverse", [False, True])
def test_backends_agree_bit_for_bit_on_small_frames(rng, host, reverse):
    """6 rows of 32 columns, read by two outputs in 9 slots."""
    ramp = rng.normal(1000, 30, (3, 6, 32)).astype("f4")
    ramp[:, 2, :5] = 7
    order, slots = np.array([[2, 1, 0], [3, 4, 5]], "i4"), np.array([8, 3, 0, 0, 4, 8], "i4")
    source = np.array([[2, -1, 1, 1, 0], [3, 4, -1, -1, 5]], "i4")
    own, output, own_weights, output_weights = (
        rng.standard_normal((*n, 4, 5, 2)).astype("f4") for n in ([2], [], [2], [2])
    )
    results = []
    for call in (lambda kernel: kernel.twin, lambda kernel: kernel):
        mean, lines = np.empty((6, 32)), np.empty((3, 2, 2), "f4")
        call(correction.average_groups)(ramp, mean)
        scratch = np.empty((2, 3, 2, 24), "f4")
        call(correction.fit_lines)(ramp, mean, order, slots, *scratch, lines, nslots=9, edge=4, reverse=reverse)
        in_time = np.empty((2, 32, 5), "f4")
        call(correction.order_in_time)(ramp[1], mean, lines[1], source, slots, in_time, per_line=9, reverse=reverse)
        series = rng.__class__(np.random.PCG64(1)).standard_normal((1, 32, 9)).astype("f4")
        frame = np.zeros((2, 32), "f4")
        rows, places, with_mean = np.array([[3, 5]], "i4"), np.array([[1, 0]], "i4"), np.array([[1, 0]], "u1")
        call(correction.subtract_series)(
            ramp[2], mean, lines[2], slots, series, rows, places, with_mean, frame, reverse=reverse
        )
        mixed = own.copy()
        call(correction.mix_spectra)(mixed, output, own_weights, output_weights)
        results.append((mean, lines, in_time, frame, mixed))
    for twin, compiled in zip(*results, strict=True):
        np.testing.assert_array_equal(compiled, twin)
    assert np.isfinite(results[0][1]).all()


def test_line_is_the_least_squares_line(backend):
    """The signal is the line itself; the first group has the opposite of the second."""
    readout = READOUTS["NRS1"]
    times = np.arange(LINES)[None] * SLOTS + readout.slots[:, None] - (LINES * SLOTS - 1) / 2
    line = 2.0 + 1e-5 * times
    ramp = backend.upload(np.array([100 - line, 100 + line], "f4"))
    mean, lines = backend.xp.empty((ROWS, LINES)), backend.xp.empty((2, 5, 2), "f4")
    correction.average_groups(ramp, mean)
    tables = (backend.upload(table) for table in (readout.order, readout.slots))
    scratch = (backend.xp.empty((2, 5, 8 * 640), "f4") for _ in range(2))
    correction.fit_lines(ramp, mean, *tables, *scratch, lines, nslots=SLOTS, edge=4, reverse=False)
    np.testing.assert_allclose(to_host(lines)[1, :, 0], 2, rtol=1e-3)
    np.testing.assert_allclose(to_host(lines)[:, :, 1], [[-1e-5] * 5, [1e-5] * 5], rtol=1e-3)


def test_statistics_of_pairs_are_numpys(rng, backend):
    ramp = rng.normal(0, 10, (2, 7, 8, LINES)).astype("f4")
    results = [backend.xp.empty((2, 2), "f4") for _ in range(3)]
    bad_samples.measure_pairs(backend.upload(ramp), backend.upload(np.array([1, 5], "i4")), *results)
    for i, row in ((0, 1), (1, 5)):
        for integration in range(2):
            both = ramp[integration, :, row : row + 2]
            expected = np.abs(both[:, 1] - both[:, 0]).mean(), both.mean(), both.std()
            assert tuple(to_host(r)[integration, i] for r in results) == expected


# -- the correction of whole frames


def drifting(readout, drift):
    """The samples of a drift over time, (lines, slots), in the places of a frame."""
    at = np.arange(LINES)
    return drift[readout.columns(at)[None], readout.slots[:, None]]


def flat_weights(device, output, own):
    return Weights(*(device.xp.full((4, *FREQUENCIES), value, "c8") for value in (output, own)))


@EITHER
def test_drift_of_the_reference_output_is_removed_from_all_amplifiers(make_ramp, host, detector):
    """A sine of 50 periods per frame, of opposite sign in both groups; light where there are no reference lines."""
    readout = READOUTS[detector]
    time = np.arange(LINES * SLOTS).reshape(LINES, SLOTS) / (LINES * SLOTS)
    drift = drifting(readout, 20 * np.sin(2 * np.pi * 50 * time + 0.3))  # never 0: that would be taken for missing
    truth = np.zeros((2, ROWS, LINES))
    truth[1, readout.normal, 4:-4] = 100
    data = np.stack([truth[0] + drift, truth[1] - drift])[None]
    exposure = make_ramp(host, data, detector=detector, **WORDS)
    correction.subtract_drifts(exposure, flat_weights(host, 1, 0), readout, preserve=False)
    assert exposure.shape == (1, 2, 2048, 2048)
    assert exposure.groupdq.shape == exposure.shape
    assert exposure.pixeldq.shape == (2048, 2048)
    remains = exposure.data[0] - truth[:, readout.normal]
    assert np.abs(remains).max() < 0.02


@EITHER
def test_own_reference_samples_are_weighed_for_the_normal_pixels_beside_them(make_ramp, host, detector):
    """With the weight 1 at all frequencies the samples are subtracted where they are put: next to an interruption."""
    readout = READOUTS[detector]
    data = np.zeros((1, 2, ROWS, LINES))
    some, other = readout.order[2, 8], readout.order[2, 11]  # the first and the last sample of an interruption
    data[0, 1, some, 9:2000], data[0, 1, other, 9:2000] = 10, 30
    exposure = make_ramp(host, data, detector=detector, **WORDS)
    correction.subtract_drifts(exposure, flat_weights(host, 0, 1), readout, preserve=True)
    expected = np.zeros((2, ROWS, LINES))
    for sign, group in ((1, 0), (-1, 1)):
        expected[group, readout.order[2, 7], 9:2000] = 5 * sign
        expected[group, readout.order[2, 12], 9:2000] = 15 * sign
    result = exposure.data[0]
    np.testing.assert_allclose(result[:, readout.normal], expected[:, readout.normal], atol=1e-4)
    assert np.abs(result[:, :, :9]).max() < 1e-4


def test_exposure_of_one_group_keeps_its_counts(make_ramp, host, rng):
    """The mean over the groups is all there is."""
    data = rng.normal(100, 10, (1, 1, ROWS, LINES)).astype("f4")
    exposure = make_ramp(host, data, detector="NRS1", **WORDS)
    correction.subtract_drifts(exposure, flat_weights(host, 1, 1), READOUTS["NRS1"], preserve=False)
    np.testing.assert_array_equal(exposure.data[0, 0], data[0, 0, READOUTS["NRS1"].normal])


# -- bad reference samples


@pytest.fixture
def frame(make_ramp, host, rng):
    """An exposure of one group whose rows count up."""

    def make(detector="NRS1", **options):
        data = np.arange(ROWS)[:, None] + rng.normal(0, 1, (ROWS, LINES))
        return make_ramp(host, data[None, None], detector=detector, **WORDS | options)

    return make


def test_noisy_and_high_pairs_are_flagged_whole(frame, rng):
    exposure, readout = frame(), READOUTS["NRS1"]
    noisy, high, different = readout.pairs[[1, 2, 4], [7, 9, 11]]
    exposure.data[0, 0] -= np.arange(ROWS)[:, None]
    exposure.data[0, 0, noisy : noisy + 2] += rng.normal(0, 20, LINES)
    exposure.data[0, 0, high : high + 2] += 500
    exposure.data[0, 0, different] += 40
    bad = bad_samples.flag_bad_samples(exposure, readout, 5.0)
    assert {noisy, noisy + 1, high, high + 1, different, different + 1} <= set(np.flatnonzero(bad))
    assert bad.sum() < 20
    flagged = exposure.pixeldq & PIXEL.BAD_REF_PIXEL != 0
    np.testing.assert_array_equal(flagged, np.broadcast_to(bad[:, None], flagged.shape))
    assert (exposure.pixeldq[bad] & PIXEL.DO_NOT_USE != 0).all()


def test_flag_of_one_pixel_makes_its_row_bad(frame):
    exposure = frame()
    exposure.pixeldq[648, 100] = BITS["BAD_REF_PIXEL"]
    assert bad_samples.flag_bad_samples(exposure, READOUTS["NRS1"], 1e9).nonzero()[0].tolist() == [648]


def test_bad_samples_are_replaced_by_the_best_there_is(frame):
    exposure, readout = frame(), READOUTS["NRS1"]
    before = exposure.data[0, 0].copy()
    bad = np.zeros(ROWS, bool)
    # The mean of both; the only one; the neighbour two rows on; nothing. 648 to 651 are the first of output 1.
    bad[[728, 648, 1268, 1248, 1288]] = True
    bad[[2568, 2570, 2588, 2590]] = True
    bad_samples.replace_bad_samples(exposure, bad, readout)
    after = exposure.data[0, 0]
    np.testing.assert_array_equal(after[728], (before[708] + before[748]) / 2)
    np.testing.assert_array_equal(after[648], before[668])
    np.testing.assert_array_equal(after[1268], before[1270])
    np.testing.assert_array_equal(after[2568], np.zeros(LINES))
    np.testing.assert_array_equal(after[2590], before[2610])
    good = ~bad
    np.testing.assert_array_equal(after[good], before[good])


@EITHER
def test_listed_samples_are_replaced(frame, make_reference, host, detector):
    """Output 2, first pair, fourth interruption: even outputs count their pairs backwards."""
    exposure, readout = frame(detector), READOUTS[detector]
    before = exposure.data[0, 0].copy()
    bad_samples.replace_listed_samples(exposure, Listed([(2, 1, 0b1000)]), readout)
    columns = 1280 + 8 + 60 + 2 + np.arange(2)
    rows = 3199 - columns if detector == "NRS2" else columns
    after = exposure.data[0, 0]
    np.testing.assert_array_equal(after[rows], (before[rows - 20] + before[rows + 20]) / 2)
    assert (after != before).any(axis=1).sum() == 2
    assert not exposure.pixeldq.any()


class Listed:
    """Of a REFPIX reference the table of bad samples."""

    def __init__(self, rows):
        self.tables = {"DQ": np.array(rows, [("OUTPUT", "u2"), ("ODD_EVEN", "u2"), ("MASK", "u4")])}

    def table(self, name):
        return self.tables[name]


def test_levels_of_outputs_and_parities_are_removed_first(frame):
    exposure, readout = frame("NRS2"), READOUTS["NRS2"]
    levels = np.arange(10) * 7.0
    exposure.data[0, 0] = levels[readout.outputs * 2 + readout.odd][:, None]
    exposure.pixeldq[:5] = PIXEL.DO_NOT_USE
    Refpix()._subtract_levels(exposure, readout)
    assert not exposure.data.any()


# -- steps of frames with interleaved rows


def test_saturation_looks_at_normal_rows_alone_and_spreads_over_what_lies_between(ramp, reference):
    data = np.full((1, 3, ROWS, LINES), 100.0, "f4")
    normal = READOUTS["NRS1"].normal
    data[0, 1, normal[8], 50] = 2000  # the first pixel behind an interruption
    data[0, 1, normal[8] - 1, 60] = 2000  # a reference sample
    data[0, 0, normal[8], 70] = data[0, 0, normal[8] - 1, 70] = 0
    saturation = reference("saturation", data=np.full((LINES, LINES), 1000, "f4"), SUBSTRT1=1, SUBSTRT2=1)
    exposure = Saturation().process(ramp(data, detector="NRS1", **WORDS), saturation)
    flags = to_host(exposure.groupdq)[0]
    expected = np.zeros_like(flags)
    expected[1:, normal[7:10], 49:52] = GROUP.SATURATED
    expected[0, normal[8], 70] = GROUP.AD_FLOOR | GROUP.DO_NOT_USE
    np.testing.assert_array_equal(flags, expected)


def test_hidden_jump_into_saturation_saturates_the_second_group_and_its_neighbours(ramp, reference):
    data = np.full((1, 4, ROWS, LINES), 100.0, "f4")
    row = READOUTS["NRS2"].normal[1000]
    data[0, :, row, 50] = 100, 400, 2000, 2000
    saturation = reference("saturation", data=np.full((LINES, LINES), 1000, "f4"), SUBSTRT1=1, SUBSTRT2=1)
    exposure = Saturation().process(ramp(data, detector="NRS2", nframes=5, **WORDS), saturation)
    flags = to_host(exposure.groupdq)[0, :, READOUTS["NRS2"].normal[999:1002], 49:52]
    assert (flags == np.array([0, 2, 2, 2])[None, :, None]).all()


@pytest.mark.parametrize("nframes", [0, 5])
@pytest.mark.parametrize("grow", [0, 1, 2])
def test_backends_agree_bit_for_bit_on_saturation(rng, host, nframes, grow):
    from gpucal.steps import saturation

    ramp = rng.choice(np.array([0, 100, 400, 900, 2000], "f4"), (2, 4, 12, 40), p=[0.05, 0.5, 0.3, 0.1, 0.05])
    ramp.sort(axis=1)
    threshold, rows = rng.uniform(500, 3000, (7, 40)).astype("f4"), np.array([1, 2, 3, 6, 7, 8, 11], "i4")
    bias = rng.uniform(0, 90, (12, 40)).astype("f4")
    results = []
    for call in (lambda kernel: kernel.twin, lambda kernel: kernel):
        flags, first, hidden = np.zeros(ramp.shape, "u1"), np.empty((2, 7, 40), "u2"), np.empty((2, 7, 40), "u1")
        call(saturation.find_irs2_saturation)(ramp, flags, threshold, bias, rows, first, hidden, nframes=nframes)
        call(saturation.flag_irs2_saturation)(flags, rows, first, hidden, grow=grow)
        results.append((flags, first, hidden))
    assert results[0][2].any() == (nframes > 0)
    for twin, compiled in zip(*results, strict=True):
        np.testing.assert_array_equal(compiled, twin)


@EITHER
def test_ipc_convolves_the_normal_rows_as_if_nothing_lay_between(make_ramp, make_reference, host, rng, detector):
    data = rng.integers(0, 100, (1, 1, ROWS, LINES)).astype("f4")
    normal = READOUTS[detector].normal
    kernel = make_reference(host, "ipc", data=np.arange(1.0, 10).reshape(3, 3))
    exposure = Ipc().process(make_ramp(host, data, detector=detector, **WORDS), kernel)
    words = WORDS | {"detector": detector, "nrs_normal": None}
    packed = Ipc().process(make_ramp(host, data[:, :, normal], **words), kernel)
    np.testing.assert_array_equal(exposure.data[:, :, normal], packed.data)
    between = np.delete(np.arange(ROWS), normal)
    np.testing.assert_array_equal(exposure.data[:, :, between], data[:, :, between])


# -- what is refused


@pytest.mark.parametrize(("rows", "mine"), [(LINES, ROWS), (ROWS, LINES)])
def test_superbias_with_or_without_interleaved_rows_is_refused_with_both_sizes(
    make_ramp, reference_file, references, host, rows, mine
):
    path = reference_file("superbias", data=np.zeros((rows, LINES), "f4"), SUBSTRT1=1, SUBSTRT2=1)
    exposure = make_ramp(host, (1, 1, mine, LINES), detector="NRS1", **WORDS)
    with pytest.raises(ReferenceFileError, match=rf"has {rows} rows, exposure.fits has {mine}"):
        Superbias(override_superbias=str(path)).run(exposure, references())


def test_reference_for_a_later_step_with_interleaved_rows_is_refused(reference, ramp):
    linearity = reference("linearity", coeffs=np.zeros((2, ROWS, 1), "f4"))
    with pytest.raises(ReferenceFileError, match=r"has 3200 rows, exposure\.fits has 2048"):
        geometry.require_rows(linearity, ramp((1, 1, LINES, 1)))
    with pytest.raises(ReferenceFileError, match="has 3200 rows, expected 2048"):
        geometry.require_rows(linearity, ramp((1, 1, ROWS, 1)))


def test_frames_without_refpix_reference_are_refused(make_ramp, references, host):
    exposure = make_ramp(host, (1, 1, ROWS, LINES), detector="NRS1", **WORDS)
    with pytest.raises(
        ReferenceFileError, match=r"no refpix reference for exposure\.fits, which the IRS2 readout needs"
    ):
        Refpix().run(exposure, references(refpix="N/A"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"detector": "NRCA1"}, "3200 x 2048 pixels of NRCA1 are no known readout"),
        ({"nrs_normal": None}, "keyword NRS_NORM is missing"),
        ({"nrs_reference": 8}, "NRS_NORM 16 and NRS_REF 8 are not 16 and 4"),
    ],
)
def test_unknown_readout_is_refused(make_ramp, host, words, message):
    with pytest.raises(InputError, match=message):
        Readout.of(make_ramp(host, (1, 1, ROWS, LINES), **WORDS | {"detector": "NRS1"} | words))


def test_weights_of_another_number_are_refused():
    class Short:
        path = "refpix.fits"

        def made(self, key, make):
            return make()

        def table(self, name):
            return np.zeros(10)

    with pytest.raises(ReferenceFileError, match=r"refpix\.fits: IRS2 has 10 rows, expected 2916352"):
        weights(Short())
