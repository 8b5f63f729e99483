// smooth_sides.cu - the running median of the reference pixels at both sides of the detector, row by row.
//
// The median of the good pixels in a box of `smoothing` rows around the row (of an even number, one more lies before it),
// mirrored at the detector's ends; then the
// mean of the two sides, or the one that has good pixels, or 0. Pixels first lose their amplifier's signal.
// Twin: gpucal/steps/refpix.py
#include "statistics.cuh"

template <class T>
DEVICE double box_median(
    const float* plane, const i64* pixels, const double* signals, const int* which, T* box,
    const int row, const int nrows, const int ncolumns, const int smoothing)
{
  int n = 0;
  for (int k = row - smoothing / 2; k < row - smoothing / 2 + smoothing; ++k) {
    const int r = k < 0 ? -k : k >= nrows ? 2 * (nrows - 1) - k : k;
    for (int c = 0; c < ncolumns; ++c) {
      const i64 p = pixels[r * ncolumns + c];
      if (p >= 0) box[n++] = (T)plane[p] - (T)signals[which[c]];
    }
  }
  return n ? (double)median(box, n) : (double)NAN;
}

KERNEL smooth_sides(
    const float*  __restrict__ planes,   // (nplanes, npix)  DN
    const i64*    __restrict__ pixels,   // (nsides, nrows, ncolumns)  of the reference pixels; -1 for a bad one
    const double* __restrict__ signals,  // (nplanes, nsignals)  DN, of each amplifier and column parity
    const int*    __restrict__ which,    // (nsides, ncolumns)  the signal that belongs to a column
    double*       __restrict__ scratch,  // (nplanes, nrows, nbox)
    double*       __restrict__ side,     // (nplanes, nrows)  DN
    const i64 nplanes, const i64 npix, const int nsides, const int nrows, const int ncolumns, const int nsignals,
    const int nbox, const int smoothing, const i64 single)
{
  FOR_EACH(i, nplanes * nrows) {
    const i64 plane = i / nrows;
    const int row = (int)(i % nrows);
    const float* data = planes + plane * npix;
    const double* signal = signals + plane * nsignals;
    double* box = scratch + i * nbox;
    double sum = 0;
    int sides = 0;
    for (int s = 0; s < nsides; ++s) {
      const i64* places = pixels + (i64)s * nrows * ncolumns;
      const int* columns = which + s * ncolumns;
      const double m = plane < single
        ? box_median<float>(data, places, signal, columns, (float*)box, row, nrows, ncolumns, smoothing)
        : box_median<double>(data, places, signal, columns, box, row, nrows, ncolumns, smoothing);
      if (!isnan(m)) { sum += m; ++sides; }
    }
    side[i] = sides == 2 ? 0.5 * sum : sum;
  }
}
