// find_residuals.cu - what four neighbouring pixels, read at once by four amplifiers, have left without slope and bias.
//
// The slope is a straight line's through all groups but the first and the last; the bias is the median of these groups
// without the slope, or the smaller of two. Single and double precision alternate as in the official pipeline.
// Twin: gpucal/emi/sequential.py
#include "statistics.cuh"

KERNEL find_residuals(
    const float* __restrict__ data,       // (ngroups, nquads, namps)  DN; three groups or more
    float*       __restrict__ scratch,    // (count, nscratch)  room for the groups that tell the bias
    float*       __restrict__ residuals,  // (ngroups, nquads)  DN
    const int ngroups, const i64 nquads, const int namps, const i64 count, const int nscratch, const i64 start)
{
  FOR_EACH(i, count) {
    const i64 q = start + i;
    float* inner = scratch + i * nscratch;
    const int n = ngroups - 2;
    double sx = 0, sxx = 0;
    for (int t = 0; t < n; ++t) { sx += t; sxx += (double)t * t; }
    for (int c = 0; c < namps; ++c) {
      double sxy = 0, sy = 0;
      for (int t = 0; t < n; ++t) {
        const double v = data[((t + 1) * nquads + q) * namps + c];
        sxy += t * v;
        sy += v;
      }
      const double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
      for (int t = 0; t < n; ++t)
        inner[t] = (float)((double)data[((t + 1) * nquads + q) * namps + c] - slope * (t + 1));
      float bias = inner[0];
      if (n == 2 && inner[1] < bias) bias = inner[1];
      if (n > 2) bias = median(inner, n);
      for (int g = 0; g < ngroups; ++g) {
        const float left = (float)((double)data[(g * nquads + q) * namps + c] - slope * g) - bias;
        residuals[g * nquads + q] = c ? residuals[g * nquads + q] + left : left;
      }
    }
    for (int g = 0; g < ngroups; ++g) residuals[g * nquads + q] /= (float)namps;
  }
}
