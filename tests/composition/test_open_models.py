"""Open models of the official package serve as reference files."""

import numpy as np
from stdatamodels.jwst import datamodels

import gpucal


def test_an_open_model_is_a_reference(made, tmp_path):
    """Of a step, of a pipeline and of a run; products say which it was, and the model stays as it is."""
    with datamodels.open(str(made[1] / "superbias.fits")) as bias:
        bias.data = bias.data + 100
        name = bias.meta.filename
        exposure = str(made[0])
        bias.copy().save(str(tmp_path / "same.fits"))
        same = gpucal.pipeline("superbias", override={"superbias": tmp_path / "same.fits"})(exposure)
        results = [
            gpucal.steps.Superbias(override_superbias=bias)(exposure),
            gpucal.pipeline("superbias", references=made[1], override={"superbias": bias})(exposure),
        ]
        (fate,) = gpucal.run(exposure, tmp_path, references=made[1], override={"superbias": bias}, pipeline="superbias")
        assert bias.meta.filename == name == "superbias.fits"
    for result in [*results, gpucal.model.open(fate.products[0])]:
        assert result.meta.ref_file.superbias.name == "superbias.fits"
        np.testing.assert_array_equal(result.data, same.data)
    plain = gpucal.pipeline("superbias", references=made[1])(exposure)
    assert (plain.data != same.data).mean() > 0.9
