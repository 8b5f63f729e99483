// fit_lines.cu - the straight line through each output's samples in the first and last lines of a group.
//
// Least squares over the samples that differ from the mean of their groups, in single precision and NumPy's order of
// summation, as in the official pipeline. A sample's time counts from the middle of the frame.
// Twin: gpucal/irs2/correction.py
#include "irs2.cuh"
#include "statistics.cuh"

DEVICE void fit(const float* x, const float* y, const i64 n, float* intercept, float* slope) {
  const float mean_x = (float)((double)pairwise_sum<float>([=](i64 j) { return x[j]; }, n) / (double)n);
  const float mean_y = (float)((double)pairwise_sum<float>([=](i64 j) { return y[j]; }, n) / (double)n);
  const float xx = pairwise_sum<float>([=](i64 j) { return x[j] * x[j]; }, n);
  const float xy = pairwise_sum<float>([=](i64 j) { return x[j] * y[j]; }, n);
  *slope = (xy - (float)n * mean_x * mean_y) / (xx - (float)n * (mean_x * mean_x));
  *intercept = mean_y - *slope * mean_x;
}

KERNEL fit_lines(
    const float*  __restrict__ ramp,    // (ngroups, nrows, nx)  DN
    const double* __restrict__ mean,    // (nrows, nx)  DN, of the groups
    const int*    __restrict__ order,   // (noutputs, nsamples)  the rows of an output in the order of time
    const int*    __restrict__ slots,   // (nrows)  the time of a row's sample within its line
    float*        __restrict__ values,  // (ngroups, noutputs, nscratch)
    float*        __restrict__ times,   // (ngroups, noutputs, nscratch)
    float*        __restrict__ lines,   // (ngroups, noutputs, ncoeffs)  DN in the middle of the frame, DN per sample
    const i64 ngroups, const i64 nrows, const i64 nx, const i64 noutputs, const i64 nsamples, const i64 nscratch,
    const i64 ncoeffs, const i64 nslots, const i64 edge, const int reverse)
{
  FOR_EACH(i, ngroups * noutputs) {
    const float* group = ramp + i / noutputs * nrows * nx;
    const int* rows = order + i % noutputs * nsamples;
    float* y = values + i * nscratch;
    float* x = times + i * nscratch;
    i64 n = 0;
    for (i64 k = 0; k < 2 * edge; ++k) {
      const i64 line = k < edge ? k : nx - 2 * edge + k;
      for (i64 s = 0; s < nsamples; ++s) {
        const i64 at = rows[s] * nx + (reverse ? nx - 1 - line : line);
        const float signal = (float)((double)group[at] - mean[at]);
        if (signal == 0) continue;
        y[n] = signal;
        x[n++] = sample_time((int)line, slots[rows[s]], (int)nx, (int)nslots);
      }
    }
    lines[i * ncoeffs] = lines[i * ncoeffs + 1] = 0;
    if (n) fit(x, y, n, &lines[i * ncoeffs], &lines[i * ncoeffs + 1]);
  }
}
