// linearize.cu - undo detector non-linearity with a per-pixel polynomial.
//
//   corrected = c0 + c1 s + c2 s^2 + ... + c_{K-1} s^{K-1},   Horner from the top
//
// Saturated groups keep their count. Without groupdq (a zero frame) a count of 0 is bad and stays.
// Twin: gpucal/steps/linearity.py
#include "gpucal.cuh"

KERNEL linearize(
    float*       __restrict__ ramp,     // (nints, ngroups, npix)  DN, corrected in place
    const u8*    __restrict__ groupdq,  // (nints, ngroups, npix) or null
    const float* __restrict__ coeffs,   // (ncoeffs, npix)  ascending powers, no NaN
    const i64 npix, const int nints, const int ngroups, const int ncoeffs)
{
  FOR_EACH_2D(group, nints * ngroups, p, npix) {
    const i64 at = group * npix + p;
    const float s = ramp[at];
    float value = coeffs[(ncoeffs - 1) * npix + p] * s;
    for (int k = ncoeffs - 2; k > 0; --k) value = (value + coeffs[k * npix + p]) * s;
    value += coeffs[p];
    const bool keep = groupdq ? groupdq[at] & SATURATED : s == 0;
    ramp[at] = keep ? s : value;
  }
}
