// drops.cuh - where an input pixel, shrunk to a drop, falls on the output, and how much of it each output pixel gets.
//
// A shape has place(): find the drop of input pixel (j, i), false if the map knows no such place, and its window of output
// pixels; and weight(y, x): what output pixel (y, x) gets of w, the weight of the drop. Knows nothing of threads.
// The order of every sum and product is that of the drizzle package 2.2, so that the sums agree to the last bit.
// Source: Fruchter and Hook 2002 (PASP 114, 144).
#pragma once
#include "gpucal.cuh"

struct Window { double x0, x1, y0, y1; };  // of whole output pixels, both ends included

// Half away from zero, as C's round().
DEVICE double rounded(double a) {
  const double whole = trunc(a);
  return fabs(a - whole) >= 0.5 ? whole + (a < 0 ? -1. : 1.) : whole;
}

struct Map {
  const double* at;  // (ny, nx, 2)  x and y on the output of the centre of each input pixel
  i64 ny, nx;

  DEVICE_MEMBER const double* centre(i64 j, i64 i) const { return at + 2 * (j * nx + i); }

  // Between the centres linear in each direction, and beyond the last ones too; false if a centre in use is not finite.
  DEVICE_MEMBER bool point(double xin, double yin, double* x, double* y) const {
    i64 i = (i64)xin, j = (i64)yin;
    i = i > nx - 2 ? nx - 2 : i;
    j = j > ny - 2 ? ny - 2 : j;
    const double a = xin - (double)i, b = yin - (double)j, a1 = 1. - a, b1 = 1. - b;
    const double *p = centre(j, i), *q = centre(j + 1, i);
    *x = p[0] * a1 * b1 + p[2] * a * b1 + q[0] * a1 * b + q[2] * a * b;
    *y = p[1] * a1 * b1 + p[3] * a * b1 + q[1] * a1 * b + q[3] * a * b;
    return isfinite(*x) && isfinite(*y);
  }
};

struct Drop {
  double x, y;  // of the centre
  double w;
  Window window;

  DEVICE_MEMBER bool find_centre(const Map& map, i64 j, i64 i) {
    const double* p = map.centre(j, i);
    x = p[0];
    y = p[1];
    return isfinite(x) && isfinite(y);
  }
};

// The area under the line from (x1, y1) to (x2, y2) within the unit square, negative if the line runs to the left.
DEVICE double area_under(double x1, double y1, double x2, double y2) {
  const double dx = x2 - x1, dy = y2 - y1;
  const bool right = dx > 0;
  double a = right ? x1 : x2, b = right ? x2 : x1;
  if (dx == 0. || a >= 1. || b <= 0.) return 0.;
  a = a > 0. ? a : 0.;
  b = b < 1. ? b : 1.;
  const double slope = dy / dx;
  double ya = y1 + slope * (a - x1), yb = y1 + slope * (b - x1);
  if (ya <= 0. && yb <= 0.) return 0.;
  const double sign = right ? 1. : -1.;
  if (ya >= 1. && yb >= 1.) return sign * (b - a);
  if (ya >= 0. && yb >= 0. && ya <= 1. && yb <= 1.) return sign * 0.5 * (b - a) * (yb + ya);
  const double det = x1 * y2 - y1 * x2;
  if (ya < 0.) {
    ya = 0.;
    a = det / dy;
  }
  if (yb < 0.) {
    yb = 0.;
    b = det / dy;
  }
  if (ya <= 1. && yb <= 1.) return sign * 0.5 * (b - a) * (yb + ya);
  const double top = (dx + det) / dy;  // where the line leaves the square
  return ya <= 1. ? sign * (0.5 * (top - a) * (1. + ya) + b - top) : sign * (0.5 * (b - top) * (1. + yb) + top - a);
}

#define LITTLE 1e-6  // an area, output pixels
#define CLEAR 1e-9   // a distance that no rounding bridges, output pixels
#define STEEP 1e300  // instead of infinity, which times 0 is not 0

// The pixels' own shape, mapped corner by corner: what an output pixel gets is the area it shares with the drop. LANES drops
// are measured at once.
//
// An area is that under the sides, those that run to the left taken away; what lies under a side within a row is what it
// leaves above the row's lower border less what it leaves above the upper one. That takes no quotient, but is some 1e-16
// off; where so little matters, because an area is next to nothing, it is found by area_under.
struct Squares {
  enum { MOST = 6 };  // output pixels, the side of the largest window that is measured
  double half;        // of a drop's side, input pixels
  int count;
  double cx[4][LANES], cy[4][LANES];  // corners: (-, +), (+, +), (+, -), (-, -)
  double w[LANES], x0[LANES], x1[LANES], y0[LANES], y1[LANES];  // weights by area, windows
  double left[4][LANES], right[4][LANES];  // of the sides
  double slope[4][LANES], run[4][LANES], sign[4][LANES];  // dy / dx; |dx / dy|; of dx
  float weight[MOST][MOST][LANES];  // what the output pixels get

  DEVICE_MEMBER explicit Squares(double half) : half(half), count(0) {}

  // Take one more drop; false if the map knows no place for it.
  DEVICE_MEMBER bool place(const Map& map, i64 j, i64 i, float weight) {
    const double h = half, out = h * h, side = (1. - h) * h, in = (1. - h) * (1. - h);
    double x[4], y[4];
    if (i > 0 && i < map.nx - 2 && j > 0 && j < map.ny - 2) {
      const double *p = map.centre(j - 1, i - 1), *q = map.centre(j, i - 1), *r = map.centre(j + 1, i - 1);
      for (int axis = 0; axis < 2; ++axis, ++p, ++q, ++r)
        corners(p[0] * out, p[2] * side, p[4] * out, q[0] * side, q[2] * in, q[4] * side,
                r[0] * out, r[2] * side, r[4] * out, axis ? y : x);
    } else {
      const double left = (double)i - h, right = (double)i + h, low = (double)j - h, high = (double)j + h;
      map.point(left, high, x, y);
      map.point(right, high, x + 1, y + 1);
      map.point(right, low, x + 2, y + 2);
      map.point(left, low, x + 3, y + 3);
    }
    double all = 0;
    for (int k = 0; k < 4; ++k) {
      all += x[k] * 0. + y[k] * 0.;
      cx[k][count] = x[k];
      cy[k][count] = y[k];
    }
    if (all != 0.) return false;  // something is not finite
    w[count++] = (double)weight;
    return true;
  }

  // The centres around a pixel, lowest row first, each times its share, make the corners.
  DEVICE_MEMBER static void corners(
      double a, double b, double c, double d, double e, double f, double g, double h, double i, double* corner)
  {
    corner[0] = d + e + g + h;
    corner[1] = e + f + h + i;
    corner[2] = b + c + e + f;
    corner[3] = a + b + d + e;
  }

  // Of the drops taken: the windows, and the weights that all areas of a drop together make its weight.
  DEVICE_MEMBER void prepare() {
    for (int l = count; l < LANES; ++l) {
      w[l] = w[0];
      for (int k = 0; k < 4; ++k) {
        cx[k][l] = cx[k][0];
        cy[k][l] = cy[k][0];
      }
    }
    FOR_LANES(l) {
      w[l] /= 0.5 * ((cx[1][l] - cx[3][l]) * (cy[0][l] - cy[2][l]) - (cx[0][l] - cx[2][l]) * (cy[1][l] - cy[3][l]));
      x0[l] = rounded(least(least(cx[0][l], cx[1][l]), least(cx[2][l], cx[3][l])));
      x1[l] = rounded(most(most(cx[0][l], cx[1][l]), most(cx[2][l], cx[3][l])));
      y0[l] = rounded(least(least(cy[0][l], cy[1][l]), least(cy[2][l], cy[3][l])));
      y1[l] = rounded(most(most(cy[0][l], cy[1][l]), most(cy[2][l], cy[3][l])));
    }
    for (int e = 0; e < 4; ++e)
      FOR_LANES(l) {
        const double dx = cx[(e + 1) & 3][l] - cx[e][l], dy = cy[(e + 1) & 3][l] - cy[e][l];
        const double up = dy / dx, across = fabs(dx / dy);
        left[e][l] = least(cx[e][l], cx[(e + 1) & 3][l]);
        right[e][l] = most(cx[e][l], cx[(e + 1) & 3][l]);
        slope[e][l] = dx == 0. ? 0. : up;
        run[e][l] = dy == 0. ? STEEP : across;
        sign[e][l] = dx > 0. ? 1. : -1.;
      }
  }

  // The sides of a window; 0 if it is too large to be measured, or nowhere.
  DEVICE_MEMBER int rows(int l) const { return (int)side(y1[l] - y0[l]); }
  DEVICE_MEMBER int columns(int l) const { return (int)side(x1[l] - x0[l]); }
  DEVICE_MEMBER static double side(double length) { return length < (double)MOST ? length + 1. : 0.; }

  // What the first rows and columns of the windows get; NaN where exact() is to be asked.
  DEVICE_MEMBER void measure(int rows, int columns) {
    for (int c = 0; c < columns; ++c) {
      double width[4][LANES], ya[4][LANES], yb[4][LANES], under[4][LANES], low[LANES], high[LANES], below[LANES];
      FOR_LANES(l) {
        low[l] = STEEP;
        high[l] = -STEEP;
        below[l] = 0.;
      }
      for (int e = 0; e < 4; ++e)
        FOR_LANES(l) {  // of each side the part within the column, from (a, ya) to (b, yb)
          const double border = x0[l] + (double)c - 0.5, u1 = cx[e][l] - border, v1 = cy[e][l] - (y0[l] - 0.5);
          const double a = most(left[e][l] - border, 0.), b = least(right[e][l] - border, 1.), far = b > a ? 0. : STEEP;
          const double va = v1 + slope[e][l] * (a - u1), vb = v1 + slope[e][l] * (b - u1);
          width[e][l] = most(b - a, 0.);
          low[l] = least(low[l], least(va, vb) + far);
          high[l] = most(high[l], most(va, vb) - far);
          below[l] += sign[e][l] * width[e][l];
          ya[e][l] = va;
          yb[e][l] = vb;
        }
      for (int e = 0; e < 4; ++e)
        FOR_LANES(l) under[e][l] = above(ya[e][l], yb[e][l], width[e][l], run[e][l], 0.);
      for (int r = 0; r < rows; ++r) {
        const double top = (double)(r + 1);
        double part[4][LANES];
        for (int e = 0; e < 4; ++e)
          FOR_LANES(l) {
            const double beyond = above(ya[e][l], yb[e][l], width[e][l], run[e][l], top);
            part[e][l] = sign[e][l] * (under[e][l] - beyond);
            under[e][l] = beyond;
          }
        FOR_LANES(l) {
          const double sum = (part[0][l] + part[2][l]) + (part[1][l] + part[3][l]);
          double found = fabs(sum) < LITTLE ? (double)NAN : sum;
          found = low[l] >= top + CLEAR ? below[l] : found;
          found = high[l] <= top - 1. - CLEAR ? 0. : found;
          weight[r][c][l] = (float)(found == 0. ? 0. : found * w[l]);
        }
      }
    }
  }

  // Between a side and the height t, of a triangle or a trapezoid; the other one is always larger.
  DEVICE_MEMBER static double above(double ya, double yb, double width, double run, double t) {
    const double da = ya - t, db = yb - t, d = most(da, db);
    const double ha = da + fabs(da), hb = db + fabs(db), h = d + fabs(d);  // twice the heights, or 0
    return 0.125 * least(h * h * run, 2. * width * (ha + hb));
  }

  DEVICE_MEMBER static double least(double a, double b) { return a < b ? a : b; }
  DEVICE_MEMBER static double most(double a, double b) { return a > b ? a : b; }

  // What output pixel (y, x) gets of drop l.
  DEVICE_MEMBER float exact(int l, double y, double x) const {
    double px[4], py[4], area = 0.;
    for (int k = 0; k < 4; ++k) {
      px[k] = cx[k][l] - (x - 0.5);
      py[k] = cy[k][l] - (y - 0.5);
    }
    for (int k = 0; k < 4; ++k) area += area_under(px[k], py[k], px[(k + 1) & 3], py[(k + 1) & 3]);
    return area == 0. ? 0.f : (float)(area * w[l]);
  }
};

// All of the pixel at its centre.
struct Point : Drop {
  DEVICE_MEMBER bool place(const Map& map, i64 j, i64 i) {
    if (!find_centre(map, j, i)) return false;
    window = {rounded(x), rounded(x), rounded(y), rounded(y)};
    return true;
  }
  DEVICE_MEMBER float weight(double, double) const { return (float)w; }
};

// A square that is not turned, of one size.
struct Turbo : Drop {
  double reach, scale;  // half the side, output pixels; 1 / area
  Window box;

  DEVICE_MEMBER Turbo(double reach, double scale) : reach(reach), scale(scale) {}

  DEVICE_MEMBER bool place(const Map& map, i64 j, i64 i) {
    if (!find_centre(map, j, i)) return false;
    box = {x - reach, x + reach, y - reach, y + reach};
    window = {rounded(box.x0), rounded(box.x1), rounded(box.y0), rounded(box.y1)};
    return true;
  }
  DEVICE_MEMBER float weight(double py, double px) const {
    const double right = box.x1 < px + 0.5 ? box.x1 : px + 0.5, left = box.x0 > px - 0.5 ? box.x0 : px - 0.5;
    const double top = box.y1 < py + 0.5 ? box.y1 : py + 0.5, low = box.y0 > py - 0.5 ? box.y0 : py - 0.5;
    const double dx = right - left, dy = top - low;
    return dx > 0. && dy > 0. && dx * dy > 0. ? (float)(dx * dy * scale * w) : 0.f;
  }
};

union Bits { double number; i64 bits; };

// e to the power a <= 0 from sums and products alone, so that it rounds alike on every machine; 0 below 1e-300.
DEVICE double power_of_e(double a) {
  if (!(a > -690.)) return 0.;
  const double k = floor(a * 1.4426950408889634 + 0.5);
  const double t = (a - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  double sum = 1.;
  for (int n = 14; n > 0; --n) sum = 1. + sum * (t / (double)n);
  Bits power;
  power.bits = ((i64)k + 1023) << 52;
  return sum * power.number;
}

struct Gaussian : Drop {
  double reach, steep, height;  // output pixels; 1 / (2 sigma^2); of the middle

  DEVICE_MEMBER Gaussian(double reach, double steep, double height) : reach(reach), steep(steep), height(height) {}

  DEVICE_MEMBER bool place(const Map& map, i64 j, i64 i) {
    if (!find_centre(map, j, i)) return false;
    window = {rounded(x - reach), rounded(x + reach), rounded(y - reach), rounded(y + reach)};
    return true;
  }
  DEVICE_MEMBER float weight(double py, double px) const {
    const double dx = x - px, dy = y - py, r2 = dx * dx + dy * dy;
    return (float)((double)(float)(height * power_of_e(-r2 * steep)) * w);
  }
};

struct Lanczos : Drop {
  double reach, fine;   // output pixels; entries of the table per output pixel
  const double* table;
  i64 entries;

  DEVICE_MEMBER Lanczos(double reach, double fine, const double* table, i64 entries)
    : reach(reach), fine(fine), table(table), entries(entries) {}

  DEVICE_MEMBER bool place(const Map& map, i64 j, i64 i) {
    if (!find_centre(map, j, i)) return false;
    window = {floor(x - reach) + 1., floor(x + reach), floor(y - reach) + 1., floor(y + reach)};
    return true;
  }
  DEVICE_MEMBER float weight(double py, double px) const {
    const i64 ix = (i64)rounded(fabs((x - px) * fine)), iy = (i64)rounded(fabs((y - py) * fine));
    return ix < entries && iy < entries ? (float)(table[ix] * table[iy] * w) : 0.f;
  }
};
