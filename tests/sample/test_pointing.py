"""The projection: between the sky, the telescope's frame and the pixels."""

import numpy as np
import pytest

from gpucal.sample.configurations import CONFIGURATIONS
from gpucal.sample.optics import distortion
from gpucal.sample.pointing import Pointing

TURNED = Pointing(v2=120.7, v3=-527.4, ra=359.99, dec=-69.5, roll=35.0)


@pytest.fixture(params=CONFIGURATIONS)
def configuration(request):
    return CONFIGURATIONS[request.param]


def test_the_reference_point_lies_where_the_telescope_points():
    np.testing.assert_allclose(TURNED.sky(TURNED.v2, TURNED.v3), (TURNED.ra, TURNED.dec), rtol=0, atol=1e-12)


def test_a_step_along_v3_goes_to_the_roll_angle_east_of_north():
    ra, dec = TURNED.sky(TURNED.v2, TURNED.v3 + 0.01)
    east, north = (ra - TURNED.ra) * np.cos(np.deg2rad(TURNED.dec)), dec - TURNED.dec
    assert np.rad2deg(np.arctan2(east, north)) == pytest.approx(TURNED.roll, abs=1e-4)


def test_the_telescope_frame_is_not_mirrored():
    """V2 lies 90 degrees east of V3 as seen from within the sphere."""
    ra, dec = TURNED.sky(TURNED.v2 + 0.01, TURNED.v3)
    east, north = (ra - TURNED.ra) * np.cos(np.deg2rad(TURNED.dec)), dec - TURNED.dec
    assert np.rad2deg(np.arctan2(east, north)) == pytest.approx(TURNED.roll + 90, abs=1e-4)


def test_from_the_telescope_to_the_sky_and_back_changes_nothing():
    v2, v3 = np.random.default_rng(1).uniform(-900, 900, (2, 100))
    ra, dec = TURNED.sky(v2, v3)
    assert ((ra >= 0) & (ra < 360)).all()
    np.testing.assert_allclose(TURNED.telescope(ra, dec), (v2, v3), rtol=0, atol=1e-8)


def test_from_pixels_to_the_sky_and_back_changes_nothing(configuration):
    pointing, optics = Pointing.of(configuration), distortion(configuration)
    ny, nx = configuration.full_shape
    x, y = np.random.default_rng(1).uniform(-0.5, (nx - 0.5, ny - 0.5), (200, 2)).T
    sky = pointing.sky(*optics(x, y))
    np.testing.assert_allclose(optics.inverse(*pointing.telescope(*sky)), (x, y), rtol=0, atol=1e-6)


def test_the_centre_of_the_detector_is_its_reference_point(configuration):
    ny, nx = configuration.full_shape
    there = distortion(configuration)((nx - 1) / 2, (ny - 1) / 2)
    np.testing.assert_allclose(there, (configuration.v2, configuration.v3), atol=1e-9)


def test_pixels_have_the_size_that_the_configuration_states(configuration):
    ny, nx = configuration.full_shape
    x, y = (nx - 1) / 2 + np.array([0, 1]), np.full(2, (ny - 1) / 2)
    step = np.hypot(*np.diff(distortion(configuration)(x, y)))
    assert step == pytest.approx(configuration.pixel_scale, rel=1e-3)


@pytest.mark.parity
def test_the_projection_is_the_official_one():
    official = pytest.importorskip("jwst.assign_wcs.pointing")
    random = np.random.default_rng(1)
    for _ in range(10):
        v2, v3, roll, ra, dec = random.uniform((-900, -900, 0, 0, -89), (900, 900, 360, 360, 89))
        ours, theirs = Pointing(v2, v3, ra, dec, roll), official._v23tosky(v2 / 3600, v3 / 3600, roll, ra, dec)
        there = random.uniform(-900, 900, (2, 100))
        turned = np.subtract(ours.sky(*there), theirs(*there))
        turned[0] = (turned[0] + 180) % 360 - 180
        assert abs(turned).max() < 1e-9
