// sum_blocks.cu - sums of ordered values and of their squares, block by block, from which sums of any range follow.
//
// The middle of the range in use is subtracted first, so that the squares do not lose the scatter to the level.
// Twin: gpucal/flicker/ordered.py
#include "statistics.cuh"

struct Distance {
  const float* values;
  float offset;
  double middle;
  DEVICE_MEMBER double operator()(i64 i) const { return (double)(values[i] - offset) - middle; }
};

struct Square {
  Distance distance;
  DEVICE_MEMBER double operator()(i64 i) const { const double d = distance(i); return d * d; }
};

KERNEL sum_blocks(
    const float* __restrict__ ordered,  // (nsets, nvalues)  DN, upwards
    const float* __restrict__ offset,   // (nsets)  DN, subtracted from every value
    const i64*   __restrict__ range,    // (nsets, ntwo)  the values in use: the first, and the one behind the last
    double*      __restrict__ sums,     // (nsets, nblocks, ntwo)  DN, DN^2
    const i64 nsets, const i64 nvalues, const int ntwo, const i64 nblocks, const int length)
{
  FOR_EACH_2D(set, nsets, block, nblocks) {
    const float* values = ordered + set * nvalues;
    const float shift = offset[set];
    const i64 first = range[set * ntwo], last = range[set * ntwo + 1];
    const double middle = first < last ? (double)(values[(first + last) / 2] - shift) : 0;
    const Distance distance = {values + block * length, shift, middle};
    double* out = sums + (set * nblocks + block) * ntwo;
    out[0] = pairwise_sum<double>(distance, length);
    out[1] = pairwise_sum<double>(Square{distance}, length);
  }
}
