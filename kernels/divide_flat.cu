// divide_flat.cu - divide rates by the flat field, or multiply, and tell their errors and flags anew.
//
// The variance of the flat is that of rates divided already; the error is the root of all variances. What is NaN
// anywhere, or flagged DO_NOT_USE, becomes both everywhere. All in single precision, as in the official pipeline.
// Twin: gpucal/steps/flat_field.py
#include "gpucal.cuh"

KERNEL divide_flat(
    float*       __restrict__ data,         // (nints, npix)  DN/s
    float*       __restrict__ err,          // (nints, npix)  DN/s, written only
    u32*         __restrict__ dq,           // (nints, npix)
    float*       __restrict__ var_poisson,  // (nints, npix)  (DN/s)^2
    float*       __restrict__ var_rnoise,   // (nints, npix)  (DN/s)^2
    float*       __restrict__ var_flat,     // (nints, npix)  (DN/s)^2, written only
    const float* __restrict__ response,     // (npix)  1 where the flat cannot be used
    const float* __restrict__ error,        // (npix)  of the response
    const u32*   __restrict__ flags,        // (npix)  of the flat
    const i64 npix, const int nints, const int inverse)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const i64 at = integration * npix + p;
    const float flat = response[p], square = flat * flat, variance = error[p] * error[p];
    const float d = inverse ? data[at] * flat : data[at] / flat;
    const float vp = inverse ? var_poisson[at] * square : var_poisson[at] / square;
    const float vr = inverse ? var_rnoise[at] * square : var_rnoise[at] / square;
    const float vf = inverse ? 0.0f : d * d / square * variance;
    const float e = sqrt(vp + vr + vf);  // NaN if a variance is
    const u32 flag = dq[at] | flags[p];
    const bool lost = isnan(d) || isnan(e) || (flag & DO_NOT_USE);
    data[at] = lost ? NAN : d;
    err[at] = lost ? NAN : e;
    var_poisson[at] = lost ? NAN : vp;
    var_rnoise[at] = lost ? NAN : vr;
    var_flat[at] = lost ? NAN : vf;
    dq[at] = lost ? flag | DO_NOT_USE : flag;
  }
}
