// drizzle_boxes.cu - index a pixel map: for each block of input pixels the box of output positions its drops lie in.
//
// A box is that of the centres, and how far a drop reaches beyond its centre. The corners of a square drop lie between the
// centres of the neighbours, or, at the border of the image, beyond the last by less than the last step; so no reach is
// longer than a step to the right and one upwards, the longest of the block.
// Twin: gpucal/drizzle/adding.py
#include "gpucal.cuh"

KERNEL drizzle_boxes(
    const double* __restrict__ pixmap,  // (ny, nx, xy)
    const int*    __restrict__ limits,  // (ny, two)  first input pixel of a row in use, and the one after the last
    double*       __restrict__ boxes,   // (nby, nbx, six)  x0, x1, y0, y1; how far drops reach in x and y
    const i64 ny, const i64 nx, const int xy, const int two, const i64 nby, const i64 nbx, const int six,
    const int side, const double steps, const double reach)
{
  FOR_EACH(b, nby * nbx) {
    const i64 j0 = b / nbx * side, i0 = b % nbx * side;
    const i64 j1 = j0 + side < ny ? j0 + side : ny, i1 = i0 + side < nx ? i0 + side : nx;
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY, right_x = 0, right_y = 0, up_x = 0, up_y = 0;
    for (i64 j = j0; j < j1; ++j) {
      const i64 first = limits[2 * j] > i0 ? limits[2 * j] : i0, end = limits[2 * j + 1] < i1 ? limits[2 * j + 1] : i1;
      for (i64 i = first; i < end; ++i) {
        const double x = pixmap[2 * (j * nx + i)], y = pixmap[2 * (j * nx + i) + 1];
        x0 = x < x0 ? x : x0;
        x1 = x > x1 ? x : x1;
        y0 = y < y0 ? y : y0;
        y1 = y > y1 ? y : y1;
      }
    }
    if (steps > 0)
      for (i64 j = j0 > 0 ? j0 - 1 : 0; j < j1 + 1 && j < ny; ++j)
        for (i64 i = i0 > 0 ? i0 - 1 : 0; i < i1 + 1 && i < nx; ++i) {
          const double* p = pixmap + 2 * (j * nx + i);
          const double* next = i + 1 < nx ? p + 2 : p;
          const double* above = j + 1 < ny ? p + 2 * nx : p;
          const double rx = fabs(next[0] - p[0]), ry = fabs(next[1] - p[1]);
          const double ux = fabs(above[0] - p[0]), uy = fabs(above[1] - p[1]);
          right_x = rx > right_x ? rx : right_x;  // what is NaN is left out
          right_y = ry > right_y ? ry : right_y;
          up_x = ux > up_x ? ux : up_x;
          up_y = uy > up_y ? uy : up_y;
        }
    double* box = boxes + 6 * b;
    box[0] = x0;
    box[1] = x1;
    box[2] = y0;
    box[3] = y1;
    box[4] = steps * (right_x + up_x) + reach;
    box[5] = steps * (right_y + up_y) + reach;
  }
}
