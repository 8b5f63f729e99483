// gather_lines.cu - the background of the images to clean, laid out in lines along the axis of the noise.
//
// An image is the difference of a group and the one before it; or, with a template, what a group has above that. Values
// that are not background, jumped, cannot be used or lie outside the limits become NaN.
// Twin: gpucal/flicker/stripes.py
#include "gpucal.cuh"

// One image: its value in a pixel if that is background, else NaN.
struct Image {
  const float *now, *last, *expected, *flat, *background;
  const u8 *flags, *mask;
  float scale, low, high;

  DEVICE_MEMBER float operator()(i64 p) const {
    const float other = expected ? scale * expected[p] : last[p];
    float v = now[p] - other;
    if (flat) v /= flat[p];
    const bool good = mask[p] && !(flags && flags[p] & (DO_NOT_USE | JUMP_DET)) && isfinite(v) && v >= low && v <= high;
    if (background) v -= background[p];
    return good ? v : NAN;
  }
};

KERNEL gather_lines(
    const float* __restrict__ ramp,        // (nints, ngroups, npix)  DN
    const float* __restrict__ before,      // (nints, npix) or null  DN, the first group before it was cleaned
    const u8*    __restrict__ groupdq,     // (nints, ngroups, npix)
    const u8*    __restrict__ mask,        // (nmasks, npix)  1 where there is background; one for all, or for each, integration
    const float* __restrict__ flat,        // (npix) or null
    const float* __restrict__ planes,      // (nplanes, npix) or null  DN, the template of each group
    const float* __restrict__ scale,       // (nints) or null  of the template
    const float* __restrict__ limits,      // (nimages, ntwo) or null  DN
    const float* __restrict__ background,  // (nimages, npix) or null  DN, subtracted
    float*       __restrict__ lines,       // (nimages, nlines, npoints)  DN
    const int nints, const int ngroups, const i64 npix, const i64 nmasks, const i64 nplanes, const i64 nimages,
    const int ntwo, const i64 nlines, const i64 npoints, const int along_x)
{
  FOR_EACH_TILE(first, nimages * nlines) {
    const int count = nimages * nlines - first < LANES ? (int)(nimages * nlines - first) : LANES;
    Image image[LANES];
    i64 line[LANES];
    const int per = planes ? ngroups : ngroups - 1;
    for (int l = 0; l < count; ++l) {
      const i64 k = (first + l) / nlines, integration = k / per, g = k % per;
      const float* now = ramp + (integration * ngroups + g) * npix;
      Image& one = image[l];
      line[l] = (first + l) % nlines;
      one.now = planes ? now : now + npix;
      one.last = before && g == 0 ? before + integration * npix : now;
      one.expected = planes ? planes + g * npix : 0;
      one.scale = planes ? scale[integration] : 0;
      one.flat = flat;
      one.background = background ? background + k * npix : 0;
      one.flags = planes ? 0 : groupdq + (integration * ngroups + g + 1) * npix;
      one.mask = mask + (nmasks > 1 ? integration * npix : 0);
      one.low = limits ? limits[k * ntwo] : -INFINITY;
      one.high = limits ? limits[k * ntwo + 1] : INFINITY;
    }
    float* out = lines + first * npoints;
    if (along_x) {
      for (int l = 0; l < count; ++l)
        for (i64 i = 0; i < npoints; ++i) out[l * npoints + i] = image[l](line[l] * npoints + i);
    } else {
      for (i64 i = 0; i < npoints; ++i)
        for (int l = 0; l < count; ++l) out[l * npoints + i] = image[l](i * nlines + line[l]);
    }
  }
}
