// root.cuh - x to the power 1 / n from sums, products and quotients alone, so that it rounds alike on every machine.
//
// The power of the very number that 1 / n is in double precision, rounded once: two of Newton's steps to the n-th root, the last
// with twice the digits.
#pragma once
#include "gpucal.cuh"

struct Twice { double high, low; };  // a number with twice the digits: the sum

// The exact product of two numbers. Source: Dekker 1971 (Numer. Math. 18, 224).
DEVICE Twice product(double a, double b) {
  const double p = a * b, c = 134217729. * a, d = 134217729. * b;
  const double a0 = c - (c - a), a1 = a - a0, b0 = d - (d - b), b1 = b - b0;
  return {p, ((a0 * b0 - p) + a0 * b1 + a1 * b0) + a1 * b1};
}

DEVICE Twice product(Twice a, Twice b) {
  const Twice p = product(a.high, b.high);
  const double low = p.low + (a.high * b.low + a.low * b.high), high = p.high + low;
  return {high, low - (high - p.high)};
}

union Bits { double number; i64 bits; };

// The roots of LANES numbers; of 0, infinity and NaN themselves, of what is negative NaN.
DEVICE void roots(const double* numbers, int n, double* r) {
  double x[LANES], u[LANES], t[LANES], plain[LANES], high[LANES], low[LANES];
  FOR_LANES(l) {
    // x = m 2^e with m from 0.5 to 1; ln m by the series of the area tangent; u = ln x / n = k ln 2 + t.
    x[l] = numbers[l] > 0 && numbers[l] < INFINITY ? numbers[l] : 1.;
    Bits m;
    m.number = x[l];
    const double e = (double)((m.bits >> 52) - 1022);
    m.bits = (m.bits & 0xfffffffffffffLL) | (1022LL << 52);
    const double z = (m.number - 1.) / (m.number + 1.), z2 = z * z;
    u[l] = (0.6931471805599453 * e + 2. * z * (1. + z2 * (1. / 3. + z2 * (1. / 5. + z2 * (1. / 7.))))) / n;
    const i64 k = (i64)(u[l] * 1.4426950408889634);
    t[l] = u[l] - (double)k * 0.6931471805599453;
    Bits power;
    power.bits = (k + 1023) << 52;
    plain[l] = power.number;
    r[l] = 1.;
  }
  for (int i = 13; i > 0; --i) FOR_LANES(l) r[l] = 1. + r[l] * (t[l] * (1. / i));
  FOR_LANES(l) {
    r[l] *= plain[l];
    plain[l] = 1.;
  }
  int top = 1;
  while (2 * top <= n) top *= 2;
  for (int bit = top; bit; bit /= 2) FOR_LANES(l) plain[l] *= plain[l] * (n & bit ? r[l] : 1.);
  FOR_LANES(l) {
    r[l] += r[l] * ((x[l] - plain[l]) / (n * plain[l]));
    high[l] = 1.;
    low[l] = 0.;
  }
  for (int bit = top; bit; bit /= 2)
    FOR_LANES(l) {
      Twice all = product(Twice{high[l], low[l]}, Twice{high[l], low[l]});
      if (n & bit) all = product(all, Twice{r[l], 0.});
      high[l] = all.high;
      low[l] = all.low;
    }
  const Twice whole = product(1. / n, (double)n);  // 1, but for the rounding of 1 / n
  const double excess = (whole.high - 1.) + whole.low;
  FOR_LANES(l) {
    const double root = r[l] + r[l] * (((x[l] - high[l]) - low[l]) / (n * high[l]) + excess * u[l]);
    const double given = numbers[l];
    r[l] = given > 0 && given < INFINITY ? root : given >= 0 ? given : (double)NAN;
  }
}
