// sum_by_phase.cu - sum the counts of the good pixels that are read at the same phase of a wave.
//
// Four amplifiers read four neighbouring pixels, a quad, at once. The sums run over the quads of a phase in the order of
// the image, as in the official pipeline.
// Twin: gpucal/emi/joint.py
#include "gpucal.cuh"

KERNEL sum_by_phase(
    const float* __restrict__ ramp,    // (nints, ngroups, nquads, namps)  DN
    const u8*    __restrict__ good,    // (nints, nquads, namps)  1 or 0
    const int*   __restrict__ order,   // (norder)  the quads, one phase after the other
    const i64*   __restrict__ bounds,  // (nbounds)  where each phase begins in order, and where the last ends
    double*      __restrict__ y,       // (nints, nphases, ngroups)  DN
    double*      __restrict__ n,       // (nints, nphases)  how many pixels were summed
    const i64 nquads, const int namps, const int nints, const int ngroups, const i64 norder, const i64 nbounds,
    const i64 nphases)
{
  FOR_EACH(i, nphases * ngroups * nints) {
    const i64 k = i % nphases, g = i / nphases % ngroups, integration = i / nphases / ngroups;
    const float* data = ramp + (integration * ngroups + g) * nquads * namps;
    const u8* use = good + integration * nquads * namps;
    double sum = 0, count = 0;
    for (i64 j = bounds[k]; j < bounds[k + 1]; ++j) {
      const i64 at = (i64)order[j] * namps;
      for (int c = 0; c < namps; ++c) sum += data[at + c] * (float)use[at + c];
    }
    y[(integration * nphases + k) * ngroups + g] = sum;
    if (g) continue;
    for (i64 j = bounds[k]; j < bounds[k + 1]; ++j)
      for (int c = 0; c < namps; ++c) count += use[(i64)order[j] * namps + c];
    n[integration * nphases + k] = count;
  }
}
