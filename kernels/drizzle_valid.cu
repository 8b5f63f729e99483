// drizzle_valid.cu - find the first and the last input pixel of each row that the pixel map knows a place for.
// Twin: gpucal/drizzle/section.py
#include "gpucal.cuh"

KERNEL drizzle_valid(
    const double* __restrict__ pixmap,  // (ny, nx, xy)  place on the output of the centre of each input pixel
    int*          __restrict__ ends,    // (ny, two)  first and last; nx and -1 if there is none
    const i64 ny, const i64 nx, const int xy, const int two, const int x0, const int x1)
{
  FOR_EACH(j, ny) {
    const double* row = pixmap + j * nx * xy;
    i64 first = x0, last = x1;
    while (first <= x1 && (isnan(row[2 * first]) || isnan(row[2 * first + 1]))) ++first;
    while (last >= first && (isnan(row[2 * last]) || isnan(row[2 * last + 1]))) --last;
    ends[2 * j] = (int)(first <= x1 ? first : nx);
    ends[2 * j + 1] = (int)(first <= x1 ? last : -1);
  }
}
