// flag_jumps_at_once.cu - find cosmic-ray hits as steps between groups that are too large: many differences, one pass.
//
// With ten or more differences the median is safe from a few hits: every difference further from it than the threshold, in
// units of its expected scatter, is flagged.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

KERNEL flag_jumps_at_once(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    float*       __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few differences
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nframes, const double threshold)
{
  FOR_EACH(i, count) {
    const i64 p = start + i;
    const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
    float few[FEW];
    const double median = step.median_of_all(nscratch ? scratch + i * nscratch : few);
    const double sigma = scatter(median, readnoise[p], gain[p], nframes);
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 1; g < ngroups; ++g) {
        const float d = step(integration, g);
        if (isfinite(d) && fabs(d - median) / sigma > threshold) groupdq[p + step.at(integration, g)] |= JUMP_DET;
      }
  }
}
