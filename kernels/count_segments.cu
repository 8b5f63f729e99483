// count_segments.cu - count the segments and the jumps of every integration, to know the size of the optional results.
// Twin: gpucal/optional_results.py
#include "segments.cuh"

KERNEL count_segments(
    const u8*    __restrict__ groupdq,    // (nints, nall, npix)
    const float* __restrict__ zeroframe,  // (nints, npix) or null  DN; given if lone groups are to be used
    u16*         __restrict__ nsegments,  // (nints, npix)
    u16*         __restrict__ njumps,     // (nints, npix)
    const i64 npix, const int nints, const int nall, const int first, const int ngroups)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const u8* flags = groupdq + (integration * nall + first) * npix + p;
    const float* zero = zeroframe ? zeroframe + integration * npix + p : 0;
    // No value is looked at, so none is given.
    const Case one = judge({0, flags, npix, ngroups, first > 0, 0.f}, 255, zeroframe != 0, zero, {0, 0, 0});
    int n, segments = 0, jumps = 0;
    if (!(one.ramp.flag(0) & SATURATED)) {
      const int longest = longest_segment(one.ramp);
      // Lone groups are counted, though only the first of them is kept: the official product has room for all.
      for (int s = next_segment(one.ramp, 0, &n); n; s = next_segment(one.ramp, s + n, &n)) segments += longest == 1 || n > 1;
    }
    for (int g = 1; g < ngroups; ++g) jumps += (flags[g * npix] & JUMP_DET) != 0;
    nsegments[integration * npix + p] = (u16)segments;
    njumps[integration * npix + p] = (u16)jumps;
  }
}
