// drizzle_invert.cu - find where on the input some points of the output come from.
//
// The drizzle package takes those input pixels that lie within the corners found here, so they are found its way: a box that
// starts as the section of the image in use is cut, in both directions at once, to 0.618 of its size, towards that one of
// four points within whose image is nearest to the point sought: a golden-section search, in two dimensions.
// Twin: gpucal/drizzle/section.py
#include "drops.cuh"

KERNEL drizzle_invert(
    const double* __restrict__ pixmap,  // (ny, nx, xy)
    const double* __restrict__ points,  // (npoints, xy)  x and y on the output
    double*       __restrict__ found,   // (npoints, xy)  x and y on the input; NaN where there is none
    const i64 ny, const i64 nx, const int xy, const i64 npoints,
    const int x0, const int x1, const int y0, const int y1)
{
  FOR_EACH(p, npoints) {
    const Map map = {pixmap, ny, nx};
    double left = x0 - 0.5, right = x1 + 0.5, low = y0 - 0.5, high = y1 + 0.5;
    double width = right - left, height = high - low;
    int rounds = 0;
    bool known = true;
    while (known && (width > 0.03 || height > 0.03) && rounds < 50) {
      ++rounds;
      const double xs[2] = {right - 0.6180339887498949 * width, left + 0.6180339887498949 * width};
      const double ys[2] = {high - 0.6180339887498949 * height, low + 0.6180339887498949 * height};
      double d[2][2];
      for (int k = 0; k < 4; ++k) {
        double x, y;
        known = map.point(xs[k / 2], ys[k % 2], &x, &y) && known;
        x -= points[2 * p];
        y -= points[2 * p + 1];
        d[k / 2][k % 2] = x * x + y * y;
      }
      int a = 1, b = 1;  // the nearest; the last if two are
      if (d[0][0] < d[0][1] && d[0][0] < d[1][0] && d[0][0] < d[1][1]) a = 0, b = 0;
      else if (d[0][1] < d[0][0] && d[0][1] < d[1][0] && d[0][1] < d[1][1]) a = 0;
      else if (d[1][0] < d[0][0] && d[1][0] < d[0][1] && d[1][0] < d[1][1]) b = 0;
      if (a) left = xs[0];
      else right = xs[1];
      if (b) low = ys[0];
      else high = ys[1];
      width = right - left;
      height = high - low;
    }
    known = known && rounds < 50;
    found[2 * p] = known ? 0.5 * (left + right) : (double)NAN;
    found[2 * p + 1] = known ? 0.5 * (low + high) : (double)NAN;
  }
}
