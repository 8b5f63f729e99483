// average_groups.cu - the mean of the groups of an integration, in double precision.
// Twin: gpucal/irs2/correction.py
#include "gpucal.cuh"

KERNEL average_groups(
    const float* __restrict__ ramp,  // (ngroups, npix)  DN
    double*      __restrict__ mean,  // (npix)  DN
    const int ngroups, const i64 npix)
{
  FOR_EACH(p, npix) {
    double sum = 0;
    for (int g = 0; g < ngroups; ++g) sum += (double)ramp[g * npix + p];
    mean[p] = sum / (double)ngroups;
  }
}
