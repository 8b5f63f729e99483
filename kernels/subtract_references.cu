// subtract_references.cu - subtract from every pixel its amplifier's and its row's reference signal; all
// amplifiers may share that of the row.
//
// A pixel (y, x) lies at detector row r0 + ry y + rx x and column c0 + cy y + cx x. Amplifiers are `width` columns wide
// and repeat after `namps`; within one, even and odd columns (or rows, if by_row) have signals of their own.
// The first `single` planes are worked in single precision as far as the official pipeline does.
// Twin: gpucal/steps/refpix.py
#include "gpucal.cuh"

KERNEL subtract_references(
    float*        __restrict__ planes,   // (nplanes, ny, nx)  DN
    const double* __restrict__ signals,  // (nplanes, nsignals)  DN, amplifier by amplifier: even, odd
    const double* __restrict__ side,     // (nplanes, nsides, nrows) or null  DN
    const i64 nplanes, const int ny, const int nx, const int nsignals, const int nsides, const int nrows,
    const int r0, const int ry, const int rx, const int c0, const int cy, const int cx,
    const int width, const int namps, const int by_row, const i64 single, const double gain)
{
  FOR_EACH_2D(line, nplanes * ny, x, nx) {
    const i64 i = line * nx + x, plane = line / ny, y = line % ny;
    const int row = (int)(r0 + ry * y + rx * x), column = (int)(c0 + cy * y + cx * x);
    const int amplifier = column / width;
    const double signal = signals[plane * nsignals + amplifier % namps * 2 + (by_row ? row : column) % 2];
    double value = plane < single ? (double)(planes[i] - (float)signal) : (double)planes[i] - signal;
    if (side) value -= gain * side[(plane * nsides + (nsides > 1 ? amplifier : 0)) * nrows + row];
    planes[i] = (float)value;
  }
}
