"""What can be wrong with an input is one line naming the file and the cause; the other exposures are done."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import gpucal
from gpucal.errors import ConfigError, ReferenceFileError

RATE, RATEINTS = "_rate.fits", "_rateints.fits"


def truncate(path):
    with open(path, "rb+") as file:
        file.truncate(Path(path).stat().st_size // 2)


def write_text(path):
    Path(path).write_text("this is not an exposure\n")


def empty(path):
    Path(path).write_bytes(b"")


def change(path, edit):
    with fits.open(path, mode="update") as hdus:
        edit(hdus)


def without_groups(hdus):
    hdus["SCI"].data = hdus["SCI"].data[:, :0]


def flat(hdus):
    hdus["SCI"].data = hdus["SCI"].data[0, 0, 0]


def as_doubles(hdus):
    data = hdus["SCI"].data.astype("f8")
    del hdus["SCI"].header["BZERO"]
    hdus["SCI"].data = data


def without_sci(hdus):
    del hdus["SCI"]


def saturated(hdus):
    hdus["SCI"].data = np.full_like(hdus["SCI"].data, 65535)


def without(keyword):
    def remove(hdus):
        del hdus[0].header[keyword]

    return remove


def with_value(keyword, value):
    def set_value(hdus):
        hdus[0].header[keyword] = value

    return set_value


SPOILED = {
    "truncated": (truncate, "truncated, SCI ends"),
    "not FITS": (write_text, "not a FITS file"),
    "empty": (empty, "not a FITS file"),
    "no SCI": (lambda path: change(path, without_sci), "no SCI extension"),
    "no groups": (lambda path: change(path, without_groups), "SCI holds no pixels, its shape is (1, 0, 160, 160)"),
    "one dimension": (lambda path: change(path, flat), "SCI has 1 dimensions"),
    "doubles": (lambda path: change(path, as_doubles), "SCI is float64"),
    "number of groups": (lambda path: change(path, with_value("NGROUPS", 7)), "NGROUPS is 7, but SCI holds 4 groups"),
    "no group time": (lambda path: change(path, without("TGROUP")), "keyword TGROUP is missing"),
    "no number of frames": (lambda path: change(path, without("NFRAMES")), "keyword NFRAMES is missing"),
    "no instrument": (lambda path: change(path, without("INSTRUME")), "keyword INSTRUME is missing"),
    "no corner": (lambda path: change(path, without("SUBSTRT1")), "keyword SUBSTRT1 is missing"),
    "all saturated": (lambda path: change(path, saturated), "every pixel is saturated"),
}


@pytest.mark.parametrize("trouble", SPOILED)
def test_a_bad_exposure_is_one_line_and_the_others_are_done(trouble, exposure, made, references, tmp_path):
    spoil, cause = SPOILED[trouble]
    bad = Path(exposure).rename(tmp_path / "data" / "bad_uncal.fits")
    spoil(bad)
    fates = gpucal.run([bad, made[0]], tmp_path / "out", references=references)
    failed, done = sorted(fates, key=lambda fate: not fate.error)
    assert cause in failed.error
    assert "bad_uncal.fits" in failed.error
    assert len(failed.error.splitlines()) == 1
    assert not done.error
    sidecar = done.products[0].with_suffix(".json")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in [*done.products, sidecar]}
    assert len(done.products) == 2


def test_one_group_is_enough(made, tmp_path):
    from gpucal import sample

    (exposure,) = sample.make_exposures("nrc_sub160", tmp_path, ngroups=1)
    (fate,) = gpucal.run(exposure, tmp_path / "out", references=made[1])
    assert not fate.error
    with fits.open(fate.products[0]) as rate:
        assert np.isfinite(rate["SCI"].data).mean() > 0.9
        assert rate[0].header["S_JUMP"] == "SKIPPED"


def test_what_is_fitted_already_is_not_fitted_again(made, tmp_path):
    (first,) = gpucal.run(made[0], tmp_path / "first", references=made[1])
    for product in first.products:
        (fate,) = gpucal.run(product, tmp_path / "second", references=made[1])
        kind = product.stem.rpartition("_")[2]
        assert fate.error == f"group_scale: {product}: is a {kind} product, but this step takes ramps (_uncal)"


def test_a_reference_file_is_no_exposure(made, tmp_path):
    for file in sorted(made[1].glob("*.fits")):
        (fate,) = gpucal.run(file, tmp_path, references=made[1])
        assert fate.error == f"{file}: is a reference file ({fits.getval(file, 'REFTYPE')}), not an exposure"


def test_a_step_that_was_done_before_is_told(made, tmp_path, caplog):
    (first,) = gpucal.run(made[0], tmp_path / "first", references=made[1], stop_after="superbias")
    assert "done before" not in caplog.text
    (second,) = gpucal.run(first.products[0], tmp_path / "second", references=made[1], pipeline="superbias")
    assert not second.error
    assert f"{first.products[0]}: superbias was done before; it is done again" in caplog.text


# -- references


def spoiled_reference(references, reftype, folder, edit):
    path = Path(shutil.copy(references / f"{reftype}.fits", folder))
    change(path, edit)
    return path


def all_nan(hdus):
    hdus["SCI"].data = np.full_like(hdus["SCI"].data, np.nan)


@pytest.mark.parametrize(
    ("reftype", "edit", "cause"),
    [
        ("readnoise", all_nan, "no value that is not NaN"),
        ("superbias", with_value("DETECTOR", "NRCA3"), "was made for NRCA3, the exposure is from NRCB1"),
        ("linearity", with_value("INSTRUME", "NIRISS"), "was made for NIRISS, the exposure is from NIRCAM"),
        ("dark", with_value("SUBSTRT1", 100), "covers columns 100 to 259"),
        ("gain", with_value("REFTYPE", "READNOISE"), "is a READNOISE reference, not GAIN"),
        ("saturation", without_sci, "no SCI extension"),
    ],
)
def test_a_bad_reference_fails_the_exposure_with_its_name(reftype, edit, cause, made, references, tmp_path):
    bad = spoiled_reference(references, reftype, tmp_path, edit)
    settings = {"override": {reftype: str(bad)}, "reference": {"on_missing": "skip_exposure"}}
    (fate,) = gpucal.run(made[0], tmp_path / "out", references=references, **settings)
    assert f"{bad}: " in fate.error
    assert cause in fate.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("reftype", ["gain", "readnoise"])
def test_a_fit_without_gain_or_read_noise_fails(reftype, made, references, tmp_path):
    settings = {"override": {reftype: "N/A"}, "reference": {"on_missing": "skip_exposure"}}
    (fate,) = gpucal.run(made[0], tmp_path / "out", references=references, **settings)
    assert fate.error == f"{made[0]}: {reftype}: needed, but there is none"
    with pytest.raises(ReferenceFileError, match=f"jump: no {reftype} reference for .*uncal.fits"):
        gpucal.pipeline(references=references, override={reftype: "N/A"})(made[0])


def test_another_missing_reference_makes_its_step_skipped(made, references, tmp_path):
    (fate,) = gpucal.run(made[0], tmp_path / "out", references=references, override={"dark": "N/A"})
    header = fits.getheader(fate.products[0])
    assert (header["S_DARK"], header["R_DARK"]) == ("SKIPPED", "N/A")
    assert ("dark_current", "SKIPPED", "no dark reference") in [outcome[:3] for outcome in fate.outcomes]


def test_an_override_that_is_no_file_stops_everything(made, tmp_path):
    with pytest.raises(ConfigError, match=r"override.dark=nowhere.fits: no such file"):
        gpucal.run(made[0], tmp_path / "out", override={"dark": "nowhere.fits"})


def test_a_folder_whose_references_do_not_fit_says_why(made, references, tmp_path):
    folder = tmp_path / "refs"
    folder.mkdir()
    spoiled_reference(references, "gain", folder, with_value("DETECTOR", "NRCA3"))
    (fate,) = gpucal.run(made[0], tmp_path / "out", references=folder, reference={"on_missing": "skip_exposure"})
    assert "no gain reference fits" in fate.error
    assert "gain.fits is for NRCA3, not NRCB1" in fate.error


# -- output


def test_a_full_disk_leaves_nothing_half_written(made, references, tmp_path, monkeypatch):
    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    (fate,) = gpucal.run(made[0], tmp_path / "out", references=references)
    assert fate.error.endswith("cannot be written: No space left on device")
    assert "rate.fits" in fate.error
    assert list((tmp_path / "out").iterdir()) == []


def test_a_product_that_the_system_refuses_to_grow_leaves_nothing(made, references, tmp_path):
    """The kernel itself stops the write, halfway through the pixels."""
    script = (
        "import resource, gpucal, sys;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        f"fates = gpucal.run({str(made[0])!r}, {str(tmp_path / 'out')!r}, references={str(references)!r});"
        "print(fates[0].error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "cannot be written: File too large" in done.stdout
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_folder_that_cannot_be_made_is_one_line(made, references, tmp_path):
    (tmp_path / "file").write_text("in the way")
    (fate,) = gpucal.run(made[0], tmp_path / "file" / "out", references=references)
    assert "cannot be written: Not a directory" in fate.error


# -- what input= may be


def test_two_exposures_with_the_same_products_are_refused(made, exposure, tmp_path):
    with pytest.raises(ConfigError, match="would both make the products of jw01234001001"):
        gpucal.run([made[0], exposure], tmp_path / "out")


def test_a_folder_means_its_raw_exposures(made, references, tmp_path):
    (fate,) = gpucal.run(made[0].parent, tmp_path / "out", references=references)
    assert fate.source == str(made[0])


@pytest.mark.parametrize(
    ("given", "cause"),
    [("nothing_*.fits", "no such file"), ("missing.fits", "no such file"), (".", "no raw exposures")],
)
def test_input_that_is_no_file_is_refused(given, cause, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=cause):
        gpucal.run(given, "out")
