// flag_saturation.cu - flag saturated groups, of a pixel and of its neighbours, whose charge spills over.
//
// Where a group averages several frames, the last frames of the group before the first saturated one may have been
// saturated already: its count then reaches the threshold diluted by the frames before. Such groups are only noted here
// (`partial`), because their neighbours must be flagged too: flag_partial_saturation does it.
// Twin: gpucal/steps/saturation.py
#include "gpucal.cuh"

KERNEL flag_saturation(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN, with bias
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ threshold,  // (npix)  DN
    const double* __restrict__ dilution,  // (ngroups)  mean time of a group's frames over the time of its last
    const u32*   __restrict__ flags,      // (npix)  of the threshold
    const u16*   __restrict__ first,      // (nints, npix)  from find_saturation
    u16*         __restrict__ grown,      // (nints, npix)  the first saturated group, neighbours considered
    u16*         __restrict__ partial,    // (nints, npix)  the group saturated in part; ngroups if none
    const i64 npix, const int nints, const int ngroups, const int nx, const int grow)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const i64 i = integration * npix + p;
    const int ny = (int)(npix / nx), y = (int)(p / nx), x = (int)(p % nx);
    int g0 = ngroups;
    for (int v = y - grow < 0 ? 0 : y - grow; v <= y + grow && v < ny; ++v)
      for (int u = x - grow < 0 ? 0 : x - grow; u <= x + grow && u < nx; ++u) {
        const int there = first[integration * npix + (i64)v * nx + u];
        if (there < g0) g0 = there;
      }
    const i64 start = integration * ngroups * npix + p;
    for (int g = g0; g < ngroups; ++g) groupdq[start + g * npix] |= SATURATED;

    int in_part = ngroups;
    const int g = g0 - 1;
    if (g >= 0 && g0 < ngroups && dilution[g] != 1 && !(groupdq[start + g * npix] & BAD)) {
      const double reach = flags[p] & NO_SAT_CHECK ? 1 : dilution[g];
      if ((double)ramp[start + g * npix] >= (double)threshold[p] * reach) in_part = g;
    }
    grown[i] = (u16)g0;
    partial[i] = (u16)in_part;
  }
}
