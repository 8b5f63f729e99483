// suppress_lone_groups.cu - take integrations with a single good group out of use: one group alone has no slope.
// Twin: gpucal/steps/ramp_fit.py
#include "gpucal.cuh"

KERNEL suppress_lone_groups(
    u8* __restrict__ groupdq,  // (nints, ngroups, npix)
    const i64 npix, const int nints, const int ngroups)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const i64 start = integration * ngroups * npix + p;
    int good = 0;
    for (int g = 0; g < ngroups; ++g) good += !(groupdq[start + g * npix] & (u8)~PERSISTENCE);
    if (good != 1) continue;
    for (int g = 0; g < ngroups; ++g) groupdq[start + g * npix] |= DO_NOT_USE;
  }
}
