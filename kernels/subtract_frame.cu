// subtract_frame.cu - subtract a scaled and shifted picture from every group but the first.
// Twin: gpucal/steps/picture_frame.py
#include "gpucal.cuh"

KERNEL subtract_frame(
    float*       __restrict__ ramp,    // (nints, ngroups, npix)  DN
    const float* __restrict__ frame,   // (npix)  DN, the picture, 0 at the edges' level
    const float* __restrict__ scale,   // (nints, nlater)  of the picture, for each group but the first
    const float* __restrict__ offset,  // (nints, nlater)  DN
    const i64 npix, const int nints, const int ngroups, const int nlater)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    float* own = ramp + integration * ngroups * npix + p;
    const float first = own[0];
    for (int g = 0; g < nlater; ++g) {
      const i64 at = integration * nlater + g;
      const float correction = scale[at] * frame[p] + offset[at];
      float& value = own[(g + 1) * npix];
      value = (value - first) + (first - correction);
    }
  }
}
