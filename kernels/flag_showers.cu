// flag_showers.cu - flag the groups in which a pixel is in a shower, unless that changes its rate more than showers do.
//
// The rates are means of differences between groups, without those of flagged groups, in single precision.
// Twin: gpucal/large_events/showers.py
#include "gpucal.cuh"

KERNEL flag_showers(
    const float* __restrict__ ramp,     // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,  // (nints, ngroups, npix)
    const float* __restrict__ gain,     // (npix)  electron/DN
    const u32*   __restrict__ showers,  // (nints, nwords, npix)  one bit for each group
    const i64 npix, const int nints, const int ngroups, const int nwords, const float most)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const u32* bits = showers + integration * nwords * npix + p;
    u32 any = 0;
    for (int w = 0; w < nwords; ++w) any |= bits[w * npix];
    if (!any) continue;

    const i64 first = integration * ngroups * npix + p;
    float sums[2] = {0, 0};  // without and with the shower's flags
    int counts[2] = {0, 0};
    for (int g = 1; g < ngroups; ++g) {
      const i64 now = first + g * npix, before = now - npix;
      const float d = ramp[now] * gain[p] - ramp[before] * gain[p];
      if (((groupdq[now] | groupdq[before]) & (BAD | JUMP_DET)) || isnan(d)) continue;
      const u32 here = bits[g / 32 * npix] >> g % 32, there = bits[(g - 1) / 32 * npix] >> (g - 1) % 32;
      sums[0] += d;
      counts[0] += 1;
      if ((here | there) & 1) continue;
      sums[1] += d;
      counts[1] += 1;
    }
    if (!counts[1]) continue;
    const float rates[2] = {(float)((double)sums[0] / counts[0]), (float)((double)sums[1] / counts[1])};
    const float change = fabsf(rates[0] - rates[1]);
    if (!isfinite(change) || change > most) continue;
    for (int g = 0; g < ngroups; ++g)
      if (bits[g / 32 * npix] >> g % 32 & 1) groupdq[first + g * npix] |= JUMP_DET;
  }
}
