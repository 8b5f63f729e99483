"""Gain scale: rates times a factor, variances times its square."""

import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.model import Cube, Image, Slopes
from gpucal.steps import GainScale


@pytest.fixture
def slopes(backend):
    """Rates of 3, errors of 2, variances of 1."""
    from stdatamodels.jwst.datamodels import CubeModel, ImageModel

    values = {"data": 3, "err": 2, "var_poisson": 1, "var_rnoise": 1}

    def arrays(shape):
        return {name: backend.upload(np.full(shape, value, "f4")) for name, value in values.items()}

    return Slopes(Image(ImageModel(), **arrays((2, 2))), Cube(CubeModel(), **arrays((3, 2, 2))))


def check(slopes, rate, err, variance):
    for model in slopes:
        for name, expected in (("data", rate), ("err", err), ("var_poisson", variance), ("var_rnoise", variance)):
            assert (to_host(getattr(model, name)) == expected).all(), name


def test_factor_of_the_exposure_scales_both_products(slopes):
    slopes.meta.exposure.gain_factor = 2.0
    check(GainScale().process(slopes), rate=6, err=4, variance=4)


def test_factor_of_the_gain_reference_is_used_and_noted(slopes, reference):
    GainScale().process(slopes, reference("gain", data=np.ones((2, 2)), GAINFACT=0.5))
    check(slopes, rate=1.5, err=1, variance=0.25)
    assert [model.meta.exposure.gain_factor for model in slopes] == [0.5, 0.5]


def test_factor_of_the_exposure_goes_before_the_references(slopes, reference):
    slopes.meta.exposure.gain_factor = 2.0
    check(GainScale().process(slopes, reference("gain", data=np.ones((2, 2)), GAINFACT=8.0)), rate=6, err=4, variance=4)


def test_step_without_a_factor_is_skipped(slopes, references, reference):
    result, outcome = GainScale().run(slopes, references(gain=reference("gain", data=np.ones((2, 2)))))
    assert (outcome.status, outcome.reason) == ("SKIPPED", "no GAINFACT")
    assert [model.meta.cal_step.gain_scale for model in result] == ["SKIPPED", "SKIPPED"]
    check(slopes, rate=3, err=2, variance=1)


def test_step_runs_without_a_reference(slopes, references):
    slopes.meta.exposure.gain_factor = 2.0
    result, outcome = GainScale().run(slopes, references())
    assert outcome.status == "COMPLETE"
    assert [model.meta.cal_step.gain_scale for model in result] == ["COMPLETE", "COMPLETE"]


def test_step_can_be_called_on_both_products(slopes, backend):
    slopes.meta.exposure.gain_factor = 2.0
    check(GainScale()(slopes, device=backend), rate=6, err=4, variance=4)
    check(slopes, rate=3, err=2, variance=1)


@pytest.mark.parametrize("which", ["rate", "rateints"])
def test_step_can_be_called_on_one_product(slopes, backend, which):
    product = getattr(slopes, which)
    product.meta.exposure.gain_factor = 2.0
    result = GainScale()(product, device=backend)
    assert (to_host(result.data) == 6).all()
    assert (to_host(product.data) == 3).all()
