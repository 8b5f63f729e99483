// fit_ramps.cu - fit straight lines to the clean segments of a pixel's ramps, and average the slopes.
//
// Slopes, in DN/s, are averaged over segments and integrations with the weights of the read noise alone; what a segment is,
// and what its slope and variances are, is in segments.cuh. Where charge has moved to or from a pixel (CHARGELOSS), the groups
// left out for it count for the variance of the read noise all the same: they were left out for their light, not their noise.
//
// Sources: Fixsen et al. 2000 (PASP 112, 1350); Robberto 2008 (JWST-STScI-001490); the JWST documentation of ramp_fit.
// Twin: gpucal/steps/ramp_fit.py
#include "segments.cuh"

enum { FEW = 64 };                     // groups whose differences a lane keeps without scratch memory

// The groups of an integration for a tile of neighbouring pixels, in the lanes' own memory, and all flags of each lane.
struct Tile { float data[FEW][LANES]; u8 flags[FEW][LANES], any[LANES]; };

// Lanes beyond `lanes` repeat the last.
DEVICE void take(const float* data, const u8* flags, i64 npix, int ngroups, int lanes, Tile& tile) {
  for (int l = 0; l < LANES; ++l) tile.any[l] = 0;
  for (int g = 0; g < ngroups; ++g, data += npix, flags += npix)
    if (lanes == LANES)
      FOR_LANES(l) {
        tile.data[g][l] = data[l];
        tile.flags[g][l] = flags[l];
        tile.any[l] |= flags[l];
      }
    else
      for (int l = 0; l < LANES; ++l) {
        const int from = l < lanes ? l : lanes - 1;
        tile.data[g][l] = data[from];
        tile.flags[g][l] = flags[from];
        tile.any[l] |= flags[from];
      }
}

// The median rates of a tile.
DEVICE void median_rates(const Tile& tile, int ngroups, const Timing& time, double* rates) {
  double steps[FEW][LANES], first[LANES], before[LANES];
  int known[LANES];
  for (int g = 0; g < ngroups; ++g)
    FOR_LANES(l) {
      const u8 q = tile.flags[g][l];
      const double now = q & BAD ? (double)NAN : tile.data[g][l] / time.group;
      if (g == 0) {
        first[l] = now;
        known[l] = 0;
      } else {
        const double d = q & JUMP_DET ? (double)NAN : now - before[l];
        const bool is_known = d == d;
        known[l] += is_known;
        steps[g - 1][l] = is_known ? d : INFINITY;
      }
      before[l] = now;
    }
  sort_columns(steps, ngroups - 1);
  for (int l = 0; l < LANES; ++l) {
    const int n = known[l];
    rates[l] = n ? (steps[(n - 1) / 2][l] + steps[n / 2][l]) / 2 : first[l];
  }
}

// The flags of an integration as they were before charge migration.
struct Restored {
  const u8* flags;
  i64 stride;
  int ngroups;

  DEVICE_MEMBER u8 flag(int g) const {
    const u8 q = flags[g * stride];
    return q & CHARGELOSS ? q ^ (u8)(CHARGELOSS | DO_NOT_USE) : q;
  }
};

// The sum of the inverse noise variances of the segments; alone: the time that a segment of one group stands for.
DEVICE double noise_weight(const Restored& ramp, const Pixel& pixel, double time, double alone) {
  const int longest = longest_segment(ramp);
  double sum = 0;
  int n;
  for (int s = next_segment(ramp, 0, &n); n; s = next_segment(ramp, s + n, &n)) {
    if (longest > 1 && n == 1) continue;
    const double length = n;
    const double noise = n == 1 ? noise_variance(pixel, alone, 6)
                       : n == 2 ? noise_variance(pixel, time, 6)
                       : pixel.gain > 0 ? noise_variance(pixel, time, length * length * length - length) : 0;
    if (noise > 0) sum += 1. / noise;
    if (longest == 1) break;
  }
  return sum;
}

// Average the integrations of a pixel.
DEVICE Slope average(const Total& total, int nints) {
  const Sums& sum = total.sums;
  Slope slope = {sum.slope, 0, sum.poisson > 0 ? 1. / sum.poisson : sum.poisson, sum.noise > 0 ? 1. / sum.noise : sum.noise,
                 total.dq};
  if (total.unusable == nints) slope.dq |= DO_NOT_USE;
  if (total.saturated == nints) slope.dq |= SATURATED;
  if (slope.poisson >= TOO_LARGE || slope.poisson < 0) slope.poisson = 0;
  if (slope.noise >= TOO_LARGE) slope.noise = 0;
  slope.err = sqrt(slope.poisson + slope.noise);
  if (slope.dq & BAD) {
    slope.value = NAN;
    slope.poisson = slope.noise = slope.err = 0;
  }
  if (total.partly_saturated) slope.dq |= SATURATED;
  slope.value *= slope.noise;
  if (total.migrated) {
    if (total.restored > 0) slope.noise = 1. / total.restored;
    if (slope.noise >= TOO_LARGE) slope.noise = 0;
  }
  return slope;
}

KERNEL fit_ramps(
    const float* __restrict__ ramp,       // (nints, nall, npix)  DN
    const u8*    __restrict__ groupdq,    // (nints, nall, npix)
    const u8*    __restrict__ original,   // (nints, nall, npix) or null  before lone groups were suppressed; with CHARGELOSS
    const u32*   __restrict__ pixeldq,    // (npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    const float* __restrict__ dark,       // (npix) or null  electron/s
    const float* __restrict__ zeroframe,  // (nints, npix) or null  DN; given if lone groups are to be used
    const float* __restrict__ weights,    // (npowers, nlengths, nweights)  |(i - m) / m|^P
    double*      __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few groups
    float* __restrict__ rate,             // (npix)  DN/s
    float* __restrict__ rate_err,         // (npix)  DN/s
    float* __restrict__ rate_poisson,     // (npix)  (DN/s)^2
    float* __restrict__ rate_noise,       // (npix)  (DN/s)^2
    u32*   __restrict__ rate_dq,          // (npix)
    float* __restrict__ ints,             // (nints, npix)  the same, integration by integration
    float* __restrict__ ints_err,         // (nints, npix)
    float* __restrict__ ints_poisson,     // (nints, npix)
    float* __restrict__ ints_noise,       // (nints, npix)
    u32*   __restrict__ ints_dq,          // (nints, npix)
    const i64 npix, const int nints, const int nall, const int npowers, const int nlengths, const int nweights,
    const i64 count, const i64 nscratch, const i64 start,
    const int first, const int ngroups, const int nframes, const int lone_groups,
    const double group_time, const double frame_time, const double one_group_time)
{
  const Timing time = {group_time, frame_time, one_group_time};
  FOR_EACH_TILE(i, count) {
    const i64 tile_start = start + i;
    const int lanes = count - i < LANES ? (int)(count - i) : LANES;
    Tile tile;
    Pixel pixel[LANES];
    Total total[LANES];
    u32 base_dq[LANES];
    for (int l = 0; l < lanes; ++l) {
      const i64 p = tile_start + l;
      const double g = gain[p], noise = (double)(float)((double)readnoise[p] * (g / sqrt(2.0 * nframes)));
      base_dq[l] = pixeldq[p] | (g > 0 ? 0u : NO_GAIN_VALUE | DO_NOT_USE);
      pixel[l] = {g, noise, 0, dark ? (double)dark[p] : 0};
      total[l] = {0, {0, 0, 0, 0}, base_dq[l], 0, 0, false, false, 0};
    }

    // Twice through the integrations: for the rate that tells the photon noise, then for the slopes.
    for (int fitting = 0; fitting < 2; ++fitting) {
      for (int k = 0; k < nints; ++k) {
        const i64 begin = ((i64)k * nall + first) * npix + tile_start;
        double rates[LANES];
        if (!nscratch && (nints > 1 || !fitting)) take(ramp + begin, groupdq + begin, npix, ngroups, lanes, tile);
        if (!nscratch && !fitting) median_rates(tile, ngroups, time, rates);
        for (int l = 0; l < lanes; ++l) {
          const i64 p = tile_start + l;
          const Integration all = nscratch ? Integration{ramp + begin + l, groupdq + begin + l, npix, ngroups, first > 0, 0.f}
                                           : Integration{&tile.data[0][l], &tile.flags[0][l], LANES, ngroups, first > 0, 0.f};
          const Case one = judge(all, nscratch ? 255 : tile.any[l], lone_groups, zeroframe ? zeroframe + k * npix + p : 0, time);
          if (fitting) {
            Slope slope = fit_integration(one, pixel[l], base_dq[l], time, weights, nlengths, nweights, total[l]);
            if (original && (one.groups.any & CHARGELOSS)) {
              const double weight = noise_weight({original + begin + l, npix, ngroups}, pixel[l], time.group, one.alone);
              total[l].migrated = true;
              total[l].restored += weight;
              slope.noise = 1. / weight;
              if (slope.noise >= TOO_LARGE) slope.noise = 0;
            } else if (original && slope.noise > 0) {
              total[l].restored += 1. / slope.noise;
            }
            ints[k * npix + p] = (float)slope.value;
            ints_err[k * npix + p] = (float)slope.err;
            ints_poisson[k * npix + p] = (float)slope.poisson;
            ints_noise[k * npix + p] = (float)slope.noise;
            ints_dq[k * npix + p] = slope.dq;
          } else {
            const double m = ngroups == 1 || one.lone ? one.ramp.value(0) / time.one_group
                           : one.zero() ? one.ramp.value(0) / time.frame
                           : nscratch ? median_rate(one.ramp, scratch + (i + l) * nscratch, time)
                           : rates[l];
            total[l].rate += isnan(m) && ngroups > 1 ? 0 : m;  // of one group, NaN makes the rate NaN
          }
        }
      }
      for (int l = 0; l < lanes; ++l) pixel[l].rate = total[l].rate / nints;
    }

    for (int l = 0; l < lanes; ++l) {
      const i64 p = tile_start + l;
      const Slope slope = average(total[l], nints);
      rate[p] = (float)slope.value;
      rate_err[p] = (float)slope.err;
      rate_poisson[p] = (float)slope.poisson;
      rate_noise[p] = (float)slope.noise;
      rate_dq[p] = slope.dq;
    }
  }
}
