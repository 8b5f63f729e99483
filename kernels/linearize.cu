// linearize.cu - undo detector non-linearity with a per-pixel polynomial.
//
//   corrected = c0 + c1 s + c2 s^2 + ... + c_{K-1} s^{K-1},   Horner from the top
//
// Saturated groups keep their count. A pixel whose reference is flagged NO_LIN_CORR, or has a coefficient that is NaN, or
// no linear term, is not corrected and flagged so. Without groupdq (a zero frame) a count of 0 is bad and stays.
// Twin: gpucal/steps/linearity.py
#include "gpucal.cuh"

KERNEL linearize(
    float*       __restrict__ ramp,      // (nints, ngroups, npix)  DN, corrected in place
    const u8*    __restrict__ groupdq,   // (nints, ngroups, npix) or null
    const float* __restrict__ coeffs,    // (ncoeffs, npix)  ascending powers
    const u32*   __restrict__ flags,     // (npix)  of the reference
    u32*         __restrict__ pixeldq,   // (npix)
    const i64 npix, const int nints, const int ngroups, const int ncoeffs)
{
  FOR_EACH(p, npix) {
    bool usable = !(flags[p] & NO_LIN_CORR) && coeffs[npix + p] != 0;
    for (int k = 0; k < ncoeffs; ++k) usable = usable && !isnan(coeffs[k * npix + p]);
    pixeldq[p] |= flags[p] | (usable ? 0 : (u32)NO_LIN_CORR);
    if (!usable) continue;

    for (int g = 0; g < nints * ngroups; ++g) {
      const i64 at = g * npix + p;
      const float s = ramp[at];
      if (groupdq ? groupdq[at] & SATURATED : s == 0) continue;
      float value = coeffs[(ncoeffs - 1) * npix + p] * s;
      for (int k = ncoeffs - 2; k > 0; --k) value = (value + coeffs[k * npix + p]) * s;
      ramp[at] = value + coeffs[p];
    }
  }
}
