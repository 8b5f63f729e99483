// flag_irs2_saturation.cu - flag saturated groups of the normal pixels of IRS2 frames, and of their neighbours.
// Twin: gpucal/steps/saturation.py
#include "gpucal.cuh"

KERNEL flag_irs2_saturation(
    u8*        __restrict__ groupdq,  // (nints, ngroups, nrows, nx)
    const int* __restrict__ rows,     // (ny)  of the frame
    const u16* __restrict__ first,    // (nints, ny, nx)  from find_irs2_saturation
    const u8*  __restrict__ hidden,   // (nints, ny, nx)
    const i64 nrows, const i64 nx, const i64 ny, const int nints, const int ngroups, const int grow)
{
  FOR_EACH_2D(line, nints * ny, x, nx) {
    const i64 y = line % ny, integration = line / ny;
    int g0 = ngroups, jump = 0;
    for (i64 v = y - grow < 0 ? 0 : y - grow; v <= y + grow && v < ny; ++v)
      for (i64 u = x - grow < 0 ? 0 : x - grow; u <= x + grow && u < nx; ++u) {
        const i64 there = (integration * ny + v) * nx + u;
        g0 = first[there] < g0 ? first[there] : g0;
        jump |= hidden[there];
      }
    u8* flags = groupdq + (integration * ngroups * nrows + rows[y]) * nx + x;
    for (int g = g0; g < ngroups; ++g) flags[g * nrows * nx] |= SATURATED;
    if (jump) flags[nrows * nx] |= SATURATED;
  }
}
