// clip_bins.cu - the mean of the residuals in each bin, clipped around their median; NaN for an empty bin.
//
// The residuals of a bin are sorted, so what survives a clipping is a range of them.
// Twin: gpucal/emi/sequential.py
#include "gpucal.cuh"

// The residual in the lower half of a number from sort_by_phase.
DEVICE double residual(const i64 key) {
  union { u32 bits; float value; } word;
  const u32 order = (u32)key;
  word.bits = order & 0x80000000u ? order ^ 0x80000000u : ~order;
  return (double)word.value;
}

KERNEL clip_bins(
    const i64* __restrict__ keys,    // (nkeys)  from sort_by_phase, sorted
    const i64* __restrict__ bounds,  // (nbounds)  where each bin begins, and where the last ends
    double*    __restrict__ means,   // (nbins)  DN
    const i64 nkeys, const i64 nbounds, const int nbins, const double limit, const int rounds)
{
  FOR_EACH(k, nbins) {
    i64 low = bounds[k], high = bounds[k + 1];
    bool again = high > low;
    for (int round = 0; again && round < rounds; ++round) {
      double sum = 0, squares = 0;
      for (i64 i = low; i < high; ++i) sum += residual(keys[i]);
      const double mean = sum / (double)(high - low);
      for (i64 i = low; i < high; ++i) {
        const double d = residual(keys[i]) - mean;
        squares += d * d;
      }
      const double middle = (residual(keys[low + (high - low - 1) / 2]) + residual(keys[low + (high - low) / 2])) / 2;
      const double reach = limit * sqrt(squares / (double)(high - low));
      const i64 before = high - low;
      while (high > low && residual(keys[low]) < middle - reach) ++low;
      while (high > low && residual(keys[high - 1]) > middle + reach) --high;
      again = high > low && high - low < before;
    }
    double sum = 0;
    for (i64 i = low; i < high; ++i) sum += residual(keys[i]);
    means[k] = high > low ? sum / (double)(high - low) : (double)NAN;
  }
}
