// flag_jumps_at_once.cu - find cosmic-ray hits as steps between groups that are too large: many differences, one pass.
//
// With ten or more differences the median is safe from a few hits: every difference further from it than the threshold, in
// units of its expected scatter, is flagged.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

// Judge a tile of pixels from p on (those from `end` on are left out). A whole tile is a case of its own so that the
// compiler sees neighbours.
template <bool WHOLE>
DEVICE void judge(
    const float* ramp, u8* groupdq, const float* gain, const float* readnoise, i64 npix, int nints, int ngroups, i64 p,
    i64 end, const double* median, int nframes, double threshold)
{
  float before[LANES];  // NaN if the group before is not to be used
  double sigma[LANES];
  FOR_LANES(l) {
    if (!WHOLE && p + l >= end) continue;
    sigma[l] = scatter(median[l], readnoise[p + l], gain[p + l], nframes);
  }
  for (int integration = 0; integration < nints; ++integration)
    for (int g = 0; g < ngroups; ++g)
      FOR_LANES(l) {
        if (!WHOLE && p + l >= end) continue;
        const i64 at = ((i64)integration * ngroups + g) * npix + p + l;
        const float now = groupdq[at] & BAD ? NAN : ramp[at] * gain[p + l];
        const float d = g ? now - before[l] : NAN;
        const bool jump = isfinite(d) && fabs(d - median[l]) / sigma[l] > threshold;
        groupdq[at] |= jump ? JUMP_DET : 0;
        before[l] = now;
      }
}

KERNEL flag_jumps_at_once(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    float*       __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few differences
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nframes, const double threshold)
{
  FOR_EACH_TILE(first, count) {
    const i64 p = start + first, end = start + count;
    double median[LANES];
    float few[FEW][LANES];
    if (nscratch)
      for (int l = 0; l < LANES && p + l < end; ++l) {
        const Steps step = {ramp + p + l, groupdq + p + l, npix, gain[p + l], nints, ngroups};
        median[l] = step.median_of_all(scratch + (first + l) * nscratch);
      }
    else if (p + LANES <= end)
      medians<true>(ramp, groupdq, gain, npix, nints, ngroups, p, end, few, median);
    else
      medians<false>(ramp, groupdq, gain, npix, nints, ngroups, p, end, few, median);
    if (p + LANES <= end)
      judge<true>(ramp, groupdq, gain, readnoise, npix, nints, ngroups, p, end, median, nframes, threshold);
    else
      judge<false>(ramp, groupdq, gain, readnoise, npix, nints, ngroups, p, end, median, nframes, threshold);
  }
}
