// find_stripes.cu - the median of what is within limits, of every line of an image.
// Twin: gpucal/flicker/stripes.py
#include "ordered.cuh"

DEVICE float median_within(const float* own, i64 npoints, float low, float high, float offset) {
  const i64 first = search([=](i64 i) { return !(own[i] < low); }, 0, npoints);
  const i64 last = search([=](i64 i) { return !(own[i] <= high); }, first, npoints), n = last - first;
  return n ? ((own[first + (n - 1) / 2] - offset) + (own[first + n / 2] - offset)) / 2 : 0;
}

KERNEL find_stripes(
    const float* __restrict__ lines,    // (nimages, nlines, npoints)  DN, each upwards, NaN behind
    const float* __restrict__ limits,   // (nimages, ntwo)  DN
    const float* __restrict__ offset,   // (nimages)  DN, subtracted from every value
    float*       __restrict__ stripes,  // (nimages, nlines)  DN; 0 where nothing is within the limits
    const i64 nimages, const i64 nlines, const i64 npoints, const int ntwo)
{
  FOR_EACH_2D(image, nimages, line, nlines) {
    const float low = limits[image * ntwo], high = limits[image * ntwo + 1];
    const i64 at = image * nlines + line;
    stripes[at] = median_within(lines + at * npoints, npoints, low, high, offset[image]);
  }
}
