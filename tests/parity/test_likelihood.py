"""A full frame fitted by likelihood has the official rates, in every bit, where NumPy's powers are the C library's."""

import os
import subprocess
import sys

import pytest

from tests.parity.conftest import ROOT

pytestmark = pytest.mark.slow

# With AVX-512 NumPy has powers of its own, rounded otherwise: the official rates then differ from those of machines
# without it, in a few pixels where rounding decides. Names of several versions of NumPy.
PLAIN_POWERS = "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"


def test_a_full_frame_is_equal_to_the_last_bit(official, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "parity.py", "nrc_full:10x1:2+ramp_fit.algorithm=LIKELY"],
        text=True, capture_output=True, cwd=tmp_path,
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": PLAIN_POWERS, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "met, 0 of" in done.stdout
