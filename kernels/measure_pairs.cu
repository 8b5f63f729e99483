// measure_pairs.cu - how two reads of the same reference pixels differ, how high they are, and how noisy.
//
// A pair are two neighbouring rows. Sums run in the order in which NumPy reduces these arrays, in single precision, so
// that a pair at the limit is judged as in the official pipeline.
// Twin: gpucal/irs2/bad_samples.py
#include "statistics.cuh"

const i64 BUFFER = 8192;  // values; NumPy sums lines of 2048 that do not follow each other by so many

KERNEL measure_pairs(
    const float* __restrict__ ramp,         // (nints, ngroups, nrows, nx)  DN
    const int*   __restrict__ pairs,        // (npairs)  the first row of each
    float*       __restrict__ differences,  // (nints, npairs)  DN, the mean size
    float*       __restrict__ means,        // (nints, npairs)  DN
    float*       __restrict__ deviations,   // (nints, npairs)  DN, of the population
    const i64 nints, const i64 ngroups, const i64 nrows, const i64 nx, const i64 npairs)
{
  FOR_EACH(i, nints * npairs) {
    const float* first = ramp + (i / npairs * ngroups * nrows + pairs[i % npairs]) * nx;
    const u32 width = (u32)nx, both = 2 * width;
    const double count = (double)(ngroups * nx);
    differences[i] = (float)((double)pairwise_sum<float>([=](i64 k) {
      const float* upper = first + (u32)k / width * nrows * nx + (u32)k % width;
      return fabsf(upper[nx] - upper[0]);
    }, ngroups * nx) / count);
    float sum = 0;
    for (i64 k0 = 0; k0 < 2 * ngroups * nx; k0 += BUFFER)
      sum += pairwise_sum<float>([=](i64 k) {
        return first[(u32)(k0 + k) / both * nrows * nx + (u32)(k0 + k) % both];
      }, k0 + BUFFER < 2 * ngroups * nx ? BUFFER : 2 * ngroups * nx - k0);
    const float mean = (float)((double)sum / (2 * count));
    const float squares = pairwise_sum<float>([=](i64 k) {
      const float off = first[(u32)k / both * nrows * nx + (u32)k % both] - mean;
      return off * off;
    }, 2 * ngroups * nx);
    means[i] = mean;
    deviations[i] = sqrtf((float)((double)squares / (2 * count)));
  }
}
