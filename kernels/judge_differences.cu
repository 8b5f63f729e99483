// judge_differences.cu - express differences from group to group in units of their scatter, beyond what is expected.
//
// Some planes of differences, counted through all integrations, are written one above another, with a margin around each
// that stays as it is. NaN where a difference cannot be judged.
// Twin: gpucal/large_events/showers.py
#include "showers.cuh"

KERNEL judge_differences(
    const float* __restrict__ ramp,      // (nints, ngroups, ny, nx)  DN
    const u8*    __restrict__ groupdq,   // (nints, ngroups, ny, nx)
    const u32*   __restrict__ pixeldq,   // (ny, nx)
    const float* __restrict__ gain,      // (ny, nx)  electron/DN
    const float* __restrict__ expected,  // (nsets, ny, nx)  electron; one for all differences, or one for each of them
    const float* __restrict__ sigma,     // (nsets, ny, nx)  electron
    float*       __restrict__ excess,    // (rows, width)  sigma
    const int nints, const int ngroups, const i64 ny, const i64 nx, const int nsets, const i64 rows, const i64 width,
    const i64 first, const i64 nplanes, const int never, const int margin)
{
  const LeftOut left_out = {never};
  FOR_EACH_2D(row, nplanes * ny, x, nx) {
    const i64 plane = row / ny, difference = (first + plane) % (ngroups - 1), integration = (first + plane) / (ngroups - 1);
    const i64 p = row % ny * nx + x, q = (nsets > 1 ? difference : 0) * ny * nx + p;
    const i64 before = (integration * ngroups + difference) * ny * nx + p, now = before + ny * nx;
    const u32 hit = (groupdq[now] | pixeldq[p]) & (BAD | JUMP_DET);
    const bool unused = hit || pixeldq[p] == REFERENCE_PIXEL || left_out(groupdq[now]) || left_out(groupdq[before]);
    const float ratio = fabsf(ramp[now] * gain[p] - ramp[before] * gain[p] - expected[q]) / sigma[q];
    excess[(row + (plane + 1) * margin) * width + x + margin] = !unused && ratio < INFINITY ? ratio : NAN;
  }
}
