// flag_after_jumps.cu - flag the groups after a large jump, during which the pixel still decays.
//
// Two settings work side by side: a jump of at least `size1` electrons above the median difference flags the `groups1`
// groups that follow it, and likewise size2 and groups2.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

KERNEL flag_after_jumps(
    const float* __restrict__ ramp,     // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,  // (nints, ngroups, npix)
    const float* __restrict__ gain,     // (npix)  electron/DN
    float*       __restrict__ scratch,  // (count, nscratch)  nscratch = 0 if there are few differences
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const double size1, const int groups1, const double size2, const int groups2)
{
  FOR_EACH(i, count) {
    const i64 p = start + i;
    const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
    u8 any = 0;
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 1; g < ngroups; ++g) any |= groupdq[p + step.at(integration, g)] & JUMP_DET;
    if (!any) continue;

    float few[FEW];
    const double median = step.median_of_all(nscratch ? scratch + i * nscratch : few);
    for (int integration = 0; integration < nints; ++integration) {
      int until = 0;  // the last group to flag
      for (int g = 1; g < ngroups; ++g) {
        const i64 at = p + step.at(integration, g);
        if (groupdq[at] & JUMP_DET) {
          const double size = step(integration, g) - median;
          if (size >= size1 && g + groups1 > until) until = g + groups1;
          if (size >= size2 && g + groups2 > until) until = g + groups2;
        }
        if (g <= until && !(groupdq[at] & BAD)) groupdq[at] |= JUMP_DET;
      }
    }
  }
}
