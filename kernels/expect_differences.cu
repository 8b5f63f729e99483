// expect_differences.cu - find what a pixel's differences from group to group are without a hit, and their scatter.
//
// The median, and the photon noise of the median with the read noise, all in single precision.
// Twin: gpucal/large_events/showers.py
#include "showers.cuh"

KERNEL expect_differences(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    const u8*    __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    float*       __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few differences
    float*       __restrict__ expected,   // (npix)  electron
    float*       __restrict__ sigma,      // (npix)  electron
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nframes, const int never)
{
  FOR_EACH_TILE(first, count) {
    float few[FEW][LANES];
    int known[LANES];
    const i64 p0 = start + first, end = start + count;
    if (!nscratch && first + LANES <= count)
      sort_differences<true>(ramp, groupdq, gain, npix, nints, ngroups, p0, end, LeftOut{never}, Itself(), few, known);
    else if (!nscratch)
      sort_differences<false>(ramp, groupdq, gain, npix, nints, ngroups, p0, end, LeftOut{never}, Itself(), few, known);
    for (int l = 0; l < LANES && first + l < count; ++l) {
      const i64 p = p0 + l;
      float median = NAN;
      if (nscratch) {
        const QuietSteps step = {ramp + p, groupdq + p, npix, gain[p], ngroups, {never}};
        float* values = scratch + (first + l) * nscratch;
        int n = 0;
        for (int integration = 0; integration < nints; ++integration)
          for (int g = 1; g < ngroups; ++g) {
            const float d = step(integration, g);
            if (d < INFINITY) values[n++] = d;
          }
        if (n) median = ::median(values, n);
      } else if (known[l]) {
        median = (few[(known[l] - 1) / 2][l] + few[known[l] / 2][l]) / 2;
      }
      const float noise = readnoise[p] * gain[p];
      expected[p] = median;
      sigma[p] = sqrt(fabsf(median) + noise * noise / (float)nframes);
    }
  }
}
