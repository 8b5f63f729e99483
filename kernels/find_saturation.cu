// find_saturation.cu - find the first saturated group of every pixel, and flag counts at the A/D converter's floor.
//
// A group is saturated if its count reaches the threshold or if it is flagged already; saturation lasts to the end of the
// integration. A count of zero or less says nothing about the light: AD_FLOOR and DO_NOT_USE, in that group alone.
// Twin: gpucal/steps/saturation.py
#include "gpucal.cuh"

KERNEL find_saturation(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN, with bias
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ threshold,  // (npix)  DN
    u16*         __restrict__ first,      // (nints, npix)  the first saturated group; ngroups if none
    const i64 npix, const int nints, const int ngroups)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const i64 i = integration * npix + p;
    const i64 start = integration * ngroups * npix + p;
    int found = ngroups;
    for (int g = 0; g < ngroups; ++g) {
      const i64 at = start + g * npix;
      if (found == ngroups && (ramp[at] >= threshold[p] || (groupdq[at] & SATURATED))) found = g;
      if (ramp[at] <= 0) groupdq[at] |= AD_FLOOR | DO_NOT_USE;
    }
    first[i] = (u16)found;
  }
}
