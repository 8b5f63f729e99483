// find_spreading.cu - find the jumps that were large enough to leave charge in the four neighbouring pixels.
//
// That is, those between `least` and `most` times the expected scatter away from the pixel's median difference. Counts
// all jumps, and drops the flag from groups that are not used anyway.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

// Count the jumps of a tile of pixels from p on (those from `end` on repeat the last). A whole tile is a case of its own so
// that the compiler sees neighbours.
template <bool WHOLE>
DEVICE void count_jumps(const u8* groupdq, i64 npix, int nplanes, i64 p, i64 end, u32* found) {
  FOR_LANES(l) found[l] = 0;
  for (int plane = 0; plane < nplanes; ++plane)
    FOR_LANES(l) found[l] += (groupdq[plane * npix + (WHOLE || p + l < end ? p + l : end - 1)] & JUMP_DET) != 0;
}

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
  FOR_EACH_TILE(first, count) {
    u32 found[LANES];
    if (first + LANES <= count) count_jumps<true>(groupdq, npix, nints * ngroups, start + first, start + count, found);
    else count_jumps<false>(groupdq, npix, nints * ngroups, start + first, start + count, found);
    u32 any = 0;
    for (int l = 0; l < LANES; ++l) any |= found[l];
    double median[LANES];
    float few[FEW][LANES];
    if (any && !nscratch && first + LANES <= count)
      medians<true>(ramp, groupdq, gain, npix, nints, ngroups, start + first, start + count, few, median);
    else if (any && !nscratch)
      medians<false>(ramp, groupdq, gain, npix, nints, ngroups, start + first, start + count, few, median);
    for (int l = 0; l < LANES && first + l < count; ++l) {
      const i64 p = start + first + l;
      for (int w = 0; w < nints * nwords; ++w) spreading[w * npix + p] = 0;
      if (!found[l]) continue;
      atomic_add(jumps, found[l]);

      const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
      if (nscratch) median[l] = step.median_of_all(scratch + (first + l) * nscratch);
      const double sigma = scatter(median[l], readnoise[p], gain[p], nframes);
      for (int integration = 0; integration < nints; ++integration)
        for (int g = 0; g < ngroups; ++g) {
          const i64 at = p + step.at(integration, g);
          if (!(groupdq[at] & JUMP_DET)) continue;
          if (groupdq[at] & BAD) groupdq[at] &= (u8)~JUMP_DET;
          const double ratio = g ? fabs(step(integration, g) - median[l]) / sigma : (double)NAN;
          if (ratio > least && ratio < most) spreading[((i64)integration * nwords + g / 32) * npix + p] |= 1u << g % 32;
        }
    }
  }
}
