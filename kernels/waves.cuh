// waves.cuh - one period of a wave as polynomials between its samples. Knows nothing of threads.
#pragma once
#include "gpucal.cuh"

// The wave at a phase, of which only the fraction counts; pieces: (n + 1, 4) ascending powers, the samples at (i + 1/2) / n.
DEVICE double wave_at(double phase, const double* pieces, const int npieces) {
  const double at = (phase - floor(phase)) * (npieces - 1) + 0.5;
  const int index = (int)at;
  const double r = at - index;
  const double* c = pieces + 4 * index;
  return ((c[3] * r + c[2]) * r + c[1]) * r + c[0];
}
