"""Flags of a reference file: its own bits become the standard ones by the names in DQ_DEF, never by their places."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import BITS, GROUP, NAMES, PIXEL, meaning
from gpucal.reference import Reference


@pytest.fixture
def flags(reference):
    """The standard flags of stored ones."""

    def run(stored, **definitions):
        return to_host(reference("mask", dq=[stored], dq_def=definitions).dq)[0].tolist()

    return run


def test_bits_are_translated_by_name(flags):
    stored = [0, 1, 2, 4, 1 | 2, 1 | 2 | 4]
    hot, dead, bad = BITS["HOT"], BITS["DEAD"], BITS["DO_NOT_USE"]
    assert flags(stored, HOT=1, DEAD=2, DO_NOT_USE=4) == [0, hot, dead, bad, hot | dead, hot | dead | bad]


def test_highest_bit_is_translated_both_ways(flags):
    top = 1 << 31
    assert flags([top, 1, top | 1], DO_NOT_USE=top, REFERENCE_PIXEL=1) == [1, top, top | 1]


def test_unknown_names_mean_nothing(flags):
    assert flags([1, 2, 3], GIBBERISH=1, HOT=2) == [0, BITS["HOT"], BITS["HOT"]]


def test_bits_without_a_definition_mean_nothing(flags):
    assert flags([1, 2, 1 << 31], HOT=2) == [0, BITS["HOT"], 0]


def test_value_of_several_bits_is_any_of_them(flags):
    assert flags([1, 2, 3, 4], HOT=3) == [BITS["HOT"]] * 3 + [0]


def test_value_of_no_bit_means_nothing(flags):
    assert flags([0, 1], HOT=0, DEAD=1) == [0, BITS["DEAD"]]


def test_two_names_for_one_bit_are_both_set(flags):
    assert flags([1, 0], HOT=1, DEAD=1) == [BITS["HOT"] | BITS["DEAD"], 0]


@pytest.mark.parametrize("definitions", [None, {}])
def test_without_definitions_bits_are_taken_as_they_are(reference, definitions):
    mask = reference("mask", dq=[[5, 1 << 31]], dq_def=definitions)
    np.testing.assert_array_equal(to_host(mask.dq), [[5, 1 << 31]])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(8))
def test_official_models_translate_alike(reference_file, backend, seed):
    from stdatamodels.jwst.datamodels import MaskModel

    rng = np.random.default_rng(seed)
    names = rng.choice([*NAMES, "GIBBERISH"], rng.integers(1, 33), replace=False)
    bits = [1 << int(bit) for bit in rng.integers(0, 32, len(names))]
    bits[0] |= bits[-1]
    path = reference_file("mask", dq=rng.integers(0, 2**32, (9, 11), "u4"), dq_def=dict(zip(names, bits, strict=True)))
    with MaskModel(path) as official:
        np.testing.assert_array_equal(to_host(Reference(path, "mask", None, backend).dq), official.dq)


# -- the standard


def test_bits_are_those_of_the_official_pipeline():
    from stdatamodels.jwst.datamodels.dqflags import pixel

    assert {name: bit for name, bit in pixel.items() if bit} == BITS


def test_groups_flags_are_those_of_the_official_pipeline():
    from stdatamodels.jwst.datamodels.dqflags import group

    ours = {name: value for name, value in vars(GROUP).items() if name.isupper()}
    assert ours.items() <= group.items()


@pytest.mark.parametrize("flags", [PIXEL, GROUP])
def test_named_flags_agree_with_the_list(flags):
    assert {name: value for name, value in vars(flags).items() if name.isupper()}.items() <= BITS.items()


def test_kernels_use_the_same_bits():
    import re

    from gpucal.paths import KERNELS

    text = (KERNELS / "gpucal.cuh").read_text()
    found = re.findall(r"\b([A-Z_]{3,}) = (\d+u? << \d+|\d+)\b", text)
    assert len(found) >= 9
    for name, value in found:
        number, _, shift = value.replace("u", "").partition(" << ")
        assert int(number) << int(shift or 0) == BITS[name], name


def test_names_may_come_as_bytes_and_padded():
    rows = np.array([(0, 2, b"HOT  ")], [("BIT", "i4"), ("VALUE", "u4"), ("NAME", "S10")])
    assert meaning(rows)[1] == BITS["HOT"]
