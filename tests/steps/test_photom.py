"""Photom: which row of the table counts, what it is multiplied to, and what an image says then."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import PIXEL
from gpucal.errors import InputError, ReferenceFileError
from gpucal.model import Slopes, pack
from gpucal.reference.file import Reference
from gpucal.steps import Photom
from gpucal.steps.photom import MJSR_TO_UJA2
from tests.steps.images import NAMES, ROWS, make_image, write_photom

SPECTRUM = [("filter", "S12"), ("pupil", "S12"), ("photmjsr", "f4"), ("wavelength", "f4", (3,))]


@pytest.fixture
def image(backend):
    """Make an image or a cube from its data: errors 2, variances 3 and 1."""
    return lambda data, **given: make_image(backend, data, **given)


@pytest.fixture
def photom(backend, tmp_path):
    """Make a table of sensitivity on the backend; tables of its decline by law; keywords in capitals."""

    def make(rows=ROWS, names=NAMES, types=None, device=backend, **more):
        path = write_photom(tmp_path / "photom.fits", rows, names, types, **more)
        return Reference(path, "photom", None, device)

    return make


def test_rates_become_surface_brightness(image, photom):
    exposure = image([[8, 6]])
    exposure.var_flat = exposure.var_rnoise * 5
    result = Photom().process(exposure, photom())
    expected = {"data": [[16, 12]], "err": [[4, 4]], "var_poisson": [[12, 12]], "var_rnoise": [[4, 4]]}
    for name, values in (expected | {"var_flat": [[20, 20]], "dq": [[0, 0]]}).items():
        np.testing.assert_array_equal(to_host(getattr(result, name)), values, err_msg=name)
    assert result.meta.bunit_data == result.meta.bunit_err == "MJy/sr"
    assert result.meta.photometry.conversion_megajanskys == 2
    assert result.meta.photometry.conversion_microjanskys == pytest.approx(47.00886, rel=1e-6)


def test_the_unit_is_the_right_one():
    from astropy import units

    per_arcsec = units.microjansky / units.arcsec / units.arcsec
    assert (units.megajansky / units.steradian).to(per_arcsec) == MJSR_TO_UJA2


def test_the_conversion_can_be_taken_back(image, photom):
    result = Photom(inverse=True).process(image([[16, 12]]), photom())
    np.testing.assert_array_equal(to_host(result.data), [[8, 6]])
    np.testing.assert_array_equal(to_host(result.var_poisson), [[0.75, 0.75]])
    assert result.meta.bunit_data == "DN/s"


@pytest.mark.parametrize("name", ["data", "err", "var_poisson", "var_rnoise", "dq"])
def test_what_is_lost_in_one_array_is_lost_in_all(name, image, photom):
    exposure = image([[8, 8]])
    getattr(exposure, name)[0, 0] = PIXEL.DO_NOT_USE if name == "dq" else np.nan
    result = Photom().process(exposure, photom())
    np.testing.assert_array_equal(to_host(result.dq), [[PIXEL.DO_NOT_USE, 0]])
    for array in ("data", "err", "var_poisson", "var_rnoise"):
        np.testing.assert_array_equal(np.isnan(to_host(getattr(result, array))), [[True, False]], err_msg=array)


MIRI = {"instrument": "MIRI", "detector": "MIRIMAGE", "exp_type": "MIR_IMAGE", "filter": "F770W", "pupil": None}
FGS = {"instrument": "FGS", "detector": "GUIDER1", "exp_type": "FGS_IMAGE", "filter": None, "pupil": None}


@pytest.mark.parametrize(
    ("keywords", "names", "rows", "expected"),
    [
        ({}, NAMES, ROWS, 2),
        ({}, NAMES, [("f200w", "clear", 9.0)], 9),
        ({"subarray": "SUB160"}, ("subarray", *NAMES), [("FULL", *ROWS[2]), ("SUB160", "F200W", "CLEAR", 4.0)], 4),
        (MIRI, ("filter", "subarray", "photmjsr"), [("F770W", "FULL", 1.0), ("F770W", "SUB64P", 3.0)], 3),
        (MIRI, ("filter", "subarray", "photmjsr"), [("F770W", "FULL", 1.0), ("F770W", "GENERIC", 3.0)], 3),
        (FGS, ("photmjsr",), [(0.5,), (7.0,)], 0.5),
    ],
    ids=["filter and pupil", "small letters", "subarray", "MIRI's subarray", "any subarray", "no filter"],
)
def test_the_row_is_the_exposures(keywords, names, rows, expected, image, photom):
    result = Photom().process(image([[10]], **keywords), photom(rows, names))
    assert to_host(result.data).item() == 10 * expected


def test_without_a_row_the_rates_stay(image, photom, references, reference, caplog):
    area = reference("area", data=[[0.5, 1.5]], PIXAR_SR=2e-14)
    result, outcome = Photom().run(image([[8, 6]], pupil="WLP8"), references(photom=photom(), area=area))
    assert outcome.status == result.meta.cal_step.photom == "COMPLETE"
    np.testing.assert_array_equal(to_host(result.data), [[8, 6]])
    np.testing.assert_array_equal(to_host(result.area), [[0.5, 1.5]])
    assert result.meta.photometry.conversion_megajanskys is None
    assert "exposure.fits: photom: no row for FILTER F200W, PUPIL WLP8 in " in caplog.text


LAWS = {
    "linear": ({"t0": 60000.0, "lossperyear": 0.1}, 1 - 0.1 * 2),
    "exponential": ({"t0": 60000.0, "amplitude": 0.2, "tau": 365.0, "const": 0.9}, 0.9 + 0.2 * np.exp(-2)),
    "powerlaw": ({"t0": 60000.0, "year1value": 0.9, "tsoft": 1.0, "alpha": -0.5}, 0.9 * (731 / 366) ** -0.5),
}


def declining(laws):
    """Coefficients for every row of the table, other rows' being different."""
    return {
        law: {"filter": [row[0] for row in ROWS], "pupil": [row[1] for row in ROWS]}
        | {column: [value * 0.99, value * 0.98, value] for column, value in LAWS[law][0].items()}
        for law in laws
    }


@pytest.mark.parametrize("laws", [*([law] for law in LAWS), list(LAWS)], ids=[*LAWS, "all"])
def test_sensitivity_declines(laws, image, photom):
    exposure = image([[10]])
    exposure.meta.exposure.mid_time = 60730.0
    remaining = np.prod([LAWS[law][1] for law in laws])
    result = Photom().process(exposure, photom(**declining(laws)))
    assert to_host(result.data).item() == pytest.approx(20 / remaining, rel=1e-6)
    assert result.meta.photometry.conversion_megajanskys == pytest.approx(2 / remaining, rel=1e-6)


def test_the_decline_can_be_left_out(image, photom):
    result = Photom(apply_time_correction=False).process(image([[10]]), photom(**declining(LAWS)))
    assert to_host(result.data).item() == 20


def test_a_decline_needs_the_time_of_the_exposure(image, photom):
    with pytest.raises(InputError, match=r"exposure\.fits: keyword EXPMID is missing"):
        Photom().process(image([[10]]), photom(**declining(LAWS)))


def test_coefficients_of_other_rows_are_refused(image, photom):
    exposure, tables = image([[10]]), declining(["linear"])
    exposure.meta.exposure.mid_time = 60730.0
    tables["linear"]["pupil"] = ["CLEAR"] * 3
    with pytest.raises(ReferenceFileError, match="the rows of TIMECOEFF_LINEAR are not those of PHOTOM"):
        Photom().process(exposure, photom(**tables))


def test_all_backends_agree(rng, same_as_twins, photom):
    shape = (3, 40, 70)
    data, variance = rng.normal(2, 3, shape), rng.normal(1, 0.5, shape)
    data[rng.random(shape) < 0.02] = np.nan
    dq = rng.choice(np.array([0, 1, 4], "u4"), shape, p=[0.8, 0.1, 0.1])
    for inverse in (False, True):
        for laws in ([], LAWS):

            def run(device, inverse=inverse, laws=laws):
                cube = make_image(device, data, dq=dq, var_poisson=variance)
                cube.meta.exposure.mid_time = 60730.0
                return Photom(inverse=inverse).process(cube, photom(device=device, **declining(laws)))

            same_as_twins(run)


def test_areas_are_attached_and_do_not_multiply(image, photom, reference):
    area = reference("area", data=[[0.5, 1.5]], PIXAR_SR=2e-14, PIXAR_A2=1e-3)
    result = Photom().process(image([[8, 6]]), photom(PIXAR_SR=3.0), area)
    np.testing.assert_array_equal(to_host(result.area), [[0.5, 1.5]])
    np.testing.assert_array_equal(to_host(result.data), [[16, 12]])
    assert result.meta.photometry.pixelarea_steradians == 2e-14
    assert result.meta.photometry.pixelarea_arcsecsq == 1e-3
    pack(result, last=True)  # in the memory of the result
    np.testing.assert_array_equal(to_host(area.data), [[0.5, 1.5]])


def test_without_areas_their_mean_is_that_of_the_table(image, photom):
    result = Photom().process(image([[8, 6]]), photom(PIXAR_SR=3e-14, PIXAR_A2=2e-3))
    assert result.area is None
    assert result.meta.photometry.pixelarea_steradians == 3e-14
    assert result.meta.photometry.pixelarea_arcsecsq == 2e-3


def test_cubes_of_niriss_get_areas_but_no_conversion(image, photom, references, reference):
    niriss = {"instrument": "NIRISS", "detector": "NIS", "exp_type": "NIS_AMI"}
    slopes = Slopes(image([[8]], **niriss), image([[[8]]], **niriss))
    result, _ = Photom().run(slopes, references(photom=photom(), area=reference("area", data=[[2]])))
    assert [one.meta.cal_step.photom for one in result] == ["COMPLETE", "SKIPPED"]
    assert [to_host(one.data).item() for one in result] == [16, 8]
    assert [to_host(one.area).item() for one in result] == [2, 2]


def test_without_a_table_the_step_is_skipped(image, references, reference):
    result, outcome = Photom().run(image([[8]]), references(area=reference("area", data=[[2]])))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no photom reference")
    assert result.area is None
    assert result.meta.ref_file.area.name != "N/A"


@pytest.mark.parametrize(
    ("rows", "names", "types", "message"),
    [
        ([*ROWS, ROWS[2]], NAMES, None, "2 rows for FILTER F200W, PUPIL CLEAR"),
        ([("F200W", "CLEAR", 2.0, [1, 2, 3])], None, SPECTRUM, "is not for images"),
        ([("F200W", "CLEAR", 2.0)], ("filter", "pupil", "photmj"), None, "is not for images"),
    ],
)
def test_a_table_that_cannot_serve_is_refused(rows, names, types, message, image, photom):
    with pytest.raises(ReferenceFileError, match=message):
        Photom().process(image([[8]]), photom(rows, names, types))


@pytest.mark.parametrize("exp_type", ["NRC_TSGRISM", "NIS_SOSS", "MIR_LRS-SLITLESS", "NRS_IMAGE"])
def test_spectra_are_left_to_the_official_step(exp_type, image, photom):
    with pytest.raises(InputError, match=f"photom takes images, EXP_TYPE is {exp_type}; jwst::photom takes all kinds"):
        Photom().process(image([[8]], exp_type=exp_type), photom())


def test_ramps_are_refused(ramp, photom):
    with pytest.raises(InputError, match="photom takes rates, this is what comes before them"):
        Photom().process(ramp([1, 2, 3]), photom())
