// remove_stripes.cu - take the noise out of every image and add the images up again.
//
// What is divided out or subtracted to find the noise is multiplied and added again, with its rounding.
// Twin: gpucal/flicker/stripes.py
#include "gpucal.cuh"

// A pixel of an image without its noise.
DEVICE float cleaned(float v, float level, float noise, const float* flat) {
  if (flat) v /= *flat;
  v -= level;
  v -= noise;
  v += level;
  return flat ? v * *flat : v;
}

KERNEL remove_stripes(
    float*       __restrict__ ramp,        // (nints, ngroups, ny, nx)  DN
    const float* __restrict__ before,      // (nints, ny, nx) or null  DN, the first group before it was cleaned
    const float* __restrict__ flat,        // (ny, nx) or null
    const float* __restrict__ planes,      // (nplanes, ny, nx) or null  DN, the template of each group
    const float* __restrict__ scale,       // (nints) or null  of the template
    const u8*    __restrict__ usable,      // (nimages)  0: nothing is known of the noise
    const float* __restrict__ offset,      // (nimages)  DN, the background where it is the same everywhere
    const float* __restrict__ background,  // (nimages, ny, nx) or null  DN
    const float* __restrict__ stripes,     // (nimages, nlines, nchannels) or null  DN
    const float* __restrict__ noise,       // (nimages, ny, nx) or null  DN
    const int nints, const int ngroups, const i64 ny, const i64 nx, const i64 nplanes, const i64 nimages,
    const i64 nlines, const i64 nchannels, const i64 length, const int along_x)
{
  FOR_EACH_2D(row, nints * ny, x, nx) {
    const i64 integration = row / ny, y = row % ny, npix = ny * nx, p = y * nx + x;
    const i64 line = along_x ? y : x, channel = nchannels > 1 ? (along_x ? x : y) / length : 0;
    const float* own_flat = flat ? flat + p : 0;
    float* own = ramp + integration * ngroups * npix + p;
    float last = before ? before[integration * npix + p] : own[0];
    const int per = planes ? ngroups : ngroups - 1;
    for (int g = 0; g < per; ++g) {
      const i64 image = integration * per + g, at = image * npix + p;
      float* to = planes ? own + g * npix : own + (g + 1) * npix;
      const float now = *to, expected = planes ? scale[integration] * planes[g * npix + p] : last;
      if (usable[image]) {
        const float level = background ? background[at] : offset[image];
        const float error = stripes ? stripes[(image * nlines + line) * nchannels + channel] : noise[at];
        *to = (planes ? expected : to[-npix]) + cleaned(now - expected, level, error, own_flat);
      }
      last = now;
    }
  }
}
