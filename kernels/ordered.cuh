// ordered.cuh - values in ascending order: sums over any range of them, and the level that is left without outliers.
#pragma once
#include "gpucal.cuh"

// The first of [first, last) for which test(i) holds, which holds for all behind it too; last if there is none.
template <class F>
DEVICE i64 search(F test, i64 first, i64 last) {
  while (first < last) {
    const i64 half = first + (last - first) / 2;
    if (test(half)) last = half;
    else first = half + 1;
  }
  return first;
}

DEVICE double root(double variance) { return variance > 0 ? sqrt(variance) : isnan(variance) ? variance : 0; }

struct Level { double median, sigma, mean, count; };

// A range of values, [first, last), of which `offset` is subtracted in single precision.
struct Ordered {
  const float* values;
  const double* blocks;  // sums of whole blocks; see sum_blocks.cu
  double middle;
  i64 first, last;
  float offset;
  int length;  // of a block

  DEVICE_MEMBER double operator[](i64 i) const { return (double)(values[i] - offset); }
  DEVICE_MEMBER i64 size() const { return last - first; }
  DEVICE_MEMBER i64 from(double low) const { return search([&](i64 i) { return (*this)[i] >= low; }, first, last); }
  DEVICE_MEMBER i64 until(double high) const { return search([&](i64 i) { return (*this)[i] > high; }, first, last); }
  DEVICE_MEMBER void keep(double low, double high) { first = from(low); last = until(high); }

  // The sums, over [a, b), of the distances to the middle and of their squares.
  DEVICE_MEMBER void sum(i64 a, i64 b, double* one, double* two) const {
    const i64 block = (a + length - 1) / length, behind = b / length;
    const i64 head = block <= behind ? block * length : b, tail = block <= behind ? behind * length : b;
    *one = *two = 0;
    for (i64 i = a; i < head; ++i) { const double v = (*this)[i] - middle; *one += v; *two += v * v; }
    for (i64 k = block; k < behind; ++k) { *one += blocks[2 * k]; *two += blocks[2 * k + 1]; }
    for (i64 i = tail; i < b; ++i) { const double v = (*this)[i] - middle; *one += v; *two += v * v; }
  }

  DEVICE_MEMBER Level level() const {
    double one, two;
    sum(first, last, &one, &two);
    const i64 n = size();
    const double mean = one / n, upper = (*this)[first + n / 2];
    const double median = n % 2 ? upper : 0.5 * (upper + (*this)[first + n / 2 - 1]);
    return {median, root(two / n - mean * mean), middle + mean, (double)n};
  }
};

// The lower half of ordered values, up to `end`, and its mirror image at the centre; each begins where it was cut.
struct Mirrored {
  Ordered all;
  double centre;
  i64 end, low, high;

  DEVICE_MEMBER double below(i64 i) const { return (all[i] - centre) + centre; }
  DEVICE_MEMBER double above(i64 i) const { return (centre - all[i]) + centre; }
  DEVICE_MEMBER i64 size() const { return (end - low) + (end - high); }
  DEVICE_MEMBER double at(i64 rank) const {
    return rank < end - low ? below(low + rank) : above(end - 1 - (rank - (end - low)));
  }
  DEVICE_MEMBER void keep(double least, double most) {
    low = search([&](i64 i) { return below(i) >= least; }, low, end);
    high = search([&](i64 i) { return above(i) <= most; }, high, end);
  }

  DEVICE_MEMBER Level level() const {
    double one, two, one_above, two_above;
    all.sum(low, end, &one, &two);
    all.sum(high, end, &one_above, &two_above);
    const double nlow = (double)(end - low), nhigh = (double)(end - high), apart = all.middle - centre;
    const i64 n = size();
    const double mean = ((one + nlow * apart) - (one_above + nhigh * apart)) / n;
    const double squares = ((two + 2 * apart * one) + nlow * apart * apart)
                         + ((two_above + 2 * apart * one_above) + nhigh * apart * apart);
    const double upper = at(n / 2), median = n % 2 ? upper : 0.5 * (upper + at(n / 2 - 1));
    return {median, root(squares / n - mean * mean), centre + mean, (double)n};
  }
};

// The level of what remains after some rounds of clipping at `reach` sigma; the last limits are applied to all values.
template <class Values>
DEVICE Level clipped(const Values& all, int rounds, double reach) {
  Values left = all;
  double low = 0, high = 0;
  for (int round = 0; round < rounds; ++round) {
    const Level now = left.level();
    const i64 before = left.size();
    low = now.median - reach * now.sigma;
    high = now.median + reach * now.sigma;
    left.keep(low, high);
    if (left.size() == before || left.size() == 0) break;
  }
  left = all;
  left.keep(low, high);
  return left.level();
}
