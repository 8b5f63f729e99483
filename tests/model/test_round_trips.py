"""Products: what is written is read again, by us and by the official data models; headers and tree agree."""

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels import fits_support
from stdatamodels.jwst import datamodels

from gpucal import __version__
from gpucal.device import to_host
from gpucal.model import Cube, Image, Ramp, Slopes, pack
from gpucal.model import open as open_model

TOP_BIT = 1 << 31
ENDINGS = pytest.mark.parametrize("ending", [".fits", ".asdf"])


@pytest.fixture(params=["ramp", "image", "cube"])
def model(request, backend, ramp, rng):
    """A model of each kind, all arrays filled, with a history of calibration."""
    made = {
        "ramp": lambda: ramp(
            rng.normal(0, 1e4, (2, 3, 5, 7)), groupdq=rng.integers(0, 256, (2, 3, 5, 7)), zeroframe=5, dark=0.25,
            pixeldq=rng.choice(np.array([0, 1, TOP_BIT, TOP_BIT | 5], "u4"), (5, 7)),
        ),
        "image": lambda: rates(Image, datamodels.ImageModel(), (5, 7), backend, rng),
        "cube": lambda: rates(Cube, datamodels.CubeModel(), (2, 5, 7), backend, rng),
    }[request.param]()  # fmt: skip
    made.meta.instrument.name = "NIRCAM"
    made.meta.observation.date = "2024-02-29"
    made.mark("jump", "COMPLETE")
    made.note_reference("gain", "crds://jwst_nircam_gain_0001.fits")
    return made


def rates(kind, tree, shape, backend, rng):
    names = ("data", "err", "var_poisson", "var_rnoise", "var_flat")
    arrays = {name: rng.normal(0, 10, shape).astype("f4") for name in names}
    arrays["area"] = rng.normal(1, 0.1, shape[-2:]).astype("f4")
    arrays["data"].flat[3] = np.nan
    arrays["dq"] = rng.choice(np.array([0, 1, TOP_BIT, TOP_BIT | 5], "u4"), shape)
    return kind(tree, **{name: backend.upload(array) for name, array in arrays.items()})


@ENDINGS
def test_what_is_written_is_read_again(model, backend, tmp_path, ending):
    path = tmp_path / f"product{ending}"
    model.save(path)
    again = open_model(path, backend)
    assert type(again) is type(model)
    for name in model.arrays:
        np.testing.assert_array_equal(
            to_host(getattr(again, name)), to_host(getattr(model, name)), err_msg=name, strict=True
        )
    assert again.meta.instrument.name == "NIRCAM"
    assert again.meta.observation.date == "2024-02-29"
    assert again.meta.cal_step.jump == "COMPLETE"
    assert again.meta.ref_file.gain.name == "crds://jwst_nircam_gain_0001.fits"


@ENDINGS
def test_the_official_models_read_it(model, tmp_path, ending):
    path = tmp_path / f"product{ending}"
    model.save(path)
    with datamodels.open(path) as official:
        assert type(official).__name__ == model.tree_class
        for name in model.arrays:
            stored = np.asarray(getattr(official, name))
            np.testing.assert_array_equal(stored, to_host(getattr(model, name)), err_msg=name)
            assert stored.dtype.newbyteorder("=") == getattr(model, name).dtype
        assert official.meta.cal_step.jump == "COMPLETE"
        assert official.meta.instrument.name == "NIRCAM"


def test_headers_and_tree_agree(model, tmp_path):
    """The tree holds the hash of the headers: the official models then take the tree without reading the headers."""
    path = tmp_path / "product.fits"
    model.save(path)
    with fits.open(path) as hdus, fits_support.from_fits_asdf(hdus) as tree:
        assert tree.tree["_fits_hash"] == fits_support.fits_hash(hdus)
        assert tree.tree["meta"]["cal_step"]["jump"] == hdus[0].header["S_JUMP"] == "COMPLETE"
        assert tree.tree["meta"]["ref_file"]["gain"]["name"] == hdus[0].header["R_GAIN"]


def test_tree_that_was_read_does_not_go_stale(model, host, tmp_path):
    """Changed after reading and written again, header and tree both say the new value."""
    model.save(tmp_path / "first.fits")
    again = open_model(tmp_path / "first.fits", host)
    again.mark("jump", "SKIPPED")
    again.meta.observation.date = "2025-01-01"
    again.save(tmp_path / "second.fits")
    with fits.open(tmp_path / "second.fits") as hdus:
        assert hdus[0].header["S_JUMP"] == "SKIPPED"
        assert hdus[0].header["DATE-OBS"] == "2025-01-01"
    with datamodels.open(tmp_path / "second.fits") as official:
        assert official.meta.cal_step.jump == "SKIPPED"
        assert official.meta.observation.date == "2025-01-01"


def test_fits_file_is_standard(model, tmp_path):
    path = tmp_path / "product.fits"
    model.save(path)
    assert path.stat().st_size % 2880 == 0
    with fits.open(path) as hdus:
        hdus.verify("exception")
        names = [hdu.name for hdu in hdus]
        assert names[0] == "PRIMARY"
        assert set(names) == {"PRIMARY", "ASDF", *model.arrays.values()}
        assert names[-1] == "ASDF"
        unsigned = {"DQ", "PIXELDQ"} & set(names)
        assert {hdus[name].header["BZERO"] for name in unsigned} == {2**31}


def test_our_version_is_noted_once(model, host, tmp_path):
    model.save(tmp_path / "first.fits")
    open_model(tmp_path / "first.fits", host).save(tmp_path / "second.fits")
    header = fits.getheader(tmp_path / "second.fits")
    assert header["GPUCAL"] == __version__
    assert header.count("GPUCAL") == 1
    assert header["FILENAME"] == "second.fits"


def test_writing_changes_nothing_in_the_model(model, tmp_path):
    before = {name: to_host(getattr(model, name)).copy() for name in model.arrays}
    for _ in range(2):
        model.save(tmp_path / "product.fits")
    for name, array in before.items():
        np.testing.assert_array_equal(to_host(getattr(model, name)), array, err_msg=name, strict=True)


def test_same_model_gives_the_same_bytes(model, tmp_path):
    """But for the time of writing, which is in the header and in the tree, and so in its hash."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name / "product.fits")
    with fits.open(tmp_path / "one" / "product.fits") as one, fits.open(tmp_path / "two" / "product.fits") as two:
        difference = fits.FITSDiff(one, two, ignore_keywords=["DATE"], ignore_hdus=["ASDF"])
    assert difference.identical, difference.report()


@pytest.mark.parametrize("big_endian", [True, False])
def test_what_is_packed_does_not_change_with_the_model(model, big_endian):
    """Steps go on while the result of an earlier one waits to be written."""
    packed = pack(model, big_endian=big_endian)
    before = {name: stored.copy() for name, (stored, _, _) in packed.arrays.items()}
    for name in model.arrays:
        getattr(model, name)[...] = 7
    model.mark("jump", "SKIPPED")
    for name, stored in before.items():
        np.testing.assert_array_equal(packed.arrays[name][0], stored, err_msg=name)
    assert packed.tree.meta.cal_step.jump == "COMPLETE"


# -- what is not there


@ENDINGS
def test_array_that_is_absent_is_not_written(ramp, host, tmp_path, ending):
    path = tmp_path / f"product{ending}"
    ramp((1, 2, 3, 4)).save(path)
    again = open_model(path, host)
    assert again.zeroframe is None
    assert again.average_dark_current is None


def test_ramp_without_flags_gets_blank_ones(backend, ramp):
    tree = ramp((1, 2, 3, 4)).tree
    model = Ramp(tree, data=backend.xp.ones((1, 2, 3, 4), "f4"))
    assert (to_host(model.pixeldq).shape, to_host(model.pixeldq).dtype) == ((3, 4), "u4")
    assert (to_host(model.groupdq).shape, to_host(model.groupdq).dtype) == ((1, 2, 3, 4), "u1")
    assert not to_host(model.groupdq).any()


def test_array_a_model_cannot_hold_is_refused(ramp):
    with pytest.raises(TypeError, match="Image has no array groupdq"):
        Image(datamodels.ImageModel(), groupdq=np.zeros(3))


# -- exposures as they come from the telescope


@pytest.fixture
def uncal(ramp, rng, tmp_path):
    """A file of 16-bit counts, with zero frames and the tables that come along."""
    raw = datamodels.Level1bModel()
    raw.update(ramp((2, 3, 4, 5)).tree)
    raw.data = rng.integers(0, 65536, (2, 3, 4, 5)).astype("u2")
    raw.data.flat[:3] = 0, 32768, 65535
    raw.zeroframe = rng.integers(0, 65536, (2, 4, 5)).astype("u2")
    raw.int_times = np.array(
        [(i, *[60000.0 + i] * 6) for i in (1, 2)], dtype=datamodels.Level1bModel().get_dtype("int_times")
    )
    raw.save(tmp_path / "jw001_uncal.fits")
    return tmp_path / "jw001_uncal.fits"


def test_counts_become_floating_point(uncal, backend):
    model = open_model(uncal, backend)
    with fits.open(uncal) as hdus:
        np.testing.assert_array_equal(to_host(model.data), hdus["SCI"].data.astype("f4"), strict=True)
        np.testing.assert_array_equal(to_host(model.zeroframe), hdus["ZEROFRAME"].data.astype("f4"), strict=True)


def test_tables_travel_from_the_exposure_to_its_product(uncal, host, tmp_path):
    open_model(uncal, host).save(tmp_path / "jw001_ramp.fits")
    with fits.open(uncal) as before, datamodels.open(tmp_path / "jw001_ramp.fits") as after:
        assert after.int_times["int_mid_MJD_UTC"].tolist() == before["INT_TIMES"].data["int_mid_MJD_UTC"].tolist()


def test_header_cards_unknown_to_the_schema_travel_too(uncal, host, tmp_path):
    fits.setval(uncal, "MYCARD", value=42)
    open_model(uncal, host).save(tmp_path / "jw001_ramp.fits")
    assert fits.getval(tmp_path / "jw001_ramp.fits", "MYCARD") == 42


def test_file_changed_by_hand_is_read_as_its_headers_say(uncal, host):
    fits.setval(uncal, "FILTER", value="F115W")
    assert open_model(uncal, host).meta.instrument.filter == "F115W"


# -- models in memory


def test_official_model_is_taken_as_it_is(backend, uncal):
    with datamodels.open(uncal) as official:
        model = open_model(official, backend)
        np.testing.assert_array_equal(to_host(model.data), official.data.astype("f4"), strict=True)
        assert model.meta.exposure.ngroups == 3
        assert model.source == "jw001_uncal.fits"


def test_changing_the_model_does_not_change_the_official_one(host, uncal):
    with datamodels.open(uncal) as official:
        before = official.data.copy()
        model = open_model(official, host)
        model.data += 1
        model.meta.instrument.filter = "F070W"
        np.testing.assert_array_equal(official.data, before)
        assert official.meta.instrument.filter == "F200W"


def test_model_of_ours_is_passed_through(ramp, backend):
    model = ramp([1, 2, 3])
    assert open_model(model, backend) is model


def test_copy_shares_nothing(model):
    copy = model.copy()
    for name in model.arrays:
        getattr(copy, name)[...] = 0
    copy.mark("jump", "SKIPPED")
    assert all(to_host(getattr(model, name)).any() for name in model.arrays)
    assert model.meta.cal_step.jump == "COMPLETE"


def test_missing_keyword_is_named(ramp):
    from gpucal.errors import InputError

    model = ramp([1, 2, 3], group_time=None)
    with pytest.raises(InputError, match=r"^exposure.fits: keyword TGROUP is missing$"):
        model.need("exposure.group_time")
    assert model.need("exposure.frame_time") == 10.0


# -- slopes: two products in one


@pytest.fixture
def slopes(backend, rng):
    """What a ramp fit gives."""
    rate = rates(Image, datamodels.ImageModel(), (5, 7), backend, rng)
    return Slopes(rate, rates(Cube, datamodels.CubeModel(), (2, 5, 7), backend, rng))


def test_slopes_are_written_side_by_side(slopes, host, tmp_path):
    slopes.save(tmp_path / "jw001_rate.fits")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jw001_rate.fits", "jw001_rateints.fits"]
    assert type(open_model(tmp_path / "jw001_rate.fits", host)) is Image
    assert type(open_model(tmp_path / "jw001_rateints.fits", host)) is Cube


def test_slopes_have_one_header_for_those_who_ask(slopes):
    """The libraries of references ask the metadata tree, steps and messages the rest."""
    slopes.rate.meta.instrument.name = "NIRSPEC"
    assert slopes.meta.instrument.name == "NIRSPEC"
    assert slopes.source == slopes.rate.source
    assert slopes.tree is slopes.rate.tree


def test_slopes_are_marked_together(slopes):
    slopes.mark("gain_scale", "COMPLETE")
    slopes.note_reference("gain", "crds://jwst_nirspec_gain_0001.fits")
    assert [model.meta.cal_step.gain_scale for model in slopes] == ["COMPLETE"] * 2
    assert [model.meta.ref_file.gain.name for model in slopes] == ["crds://jwst_nirspec_gain_0001.fits"] * 2


@ENDINGS
def test_read_times_which_have_no_keyword_are_kept(make_ramp, host, tmp_path, ending):
    ramp = make_ramp(host, (1, 2, 3, 4))
    ramp.meta.exposure.read_times = [[1.0], [2.5, 3.5]]
    ramp.save(tmp_path / f"x_ramp{ending}")
    again = open_model(tmp_path / f"x_ramp{ending}", host)
    assert [list(times) for times in again.meta.exposure.read_times] == [[1.0], [2.5, 3.5]]
