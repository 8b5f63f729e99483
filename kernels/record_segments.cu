// record_segments.cu - fit the segments as fit_ramps does, and write down what it only averages, segment by segment.
//
// The pedestal is meant for the signal that was there before the integration began: the first group, less the slope times the
// time from the reset to the middle of that group. As in the official product the time is in units of the group time, though the
// slope is in DN/s.
// Twin: gpucal/optional_results.py
#include "segments.cuh"

KERNEL record_segments(
    const float* __restrict__ ramp,         // (nints, nall, npix)  DN
    const u8*    __restrict__ groupdq,      // (nints, nall, npix)
    const u32*   __restrict__ pixeldq,      // (npix)
    const float* __restrict__ gain,         // (npix)  electron/DN
    const float* __restrict__ readnoise,    // (npix)  DN, of the difference of two frames
    const float* __restrict__ dark,         // (npix) or null  electron/s
    const float* __restrict__ zeroframe,    // (nints, npix) or null  DN; given if lone groups are to be used
    const float* __restrict__ weights,      // (npowers, nlengths, nweights)  |(i - m) / m|^P
    double*      __restrict__ scratch,      // (count, nscratch)  as many as groups
    float* __restrict__ slope,              // (nints, nsegments, npix)  DN/s
    float* __restrict__ sigslope,           // (nints, nsegments, npix)
    float* __restrict__ var_poisson,        // (nints, nsegments, npix)  (DN/s)^2
    float* __restrict__ var_rnoise,         // (nints, nsegments, npix)  (DN/s)^2
    float* __restrict__ yint,               // (nints, nsegments, npix)  DN
    float* __restrict__ sigyint,            // (nints, nsegments, npix)
    float* __restrict__ segment_weights,    // (nints, nsegments, npix)  (DN/s)^-2
    float* __restrict__ pedestal,           // (nints, npix)  DN
    float* __restrict__ crmag,              // (nints, njumps, npix)  DN
    const i64 npix, const int nints, const int nall, const int npowers, const int nlengths, const int nweights,
    const i64 count, const i64 nscratch, const int nsegments, const int njumps, const i64 start,
    const int first, const int ngroups, const int nframes, const int lone_groups,
    const double group_time, const double frame_time, const double one_group_time, const double first_time)
{
  const Timing time = {group_time, frame_time, one_group_time};
  FOR_EACH(i, count) {
    const i64 p = start + i;
    const double g = gain[p], noise = (double)(float)((double)readnoise[p] * (g / sqrt(2.0 * nframes)));
    const u32 base_dq = pixeldq[p] | (g > 0 ? 0u : NO_GAIN_VALUE | DO_NOT_USE);
    Pixel pixel = {g, noise, 0, dark ? (double)dark[p] : 0};
    Total total = {0, {0, 0, 0, 0}, base_dq, 0, 0, false, false, 0};
    for (int fitting = 0; fitting < 2; ++fitting) {
      for (int k = 0; k < nints; ++k) {
        const i64 begin = ((i64)k * nall + first) * npix + p;
        const Integration all = {ramp + begin, groupdq + begin, npix, ngroups, first > 0, 0.f};
        const Case one = judge(all, 255, lone_groups, zeroframe ? zeroframe + k * npix + p : 0, time);
        if (!fitting) {
          const double m = ngroups == 1 || one.lone ? one.ramp.value(0) / time.one_group
                         : one.zero() ? one.ramp.value(0) / time.frame
                         : median_rate(one.ramp, scratch + i * nscratch, time);
          total.rate += isnan(m) && ngroups > 1 ? 0 : m;
          continue;
        }
        const Slope mean = fit_integration(one, pixel, base_dq, time, weights, nlengths, nweights, total);
        const double before = one.ramp.value(0) - mean.value * first_time;
        pedestal[k * npix + p] = isnan(before) ? 0.f : (float)before;

        const int longest = one.ramp.flag(0) & SATURATED ? 0 : longest_segment(one.ramp);
        i64 at = (i64)k * nsegments * npix + p;
        int n;
        for (int s = next_segment(one.ramp, 0, &n); n && longest; s = next_segment(one.ramp, s + n, &n)) {
          if (longest > 1 && n == 1) continue;
          const Fit fit = fit_segment(one, s, n, pixel, time, weights, nlengths, nweights);
          slope[at] = (float)fit.slope;
          sigslope[at] = (float)fit.sigma;
          var_poisson[at] = (float)fit.poisson;
          var_rnoise[at] = (float)fit.noise;
          yint[at] = (float)fit.intercept;
          sigyint[at] = (float)fit.intercept_sigma;
          segment_weights[at] = (float)(1. / fit.noise);
          at += npix;
          if (longest == 1) break;
        }
        at = (i64)k * njumps * npix + p;
        for (int j = 1; j < ngroups; ++j)
          if (all.flag(j) & JUMP_DET) {
            crmag[at] = (float)(all.value(j) - all.value(j - 1));
            at += npix;
          }
      }
      pixel.rate = total.rate / nints;
    }
  }
}
