// average_frames.cu - the mean of the frames that make a group, NaN counting as 0.
// Twin: gpucal/steps/dark_current.py
#include "gpucal.cuh"

KERNEL average_frames(
    const float* __restrict__ frames,  // (nframes, npix)  DN
    float*       __restrict__ group,   // (npix)  DN
    const i64 npix, const int nframes)
{
  FOR_EACH(p, npix) {
    float sum = 0;
    for (int f = 0; f < nframes; ++f) {
      const float v = frames[f * npix + p];
      sum += isnan(v) ? 0.f : v;
    }
    group[p] = sum / (float)nframes;
  }
}
