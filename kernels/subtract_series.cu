// subtract_series.cu - subtract from the samples of a group what has drifted, and put them into the corrected frame.
//
// On the host 16 neighbouring columns at a time, for a row of the frame is a sample of every line. There are a multiple
// of 16 columns.
// Twin: gpucal/irs2/correction.py
#include "irs2.cuh"

KERNEL subtract_series(
    const float*  __restrict__ group,      // (nrows, nx)  DN
    const double* __restrict__ mean,       // (nrows, nx)  DN, of all groups
    const float*  __restrict__ line,       // (nlines, ncoeffs)  DN, DN per sample; the reference output's first
    const int*    __restrict__ slots,      // (nrows)  the time of a row's sample within its line
    const float*  __restrict__ series,     // (noutputs, nx, nslots)  DN
    const int*    __restrict__ rows,       // (noutputs, ncorrected)  the rows to correct
    const int*    __restrict__ places,     // (noutputs, ncorrected)  their rows in the corrected frame
    const u8*     __restrict__ with_mean,  // (noutputs, ncorrected)  whether they get the mean back
    float*        __restrict__ frame,      // (nout, nx)  DN
    const i64 nrows, const int nx, const i64 nlines, const i64 ncoeffs, const int noutputs, const int nslots,
    const i64 ncorrected, const i64 nout, const int reverse)
{
  FOR_EACH_TILE(first, noutputs * nx) {
    const int output = (int)(first / nx), start = (int)(first % nx);
    const float offset = line[(output + 1) * ncoeffs], slope = line[(output + 1) * ncoeffs + 1];
    const float* drift = series + (i64)output * nx * nslots;
    for (i64 j = output * ncorrected; j < (output + 1) * ncorrected; ++j) {
      const int slot = slots[rows[j]];
      const float* counts = group + (i64)rows[j] * nx + start;
      const double* means = mean + (i64)rows[j] * nx + start;
      const double share = with_mean[j] ? 1 : 0;
      float* out = frame + (i64)places[j] * nx + start;
      FOR_LANES(l) {
        const int at = reverse ? nx - 1 - start - l : start + l;
        const float value = levelled(counts[l], means[l], offset, slope, sample_time(at, slot, nx, nslots));
        out[l] = (float)((double)(value - drift[at * nslots + slot]) + share * means[l]);
      }
    }
  }
}
