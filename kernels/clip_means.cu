// clip_means.cu - the sigma-clipped mean of each set of reference pixels in each plane.
//
// Clip at mean +- limit * standard deviation (of the population) until nothing more is clipped. The first `single`
// planes are worked in single, the others in double precision, and sums run in NumPy's order: the official pipeline's
// numbers come out to the last bit.
// Twin: gpucal/steps/refpix.py
#include "statistics.cuh"

template <class T>
DEVICE double clip_mean(double* v, i64 n, const double limit) {
  for (;;) {
    const T mean = (T)((double)pairwise_sum<T>([=](i64 i) { return (T)v[i]; }, n) / (double)n);
    const T variance = (T)((double)pairwise_sum<T>([=](i64 i) {
      const T d = (T)v[i] - mean;
      return d * d;
    }, n) / (double)n);
    const T reach = (T)sqrt(variance) * (T)limit, low = mean - reach, high = mean + reach;
    i64 kept = 0;
    for (i64 i = 0; i < n; ++i)
      if ((T)v[i] >= low && (T)v[i] <= high) v[kept++] = v[i];
    if (kept == n || kept == 0) return (double)mean;
    n = kept;
  }
}

KERNEL clip_means(
    const float* __restrict__ planes,   // (nplanes, npix)  DN
    const i64*   __restrict__ pixels,   // (nrefs)  the pixels of all sets, one set after the other
    const i64*   __restrict__ bounds,   // (nbounds)  where each set begins, and where the last ends
    double*      __restrict__ scratch,  // (nplanes, nrefs)
    double*      __restrict__ means,    // (nplanes, nsets)  DN; NaN for an empty set
    const i64 nplanes, const i64 npix, const i64 nrefs, const i64 nbounds, const i64 nsets,
    const i64 single, const double limit)
{
  FOR_EACH(i, nplanes * nsets) {
    const i64 plane = i / nsets, set = i % nsets, begin = bounds[set], n = bounds[set + 1] - begin;
    double* v = scratch + plane * nrefs + begin;
    for (i64 k = 0; k < n; ++k) v[k] = planes[plane * npix + pixels[begin + k]];
    means[i] = n == 0 ? (double)NAN : plane < single ? clip_mean<float>(v, n, limit) : clip_mean<double>(v, n, limit);
  }
}
