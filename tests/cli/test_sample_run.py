"""The first command of the README: no input, simulated exposures, and slopes that are the truth."""

import numpy as np
import pytest
from astropy.io import fits


@pytest.mark.slow
def test_without_input_the_sample_is_calibrated_and_the_slopes_are_true(gpucal_command, tmp_path):
    code, output = gpucal_command("+instrument=nircam")
    assert code == 0
    assert output.startswith("No input: simulated nircam exposures (seed 1), made in out/sample")
    rates = sorted((tmp_path / "out").glob("*_rate.fits"))
    assert len(rates) == 3
    for rate in rates:
        pulls = _pulls(rate, tmp_path / "out" / "sample")
        assert abs(np.mean(pulls)) < 0.1
        assert 0.9 < np.std(pulls) < 1.25


def _pulls(rate, folder):
    """(slope - truth) / error of the pixels without flags."""
    (truth,) = folder.rglob(rate.name.replace("_rate.fits", "_truth.npz"))
    (gain,) = folder.rglob("gain.fits")
    with fits.open(rate) as hdus, np.load(truth) as known:
        expected = known["rate"] / fits.getdata(gain)
        good = (hdus["DQ"].data == 0) & (hdus["ERR"].data > 0) & (known["rate"] > 0)
        return ((hdus["SCI"].data - expected) / hdus["ERR"].data)[good]
