// find_extended.cu - find where the mean over a ring around a pixel is above a threshold.
//
// The ring reaches into a margin around the plane, whose zeros count. NaN do not, and where the centre is NaN nothing is
// found. What is found is written without the margin above and to the left; excess has 2 margin + 1 rows more.
// Twin: gpucal/large_events/showers.py
#include "gpucal.cuh"

// A tile of pixels, of which those from `end` on repeat the last. A whole tile is a case of its own so that the compiler
// sees neighbours.
template <bool WHOLE>
DEVICE void average(
    const float* excess, const i64* ring, i64 nring, i64 first, i64 end, double* sum, int* count)
{
  FOR_LANES(l) { sum[l] = 0; count[l] = 0; }
  for (i64 k = 0; k < nring; ++k)
    FOR_LANES(l) {
      const float value = excess[ring[k] + (WHOLE || first + l < end ? first + l : end - 1)];
      const bool known = value == value;
      sum[l] += (double)(known ? value : 0.f);
      count[l] += known;
    }
}

KERNEL find_extended(
    const float* __restrict__ excess,    // (rows, width)  sigma
    const i64*   __restrict__ ring,      // (nring)  places of its pixels relative to the centre
    u8*          __restrict__ extended,  // (height, width)  1 where found
    const i64 rows, const i64 width, const i64 nring, const i64 height, const int margin, const double threshold)
{
  const float* centre = excess + margin * width + margin;
  FOR_EACH_TILE(first, height * width) {
    const i64 end = height * width;
    double sum[LANES];
    int count[LANES];
    if (first + LANES <= end) average<true>(centre, ring, nring, first, end, sum, count);
    else average<false>(centre, ring, nring, first, end, sum, count);
    for (int l = 0; l < LANES && first + l < end; ++l) {
      const float own = centre[first + l];
      extended[first + l] = own == own && sum[l] / count[l] > threshold;
    }
  }
}
