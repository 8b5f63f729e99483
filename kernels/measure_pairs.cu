// measure_pairs.cu - how two reads of the same reference pixels differ, how high they are, and how noisy.
//
// A pair are two neighbouring rows. Sums run in the order in which NumPy reduces these arrays, in single precision, so
// that a pair at the limit is judged as in the official pipeline.
// Twin: gpucal/irs2/bad_samples.py
#include "statistics.cuh"

const i64 BUFFER = 8192;  // values; NumPy sums lines of 2048 that do not follow each other by so many

// Two neighbouring rows in all groups of an integration; counted group by group, row by row.
struct Pair {
  const float* first;
  i64 plane;  // values from one group to the next
  u32 nx;
  DEVICE_MEMBER float operator[](i64 k) const { return first[(u32)k / (2 * nx) * plane + (u32)k % (2 * nx)]; }
  DEVICE_MEMBER float difference(i64 k) const {
    const float* lower = first + (u32)k / nx * plane + (u32)k % nx;
    return fabsf(lower[nx] - lower[0]);
  }
};

DEVICE float mean_difference(const Pair pair, const i64 n) {
  return (float)((double)pairwise_sum<float>([=](i64 k) { return pair.difference(k); }, n) / (double)n);
}

DEVICE float mean_of(const Pair pair, const i64 n) {
  float sum = 0;
  for (i64 first = 0; first < n; first += BUFFER)
    sum += pairwise_sum<float>([=](i64 k) { return pair[first + k]; }, first + BUFFER < n ? BUFFER : n - first);
  return (float)((double)sum / (double)n);
}

DEVICE float deviation(const Pair pair, const float mean, const i64 n) {
  const float squares = pairwise_sum<float>([=](i64 k) { return (pair[k] - mean) * (pair[k] - mean); }, n);
  return sqrtf((float)((double)squares / (double)n));
}

KERNEL measure_pairs(
    const float* __restrict__ ramp,         // (nints, ngroups, nrows, nx)  DN
    const int*   __restrict__ pairs,        // (npairs)  the first row of each
    float*       __restrict__ differences,  // (nints, npairs)  DN, the mean size
    float*       __restrict__ means,        // (nints, npairs)  DN
    float*       __restrict__ deviations,   // (nints, npairs)  DN, of the population
    const i64 nints, const i64 ngroups, const i64 nrows, const i64 nx, const i64 npairs)
{
  FOR_EACH(i, nints * npairs) {
    const Pair pair = {ramp + (i / npairs * ngroups * nrows + pairs[i % npairs]) * nx, nrows * nx, (u32)nx};
    differences[i] = mean_difference(pair, ngroups * nx);
    means[i] = mean_of(pair, 2 * ngroups * nx);
    deviations[i] = deviation(pair, means[i], 2 * ngroups * nx);
  }
}
