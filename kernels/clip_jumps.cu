// clip_jumps.cu - find cosmic-ray hits in long time series, as outliers among the same differences of all integrations.
//
// What the last limits of the clipping exclude is flagged. A set is one difference in all integrations, or all differences of a pixel (nsets = 1).
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

KERNEL clip_jumps(
    const float* __restrict__ ramp,     // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,  // (nints, ngroups, npix)
    const float* __restrict__ gain,     // (npix)  electron/DN
    float*       __restrict__ scratch,  // (count, nscratch)
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nsets, const double threshold, const int rounds)
{
  FOR_EACH(i, count * nsets) {
    const i64 p = start + i / nsets;
    const int set = (int)(i % nsets);
    const int g0 = nsets == 1 ? 1 : set + 1, g1 = nsets == 1 ? ngroups : set + 2;
    const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
    float* values = scratch + i / nsets * nscratch + (nsets == 1 ? 0 : (i64)set * nints);

    const Limits limit = clip(step, nints, g0, g1, values, threshold, rounds);
    for (int integration = 0; integration < nints; ++integration)
      for (int g = g0; g < g1; ++g) {
        const float d = step(integration, g);
        const i64 at = p + step.at(integration, g);
        if (isfinite(d) && (d < limit.low || d > limit.high) && !(groupdq[at] & BAD)) groupdq[at] |= JUMP_DET;
      }
  }
}
