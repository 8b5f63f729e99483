// find_irs2_saturation.cu - find the first saturated group of every normal pixel of IRS2 frames.
//
// As find_saturation.cu, but flags that are there already do not count. A count of the second group that has grown so much
// since the first that a hit in its last frame must have brought the third to saturation is a hidden jump.
// Twin: gpucal/steps/saturation.py
#include "gpucal.cuh"

KERNEL find_irs2_saturation(
    const float* __restrict__ ramp,       // (nints, ngroups, nrows, nx)  DN, with bias
    u8*          __restrict__ groupdq,    // (nints, ngroups, nrows, nx)
    const float* __restrict__ threshold,  // (ny, nx)  DN
    const float* __restrict__ bias,       // (nrows, nx) or null  DN
    const int*   __restrict__ rows,       // (ny)  of the frame
    u16*         __restrict__ first,      // (nints, ny, nx)  the first saturated group; ngroups if none
    u8*          __restrict__ hidden,     // (nints, ny, nx)
    const i64 nrows, const i64 nx, const i64 ny, const int nints, const int ngroups, const int nframes)
{
  FOR_EACH_2D(line, nints * ny, x, nx) {
    const i64 y = line % ny, i = line * nx + x, at = rows[y] * nx + x, plane = nrows * nx;
    const float limit = threshold[y * nx + x];
    const float* counts = ramp + line / ny * ngroups * plane + at;
    u8* flags = groupdq + line / ny * ngroups * plane + at;
    int found = ngroups;
    for (int g = ngroups - 1; g >= 0; --g) {
      if (counts[g * plane] >= limit) found = g;
      if (counts[g * plane] <= 0) flags[g * plane] |= AD_FLOOR | DO_NOT_USE;
    }
    first[i] = (u16)found;
    hidden[i] = 0;
    if (nframes && counts[2 * plane] >= limit) {
      const float d0 = counts[0], d1 = counts[plane], b = bias ? bias[at] : 0;
      const double expected = (double)(d0 - b) / ((1 + nframes) / 2.0) * (3.0 * nframes) + (double)b;
      hidden[i] = expected < (double)limit && d1 - d0 > (limit - d0) / (float)nframes;
    }
  }
}
