// score_phases.cu - how well a wave fits the summed ramps at every trial phase.
//
// With lines fitted to the ramps, chi squared is quadratic in the amplitude c, a c^2 + b c + constant; a and b are written
// for each integration. a needs the number of pixels of each phase and sums of the wave over the groups, b is linear in
// the wave: its weights are made of the counts.
// Twin: gpucal/emi/joint.py
#include "waves.cuh"

KERNEL score_phases(
    const double* __restrict__ trials,   // (ntrials)
    const double* __restrict__ phases,   // (nphases, ngroups)  of the wave, for the trial phase 0
    const double* __restrict__ pieces,   // (npieces, nterms)
    const double* __restrict__ weights,  // (nphases, ngroups, nints)
    const double* __restrict__ counts,   // (nphases, nints)  pixels, divided by delta
    double*       __restrict__ square,   // (ntrials, nints)  a
    double*       __restrict__ linear,   // (ntrials, nints)  b
    const int ntrials, const int nphases, const int ngroups, const int npieces, const int nterms, const int nints,
    const double s_t, const double s_tt, const double delta)
{
  FOR_EACH(k, ntrials) {
    double* own_square = square + k * nints;
    double* own_linear = linear + k * nints;
    for (int n = 0; n < nphases; ++n) {
      double s_z = 0, s_tz = 0, s_zz = 0;
      for (int g = 0; g < ngroups; ++g) {
        const double z = wave_at(phases[n * ngroups + g] + trials[k], pieces, npieces);
        const double* weight = weights + ((i64)n * ngroups + g) * nints;
        for (int i = 0; i < nints; ++i) own_linear[i] = n || g ? own_linear[i] + z * weight[i] : z * weight[i];
        s_z += z;
        s_tz += g * z;
        s_zz += z * z;
      }
      const double lines = 2 * s_t * s_z * s_tz - s_tt * s_z * s_z - ngroups * s_tz * s_tz + s_zz * delta;
      for (int i = 0; i < nints; ++i) {
        const double part = counts[n * nints + i] * lines;
        own_square[i] = n ? own_square[i] + part : part;
      }
    }
  }
}
