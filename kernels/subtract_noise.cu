// subtract_noise.cu - subtract from a ramp what a table says for the clock within a wave's period.
// Twin: gpucal/emi/sequential.py
#include "gpucal.cuh"

KERNEL subtract_noise(
    float*        __restrict__ ramp,    // (nints, ngroups, nquads, namps)  DN, corrected in place
    const double* __restrict__ clock,   // (nquads)  when it is read in a frame
    const double* __restrict__ starts,  // (nints, ngroups)  when the frame begins
    const double* __restrict__ noise,   // (nclocks)  DN
    const int nints, const int ngroups, const i64 nquads, const int namps, const int nclocks, const double period)
{
  FOR_EACH_2D(plane, nints * ngroups, q, nquads) {
    const double cycles = (starts[plane] + clock[q]) / period;
    const double wave = noise[(i64)((cycles - floor(cycles)) * period)];
    float* data = ramp + (plane * nquads + q) * namps;
    for (int c = 0; c < namps; ++c) data[c] = (float)((double)data[c] - wave);
  }
}
