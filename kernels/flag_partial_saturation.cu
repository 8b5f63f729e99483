// flag_partial_saturation.cu - take groups that averaged saturated with unsaturated frames out of use.
//
// Two kinds: those that flag_saturation noted, with their neighbours; and a second group into which saturation must have
// jumped, because the first group alone would not have led to saturation by the third, and the step to the second is more
// than one frame at the threshold would add.
// Twin: gpucal/steps/saturation.py
#include "gpucal.cuh"

KERNEL flag_partial_saturation(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN, with bias
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ threshold,  // (npix)  DN
    const float* __restrict__ bias,       // (npix) or null  DN
    const u16*   __restrict__ grown,      // (nints, npix)  from flag_saturation
    const u16*   __restrict__ partial,    // (nints, npix)  from flag_saturation
    const i64 npix, const int nints, const int ngroups, const int nx, const int grow, const int nframes)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const i64 i = integration * npix + p;
    const int ny = (int)(npix / nx), y = (int)(p / nx), x = (int)(p % nx);
    const i64 start = integration * ngroups * npix + p;
    for (int v = y - grow < 0 ? 0 : y - grow; v <= y + grow && v < ny; ++v)
      for (int u = x - grow < 0 ? 0 : x - grow; u <= x + grow && u < nx; ++u) {
        const int g = partial[integration * npix + (i64)v * nx + u];
        if (g < ngroups) groupdq[start + g * npix] |= DO_NOT_USE;
      }

    if (ngroups <= 2 || grown[i] != 2) continue;
    const float b = bias ? bias[p] : 0.f, d0 = ramp[start], d1 = ramp[start + npix];
    const double middle = (1 + nframes) / 2.0, third = 3.0 * nframes;  // frames since the reset
    const double expected = (double)(d0 - b) / middle * third + (double)b;
    if (expected < (double)threshold[p] && d1 - d0 > (threshold[p] - d0) / (float)nframes)
      groupdq[start + npix] |= DO_NOT_USE;
  }
}
