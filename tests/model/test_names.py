"""Names of products: a known suffix is replaced, an unknown one is part of the name."""

from pathlib import Path

import pytest

from gpucal.model.names import SUFFIXES, stem, with_suffix


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("jw001_uncal.fits", "jw001"),
        ("data/jw001_nrca1_rate.fits", "jw001_nrca1"),
        ("jw001_rateints.fits", "jw001"),
        ("jw001_outlier_i2d.fits", "jw001"),
        ("jw001_uncal.fits.gz", "jw001"),
        ("jw001_cal.asdf", "jw001"),
        ("jw001_mine.fits", "jw001_mine"),
        ("jw001.fits", "jw001"),
        ("jw001_rate_uncal.fits", "jw001_rate"),
        ("uncal.fits", "uncal"),
        ("my.first.exposure_uncal.fits", "my.first.exposure"),
        ("jw001-seg001_nrca1_uncal.fits", "jw001-seg001_nrca1"),
    ],
)
def test_stem_is_the_name_without_a_known_suffix(path, expected):
    assert stem(path) == expected


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_known_suffix_is_replaced(suffix):
    assert with_suffix(f"out/jw001_{suffix}.fits", "rate") == Path("out/jw001_rate.fits")


def test_unknown_suffix_is_kept():
    assert with_suffix("jw001_mine.fits", "rate") == Path("jw001_mine_rate.fits")


def test_product_goes_to_another_folder_if_one_is_given():
    assert with_suffix("in/jw001_uncal.fits", "rate", folder="out") == Path("out/jw001_rate.fits")


@pytest.mark.parametrize(
    ("path", "ending", "expected"),
    [
        ("jw001_uncal.fits", None, "jw001_rate.fits"),
        ("jw001_uncal.asdf", None, "jw001_rate.asdf"),
        ("jw001_uncal.fits.gz", None, "jw001_rate.fits"),
        ("jw001_uncal.fits", ".asdf", "jw001_rate.asdf"),
    ],
)
def test_ending_is_kept_unless_another_is_given(path, ending, expected):
    assert with_suffix(path, "rate", ending=ending) == Path(expected)


def test_every_step_has_its_suffix():
    from gpucal.steps import STEPS

    assert {alias for alias, step in STEPS.items() if step.__module__.startswith("gpucal.")} <= SUFFIXES
