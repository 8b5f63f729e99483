// find_spreading.cu - find the jumps that were large enough to leave charge in the four neighbouring pixels.
//
// That is, those between `least` and `most` times the expected scatter away from the pixel's median difference. Counts
// all jumps, and drops the flag from groups that are not used anyway.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

KERNEL find_spreading(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    float*       __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few differences
    u32*         __restrict__ spreading,  // (nints, nwords, npix)  one bit for each group
    u32*         __restrict__ jumps,      // (one)  their number is added
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nwords, const int one, const int nframes, const double least, const double most)
{
  FOR_EACH(i, count) {
    const i64 p = start + i;
    const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
    u32 found = 0;
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 0; g < ngroups; ++g) found += (groupdq[p + step.at(integration, g)] & JUMP_DET) != 0;
    for (int w = 0; w < nints * nwords; ++w) spreading[w * npix + p] = 0;
    if (!found) continue;
    atomic_add(jumps, found);

    float few[FEW];
    const double median = step.median_of_all(nscratch ? scratch + i * nscratch : few);
    const double sigma = scatter(median, readnoise[p], gain[p], nframes);
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 0; g < ngroups; ++g) {
        const i64 at = p + step.at(integration, g);
        if (!(groupdq[at] & JUMP_DET)) continue;
        if (groupdq[at] & BAD) groupdq[at] &= (u8)~JUMP_DET;
        const double ratio = g ? fabs(step(integration, g) - median) / sigma : (double)NAN;
        if (ratio > least && ratio < most) spreading[((i64)integration * nwords + g / 32) * npix + p] |= 1u << g % 32;
      }
  }
}
