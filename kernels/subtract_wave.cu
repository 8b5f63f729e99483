// subtract_wave.cu - subtract a wave from a ramp, at the phase at which every pixel was read.
// Twin: gpucal/emi/joint.py
#include "waves.cuh"

KERNEL subtract_wave(
    float*        __restrict__ ramp,        // (nints, ngroups, nquads, namps)  DN, corrected in place
    const double* __restrict__ phase,       // (nquads)  in the first group
    const double* __restrict__ steps,       // (ngroups)  phase from the first group on
    const double* __restrict__ starts,      // (nints)  phase of the first group
    const double* __restrict__ amplitudes,  // (nints)
    const double* __restrict__ pieces,      // (npieces, nterms)
    const i64 nquads, const int namps, const int nints, const int ngroups, const int npieces, const int nterms)
{
  FOR_EACH_2D(plane, nints * ngroups, q, nquads) {
    const int integration = (int)(plane / ngroups), g = (int)(plane % ngroups);
    const double wave = amplitudes[integration] * wave_at(phase[q] + steps[g] + starts[integration], pieces, npieces);
    float* data = ramp + (plane * nquads + q) * namps;
    for (int c = 0; c < namps; ++c) data[c] = (float)((double)data[c] - wave);
  }
}
