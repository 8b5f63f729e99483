// clip_differences.cu - find what each difference from group to group is without a hit, and its scatter, in time series.
//
// The median and the standard deviation over all integrations of what clipping leaves, in single precision.
// Twin: gpucal/large_events/showers.py
#include "showers.cuh"

KERNEL clip_differences(
    const float* __restrict__ ramp,      // (nints, ngroups, npix)  DN
    const u8*    __restrict__ groupdq,   // (nints, ngroups, npix)
    const float* __restrict__ gain,      // (npix)  electron/DN
    float*       __restrict__ scratch,   // (count, nscratch)
    float*       __restrict__ expected,  // (ndiffs, npix)  electron
    float*       __restrict__ sigma,     // (ndiffs, npix)  electron
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int ndiffs, const int never, const double threshold, const int rounds)
{
  FOR_EACH(i, count * ndiffs) {
    const i64 p = start + i / ndiffs;
    const int diff = (int)(i % ndiffs);
    const QuietSteps step = {ramp + p, groupdq + p, npix, gain[p], ngroups, {never}};
    float* values = scratch + i / ndiffs * nscratch + (i64)diff * nints;
    const Limits limit = clip(step, nints, diff + 1, diff + 2, values, threshold, rounds);
    int n = 0;
    float sum = 0, squares = 0;
    for (int integration = 0; integration < nints; ++integration) {
      const float d = step(integration, diff + 1);
      if (!isfinite(d) || d < limit.low || d > limit.high) continue;
      values[n++] = d;
      sum += d;
    }
    const float mean = (float)((double)sum / n);
    for (int k = 0; k < n; ++k) squares += (values[k] - mean) * (values[k] - mean);
    expected[diff * npix + p] = n ? median(values, n) : NAN;
    sigma[diff * npix + p] = n ? sqrt((float)((double)squares / n)) : NAN;
  }
}
