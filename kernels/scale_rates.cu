// scale_rates.cu - multiply rates by a factor, or divide, and their variances by its square.
//
// What is NaN anywhere, or flagged DO_NOT_USE, becomes both everywhere. In double precision, rounded once: for a factor
// of single precision that is what single precision gives.
// Twin: gpucal/steps/photom.py
#include "gpucal.cuh"

KERNEL scale_rates(
    float* __restrict__ data,         // (npix)  DN/s to MJy/sr
    float* __restrict__ err,          // (npix)  the same
    u32*   __restrict__ dq,           // (npix)
    float* __restrict__ var_poisson,  // (npix) or null
    float* __restrict__ var_rnoise,   // (npix) or null
    float* __restrict__ var_flat,     // (npix) or null
    const double factor, const double square, const i64 npix, const int inverse)
{
  FOR_EACH(p, npix) {
    const float d = (float)(inverse ? data[p] / factor : data[p] * factor);
    const float e = (float)(inverse ? err[p] / factor : err[p] * factor);
    float vp = 0, vr = 0, vf = 0;
    if (var_poisson) vp = (float)(inverse ? var_poisson[p] / square : var_poisson[p] * square);
    if (var_rnoise) vr = (float)(inverse ? var_rnoise[p] / square : var_rnoise[p] * square);
    if (var_flat) vf = (float)(inverse ? var_flat[p] / square : var_flat[p] * square);
    const u32 flag = dq[p];
    const bool lost = isnan(d) || isnan(e) || isnan(vp) || isnan(vr) || isnan(vf) || (flag & DO_NOT_USE);
    data[p] = lost ? NAN : d;
    err[p] = lost ? NAN : e;
    if (var_poisson) var_poisson[p] = lost ? NAN : vp;
    if (var_rnoise) var_rnoise[p] = lost ? NAN : vr;
    if (var_flat) var_flat[p] = lost ? NAN : vf;
    dq[p] = lost ? flag | DO_NOT_USE : flag;
  }
}
