// fill_gaps.cu - replace samples that are 0 by the weighted mean of those around that are not.
//
// The series has no ends: the last sample lies before the first. Sums in double precision, the last weight first, then
// rounded to single, as in the official pipeline.
// Twin: gpucal/irs2/reference_output.py
#include "gpucal.cuh"

KERNEL fill_gaps(
    const float*  __restrict__ samples,  // (nsamples)  DN
    const double* __restrict__ weights,  // (nweights)
    float*        __restrict__ filled,   // (nsamples)  DN
    const i64 nsamples, const i64 nweights)
{
  const i64 half = nweights / 2;
  FOR_EACH(t, nsamples) {
    filled[t] = samples[t];
    if (samples[t] != 0) continue;
    double total = 0, weight = 0;
    for (i64 k = 0; k < nweights; ++k) {
      const i64 shift = k == 0 ? half : k - 1 - half;
      i64 there = t + shift;
      there += there < 0 ? nsamples : there >= nsamples ? -nsamples : 0;
      if (samples[there] == 0) continue;
      total += (double)samples[there] * weights[half - shift];
      weight += weights[half - shift];
    }
    filled[t] = (float)weight == 0 ? 0 : (float)total / (float)weight;
  }
}
