// statistics.cuh - sums and order statistics of one lane's numbers. Knows nothing of threads.
#pragma once
#include "gpucal.cuh"

// The sum of values[0..n) of type T in the order of numpy.sum: eight interleaved running sums per block of at most 128,
// blocks combined pairwise. Rounds exactly as NumPy does.
template <class T, class F>
DEVICE T block_sum_of(F value, const i64 first, const i64 n) {
  if (n < 8) {
    T sum = 0;
    for (i64 i = 0; i < n; ++i) sum += value(first + i);
    return sum;
  }
  T r[8];
  for (int k = 0; k < 8; ++k) r[k] = value(first + k);
  i64 i = 8;
  for (; i < n - n % 8; i += 8)
    for (int k = 0; k < 8; ++k) r[k] += value(first + i + k);
  T sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; i < n; ++i) sum += value(first + i);
  return sum;
}

template <class T, class F>
DEVICE T pairwise_sum(F value, const i64 n) {
  // The recursion "first half, second half" without recursion: a stack of the second halves still to do.
  struct Part { i64 first, n; T left; bool has_left; } stack[48];
  int depth = 0;
  i64 first = 0, size = n;
  for (;;) {
    while (size > 128) {
      i64 half = size / 2;
      half -= half % 8;
      stack[depth++] = {first + half, size - half, 0, false};
      size = half;
    }
    T sum = block_sum_of<T>(value, first, size);
    while (depth && stack[depth - 1].has_left) sum = stack[--depth].left + sum;
    if (!depth) return sum;
    Part& top = stack[depth - 1];
    top.left = sum;
    top.has_left = true;
    first = top.first;
    size = top.n;
  }
}

// Sort each lane's column of values[0..n) upwards, by swaps without branches: all lanes at once on the host.
template <class T>
DEVICE void sort_columns(T (*values)[LANES], const int n) {
  for (int pass = 0; pass < n; ++pass)
    for (int i = pass % 2; i + 1 < n; i += 2)
      FOR_LANES(l) {
        const T a = values[i][l], b = values[i + 1][l];
        values[i][l] = b < a ? b : a;
        values[i + 1][l] = b < a ? a : b;
      }
}

// Sort values[0..n) upwards (Shell's sort: short for a handful of values, fit for a thousand).
template <class T>
DEVICE void sort(T* values, const int n) {
  int gap = 1;
  while (gap < n / 9) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3)
    for (int i = gap; i < n; ++i) {
      const T v = values[i];
      int j = i;
      for (; j >= gap && values[j - gap] > v; j -= gap) values[j] = values[j - gap];
      values[j] = v;
    }
}

// The k-th smallest of values[0..n), counting from 0; afterwards all before it are no larger, all behind no smaller.
template <class T>
DEVICE T select(T* values, const int n, const int k) {
  int low = 0, high = n - 1;
  while (low < high) {
    const T pivot = values[(low + high) / 2];
    int i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) ++i;
      while (pivot < values[j]) --j;
      if (i <= j) { const T v = values[i]; values[i++] = values[j]; values[j--] = v; }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return values[k];
}

// The two middle values of values[0..n), n > 0, twice the same if n is odd; the values are reordered.
template <class T> struct Middle { T lower, upper; };

template <class T>
DEVICE Middle<T> middle(T* values, const int n) {
  if (n <= 16) {
    sort(values, n);
    return {values[(n - 1) / 2], values[n / 2]};
  }
  const T upper = select(values, n, n / 2);
  if (n % 2) return {upper, upper};
  T lower = values[0];
  for (int i = 1; i < n / 2; ++i) if (values[i] > lower) lower = values[i];
  return {lower, upper};
}

// The median of values[0..n), n > 0, which are reordered; of an even number, the mean of the middle two.
template <class T>
DEVICE T median(T* values, const int n) {
  const Middle<T> m = middle(values, n);
  return (m.lower + m.upper) / 2;
}
