"""Readouts with stripes give the official pipeline's numbers: the geometry at random, then every step."""

import numpy as np
import pytest

from gpucal import sample
from gpucal.model import SuperstripeRamp
from gpucal.model.collate import collated
from gpucal.sample.stripes import READOUTS, WORDS, make_stripe_exposure
from gpucal.stripes import Stripes
from tests.conftest import header
from tests.parity.test_stage1 import failures

pytestmark = pytest.mark.slow

AXES = [(1, 2), (-1, 2), (1, -2), (-1, -2), (2, 1), (-2, 1), (2, -1), (-2, -1)]


def drawn(random, superstripes):
    """A random readout: the metadata, and the shape of a stripe."""
    reads1, skips1, reads2, skips2 = (int(random.integers(low, 9)) for low in (0, 0, 1, 0))
    repeat, interleave, many = int(random.integers(2)), int(random.integers(2)), int(random.integers(1, 5))
    step, count = (int(random.integers(1, 9)), int(random.integers(1, 6))) if superstripes else (0, 0)
    read = step if superstripes and random.random() < 0.3 else reads2
    numbers = (reads1, skips1, 0 if read is step else reads2, skips2, repeat, interleave, step, count)
    slow = reads1 + read + (many - 1) * (read + repeat * reads1)
    fast, slow_start, fast_start = (
        int(random.integers(3, 30)),
        int(random.integers(300, 1700)),
        int(random.integers(1, 2000)),
    )
    axes = AXES[random.integers(len(AXES))]
    shape, corner = (slow, fast), (slow_start, fast_start)
    if abs(axes[1]) == 1:
        shape, corner = shape[::-1], corner[::-1]
    ngroups, nints = int(random.integers(1, 4)), int(random.integers(1, 3)) * max(count, 1)
    tree = header(
        (nints, ngroups, *shape), fastaxis=axes[0], slowaxis=axes[1], ystart=corner[0], xstart=corner[1],
        noutputs=int(random.choice([1, 4])), nframes=int(random.integers(1, 3)), groupgap=int(random.integers(3)),
    )  # fmt: skip
    tree.meta.subarray.name = "SUB17STRIPE_SOSS" if random.random() < 0.2 else "GENERIC"
    tree.meta.exposure.zero_frame = bool(random.integers(2))
    for word, number in zip(WORDS, numbers, strict=True):
        setattr(tree.meta.subarray, word, number)
    return tree, (nints, ngroups, *shape)


@pytest.mark.parametrize("superstripes", [False, True])
def test_references_are_cut_to_the_official_stripes(superstripes, official):
    from jwst.lib import reffile_utils
    from stdatamodels.jwst import datamodels

    random = np.random.default_rng(61 + superstripes)
    for _ in range(25):
        tree, shape = drawn(random, superstripes)
        kind = datamodels.SuperstripeRampModel if superstripes else datamodels.RampModel
        tree.data = np.zeros(shape, "f4")
        exposure = kind(tree)
        stripes = Stripes.of(SuperstripeRamp(exposure, data=exposure.data))
        rows, columns = stripes.region
        size = rows.stop - rows.start, columns.stop - columns.start
        reference = datamodels.ReadnoiseModel(np.arange(np.prod(size), dtype="f4").reshape(size))
        reference.meta.subarray.ystart, reference.meta.subarray.xstart = rows.start + 1, columns.start + 1
        theirs = reffile_utils.get_subarray_model(exposure, reference).data
        np.testing.assert_array_equal(stripes.gather(reference.data), theirs, strict=True)


def test_stripes_are_collated_as_by_the_official_pipeline(official):
    from jwst.lib.stripe_utils import collate_superstripes
    from stdatamodels.jwst import datamodels

    random = np.random.default_rng(63)
    for _ in range(25):
        tree, shape = drawn(random, superstripes=True)
        count = tree.meta.subarray.num_superstripe
        arrays = {
            "data": random.normal(size=shape).astype("f4"),
            "groupdq": random.integers(0, 8, shape).astype("u1"),
            "pixeldq": random.integers(0, 8, (count, *shape[2:])).astype("u4"),
        }
        if tree.meta.exposure.zero_frame:
            arrays["zeroframe"] = random.normal(size=(shape[0], *shape[2:])).astype("f4")
        tree.meta.exposure.integration_start, tree.meta.exposure.integration_end = 1 + count, shape[0] + count
        tree.int_times = np.array([(k + 1, *random.random(6)) for k in range(shape[0])], tree.get_dtype("int_times"))
        official_model = datamodels.SuperstripeRampModel(tree.copy())
        for name, array in arrays.items():
            setattr(official_model, name, array.copy())
        theirs = collate_superstripes(official_model)
        ours = collated(SuperstripeRamp(tree, "exposure", **arrays))
        for name in arrays:
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name, strict=True)
        for table in ("int_times", "int_times_stripe"):
            assert (getattr(ours.tree, table) == getattr(theirs, table)).all()
        assert plain(ours.meta) == plain(theirs.meta)


def plain(meta):
    """The metadata without what depends on when and how a model was made."""
    flat = meta.instance
    return {key: flat[key] for key in ("exposure", "subarray")}


TYPES = ("mask", "saturation", "superbias", "linearity", "gain", "readnoise", "ipc")
UNEVEN = "nrc_sub64p_supstp032"  # its fit is LIKELY, where rounding may decide: see below


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Make the references of a configuration, once."""
    made = {}

    def get(name):
        base = READOUTS[name][0]
        if base not in made:
            made[base] = sample.make_references(base, tmp_path_factory.mktemp(base), types=TYPES)
        # The official ipc step fails where SUBSTRT and SUBSIZE together lie outside the detector.
        outside = 2048 in READOUTS[name][1].get("corner", ())
        return {t: path for t, path in made[base].items() if not (outside and t == "ipc")}

    return get


@pytest.mark.parametrize("name", READOUTS)
def test_every_step_gives_the_official_numbers(name, parity, official, references, tmp_path):
    official.silence()
    averaged = {"readpatt": "BRIGHT2", "zeroframe": True} if name in ("nrc_supstp", "nrc_sub164stripe4") else {}
    exposure = make_stripe_exposure(name, tmp_path, ngroups=4, seed=64, **averaged)
    settings = {f"{step}.skip": True for step in ("jump", "ramp_fit", "gain_scale")} if name == UNEVEN else {}
    differences = parity.compare_files(name, exposure, references(name), settings=settings)
    assert not failures(differences)
    assert sum(d.count - d.equal for d in differences) == 0


@pytest.mark.parametrize("name", ["nrc_supstp", "nrc_substripes"])
def test_references_made_for_the_stripes_give_the_official_numbers(name, parity, official, references, tmp_path):
    """A dark is never cut by the official pipeline; others may have the very size of substripes."""
    from stdatamodels.jwst import datamodels

    official.silence()
    exposure = make_stripe_exposure(name, tmp_path, ngroups=3, seed=65)
    files = dict(references(name))
    random = np.random.default_rng(66)
    with datamodels.open(str(exposure)) as raw:
        corner, (ny, nx) = (raw.meta.subarray.ystart, raw.meta.subarray.xstart), raw.data.shape[2:]
        if name == "nrc_supstp":
            corner, ny = (5, 1), 120
        dark = datamodels.DarkModel(random.normal(size=(3, ny, nx)).astype("f4"))
        dark.meta.exposure.nframes, dark.meta.exposure.groupgap, dark.meta.exposure.ngroups = 1, 0, 3
        gain = datamodels.GainModel(random.uniform(1, 2, (ny, nx)).astype("f4"))
        for reftype, reference in {"dark": dark, "gain": gain}.items():
            reference.meta.reftype, reference.meta.instrument.name = reftype, "NIRCAM"
            subarray = reference.meta.subarray
            (subarray.ystart, subarray.xstart), (subarray.ysize, subarray.xsize) = corner, (ny, nx)
            files[reftype] = tmp_path / f"{reftype}.fits"
            reference.save(str(files[reftype]))
    differences = parity.compare_files(name, exposure, files)
    assert sum(d.count - d.equal for d in differences) == 0


def test_groups_at_uneven_times_are_fitted_by_likelihood(parity, official, references, tmp_path):
    """All but a few rates are the official ones: with two or three usable differences rounding finds the jump."""
    official.silence()
    exposure = make_stripe_exposure(UNEVEN, tmp_path, ngroups=5, seed=21)
    differences = parity.compare_files(UNEVEN, exposure, references(UNEVEN))
    fitted = [d for d in differences if d.step in ("ramp_fit", "gain_scale")]
    assert fitted
    assert all(d.equal >= d.count - 4 for d in fitted)
    assert all(d.equal == d.count for d in differences if d not in fitted)
