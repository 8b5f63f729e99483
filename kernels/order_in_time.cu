// order_in_time.cu - put samples of a group into each output's lines, in the order of time.
//
// On the host 16 neighbouring columns at a time, for a row of the frame is a sample of every line. There are a multiple
// of 16 columns.
// Twin: gpucal/irs2/correction.py
#include "irs2.cuh"

KERNEL order_in_time(
    const float*  __restrict__ group,    // (nrows, nx)  DN
    const double* __restrict__ mean,     // (nrows, nx)  DN, of all groups
    const float*  __restrict__ line,     // (noutputs, ncoeffs)  DN, DN per sample
    const int*    __restrict__ source,   // (noutputs, nslots)  the row to take; -1 for none
    const int*    __restrict__ slots,    // (nrows)  the time of a row's sample within its line
    float*        __restrict__ in_time,  // (noutputs, nx, nslots)  DN
    const i64 nrows, const int nx, const int noutputs, const i64 ncoeffs, const int nslots, const int per_line,
    const int reverse)
{
  FOR_EACH_TILE(first, noutputs * nx) {
    const int output = (int)(first / nx), start = (int)(first % nx);
    const float offset = line[output * ncoeffs], slope = line[output * ncoeffs + 1];
    for (int slot = 0; slot < nslots; ++slot) {
      const i64 row = source[output * nslots + slot];
      const int its_slot = row < 0 ? 0 : slots[row];
      const float* counts = group + (row < 0 ? 0 : row) * nx + start;
      const double* means = mean + (row < 0 ? 0 : row) * nx + start;
      float values[LANES];
      FOR_LANES(l) {
        const int at = reverse ? nx - 1 - start - l : start + l;
        const float value = levelled(counts[l], means[l], offset, slope, sample_time(at, its_slot, nx, per_line));
        values[l] = row < 0 ? 0 : value;
      }
      for (int l = 0; l < LANES; ++l) {
        const i64 at = reverse ? nx - 1 - start - l : start + l;
        in_time[((i64)output * nx + at) * nslots + slot] = values[l];
      }
    }
  }
}
