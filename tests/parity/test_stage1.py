"""Stage 1 gives the official pipeline's numbers, step by step; here all of them to the last bit."""

import pytest

CASES = (
    "nrc_sub160:6x2:11 nrc_sub160:1x1:12 nrc_sub160:2x3:13 nrc_sub160:3x2:14 nrc_sub160:16x2:15 nrc_sub64p:8x100:16 "
    "nrc_sub64p:14x3:17 nis_sub64:5x6:18 nis_sub64:4x1:19 nrc_subgrism256:4x2:20 mir_sub64:8x3:21 mir_sub64:4x2:22"
).split()


def failures(differences):
    """The differences that miss the bar, in words."""
    return [f"{d.step} {d.array}: {d.count - d.equal} of {d.count}, {d.usual:.1e}" for d in differences if not d.passed]


@pytest.mark.parametrize("case", CASES)
def test_every_step_gives_the_official_numbers(case, parity, tmp_path):
    differences = parity.compare(parity.Case.parse(case), folder=tmp_path)
    assert not failures(differences)
    assert sum(d.count - d.equal for d in differences) == 0


@pytest.mark.parametrize("options", [{"dark": "match"}, {"dark": "short"}, {"ipc_per_pixel": True}, {"plain_dq": True}])
def test_other_kinds_of_references_give_the_official_numbers(options, parity, tmp_path):
    differences = parity.compare(parity.Case("nrc_sub160", 5, 2, 31), folder=tmp_path, **options)
    assert not failures(differences)


@pytest.mark.parametrize("match", ["superbias", "saturation", "linearity", "mask", "gain"])
def test_references_of_the_subarray_itself_give_the_official_numbers(match, parity, tmp_path):
    differences = parity.compare(parity.Case("nis_sub64", 4, 2, 32), folder=tmp_path, match=(match,))
    assert not failures(differences)


SETTINGS = {
    "threshold": {"jump.rejection_threshold": 5.5},
    "no neighbours": {"jump.flag_4_neighbors": False},
    "after jumps": {"jump.after_jump_flag_dn1": 10.0, "jump.after_jump_flag_time1": 1.0},
    "after jumps, twice": {
        "jump.after_jump_flag_dn1": 10.0, "jump.after_jump_flag_time1": 0.6,
        "jump.after_jump_flag_dn2": 1000.0, "jump.after_jump_flag_time2": 1.2,
    },
    "clipping": {"jump.minimum_sigclip_groups": 5},
    "clipping all groups": {"jump.minimum_sigclip_groups": 10, "jump.only_use_ints": False},
    "single pass": {"jump.min_diffs_single_pass": 3},
    "all columns together": {"refpix.odd_even_columns": False},
    "lone groups": {"ramp_fit.suppress_one_group": False},
    "charge migration": {"charge_migration.skip": False, "charge_migration.signal_threshold": 2000.0},
    "some groups": {"ramp_fit.firstgroup": 1, "ramp_fit.lastgroup": 4},
    "no growth": {"saturation.n_pix_grow_sat": 0},
    "more growth": {"saturation.n_pix_grow_sat": 3},
    "no read pattern": {"saturation.use_readpatt": False},
    "dark current": {"dark_current.average_dark_current": 0.02},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_other_settings_give_the_official_numbers(name, parity, exposure):
    differences = parity.compare_files(name, *exposure, settings=SETTINGS[name])
    assert not failures(differences)


@pytest.mark.parametrize("name", ["no side pixels", "side gain", "long smoothing", "all columns", "strict"])
def test_other_settings_of_four_outputs_give_the_official_numbers(name, parity, four_outputs):
    settings = {
        "no side pixels": {"refpix.use_side_ref_pixels": False},
        "side gain": {"refpix.side_gain": 0.6},
        "long smoothing": {"refpix.side_smoothing_length": 30},
        "all columns": {"refpix.odd_even_columns": False},
        "strict": {"refpix.siglimit": 2.0},
    }[name]
    differences = parity.compare_files(name, *four_outputs, settings=settings)
    assert not failures(differences)


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    """An exposure with averaged frames and a zero frame, and its references."""
    return made("nrc_sub160", tmp_path_factory, ngroups=6, nints=5, readpatt="SHALLOW2", zeroframe=True, cr_rate=1e-4)


@pytest.fixture(scope="module")
def four_outputs(tmp_path_factory):
    """An exposure read through four outputs, and its references."""
    return made("nrc_subgrism256", tmp_path_factory, ngroups=3, nints=1, zeroframe=True)


def made(configuration, tmp_path_factory, ngroups, nints, **options):
    from gpucal import sample

    folder = tmp_path_factory.mktemp(configuration)
    (path,) = sample.make_exposures(configuration, folder / "data", ngroups=ngroups, nints=nints, seed=41, **options)
    readpatt = options.get("readpatt")
    references = sample.make_references(configuration, folder / "refs", ngroups=ngroups, nints=nints, readpatt=readpatt)
    return path, references
