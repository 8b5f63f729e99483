"""Flag low: the flags are right, and the kernel gives the same as NumPy."""

import numpy as np
import pytest
from gpucal_flag_low import FlagLow, flag_low_counts

from gpucal import device


@pytest.mark.parametrize("name", ["numpy", "host"])
def test_low_counts_are_flagged(name):
    device.choose(name)
    ramp = np.array([-2000, -1000, 5], "f4")
    flags = np.array([4, 0, 0], "u1")
    flag_low_counts(ramp, flags, limit=FlagLow().limit)
    assert flags.tolist() == [5, 0, 0]
