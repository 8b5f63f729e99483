// measure_scatter.cu - the standard deviation of every pixel's groups, as numpy.std gives it in single precision.
// Twin: gpucal/emi/joint.py
#include "gpucal.cuh"

template <int L>
DEVICE void scatter_of(const float* data, float* scatter, const i64 npix, const int ngroups) {
  float mean[L], sum[L];
  for (int l = 0; l < L; ++l) sum[l] = data[l];
  for (int g = 1; g < ngroups; ++g)
    for (int l = 0; l < L; ++l) sum[l] += data[g * npix + l];
  for (int l = 0; l < L; ++l) mean[l] = sum[l] / (float)ngroups;
  for (int l = 0; l < L; ++l) sum[l] = (data[l] - mean[l]) * (data[l] - mean[l]);
  for (int g = 1; g < ngroups; ++g)
    for (int l = 0; l < L; ++l) {
      const float d = data[g * npix + l] - mean[l];
      sum[l] += d * d;
    }
  for (int l = 0; l < L; ++l) scatter[l] = (float)sqrt(sum[l] / (float)ngroups);
}

KERNEL measure_scatter(
    const float* __restrict__ ramp,     // (nints, ngroups, npix)  DN
    float*       __restrict__ scatter,  // (nints, npix)  DN
    const i64 npix, const int nints, const int ngroups)
{
  FOR_EACH_TILE(first, npix) {
    for (int integration = 0; integration < nints; ++integration) {
      const float* data = ramp + (i64)integration * ngroups * npix + first;
      float* own = scatter + integration * npix + first;
      if (first + LANES <= npix) scatter_of<LANES>(data, own, npix, ngroups);
      else for (i64 l = 0; l < npix - first; ++l) scatter_of<1>(data + l, own + l, npix, ngroups);
    }
  }
}
