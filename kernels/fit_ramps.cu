// fit_ramps.cu - fit straight lines to the clean segments of a pixel's ramps, and average the slopes.
//
// A segment is a run of groups without flags (a jump begins one), fitted by least squares with weights
//
//   w_i = |(i - m) / m|^P / r^2,   m = (n - 1) / 2,   P growing with the signal-to-noise ratio of the segment.
//
// Slopes, in DN/s, are averaged over segments and integrations with the weights of the read noise alone. Variances of a
// segment of n groups, with gain G, read noise r of one group in electrons and the time T between groups:
//
//   Poisson     (median rate + dark current) / (T G (n - 1))
//   read noise  12 (r / T)^2 / ((n^3 - n) G^2)
//
// Sources: Fixsen et al. 2000 (PASP 112, 1350); Robberto 2008 (JWST-STScI-001490); the JWST documentation of ramp_fit.
// Twin: gpucal/steps/ramp_fit.py
#include "statistics.cuh"

enum { FEW = 64 };                     // groups whose differences a lane keeps without scratch memory
#define TOO_LARGE 1e6                  // (DN/s)^2: variances beyond are written as 0

struct Timing { double group, frame, one_group; };  // seconds; one_group: to the middle of the first group

// The ramp of one pixel in one integration.
struct Integration {
  const float* data;   // DN, a group every `stride`
  const u8* flags;
  i64 stride;
  int ngroups;
  bool after_cut;      // earlier groups were cut off: a jump flag of the first group has lost its meaning
  float zeroframe;     // replaces the first group if not 0

  DEVICE_MEMBER u8 flag(int g) const {
    if (g == 0 && zeroframe != 0) return 0;
    const u8 q = flags[g * stride];
    return g == 0 && after_cut ? q & (u8)~JUMP_DET : q;
  }
  DEVICE_MEMBER double value(int g) const {
    if (g == 0 && zeroframe != 0) return zeroframe;
    return flags[g * stride] & SATURATED ? (double)NAN : (double)data[g * stride];
  }
};

struct Counts { int good, unused, saturated; u8 any; };  // groups of an integration; any: all their flags together

DEVICE Counts count_flags(const Integration& ramp) {
  Counts c = {0, 0, 0, 0};
  for (int g = 0; g < ramp.ngroups; ++g) {
    const u8 q = ramp.flag(g);
    c.good += q == 0;
    c.unused += (q & BAD) != 0;
    c.saturated += (q & SATURATED) != 0;
    c.any |= q;
  }
  return c;
}

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

// The median of the usable differences of an integration, DN/s; of the first group alone if there is none.
DEVICE double median_rate(const Integration& ramp, double* values, const Timing& time) {
  int n = 0;
  double before = ramp.flag(0) & DO_NOT_USE ? (double)NAN : ramp.value(0) / time.group;
  const double first = before;
  for (int g = 1; g < ramp.ngroups; ++g) {
    const u8 q = ramp.flag(g);
    const double now = q & DO_NOT_USE ? (double)NAN : ramp.value(g) / time.group;
    const double d = now - before;
    if (!(q & JUMP_DET) && !isnan(d)) values[n++] = d;
    before = now;
  }
  if (n == 0) return isnan(first) ? 0 : first;
  return median(values, n);
}

// The same for a tile.
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

struct Fit { double slope, poisson, noise; };  // DN/s and (DN/s)^2

struct Pixel { double gain, readnoise, rate, dark; };  // electron/DN, electron, DN/s, electron/s

DEVICE double poisson_variance(const Pixel& pixel, double seconds) {
  return (pixel.rate > 0 ? pixel.rate + pixel.dark : pixel.dark) / seconds;
}

DEVICE double noise_variance(const Pixel& pixel, double time, double cubed) {
  const double r = pixel.readnoise / time;
  return 12. * r * r / (cubed * pixel.gain * pixel.gain);
}

DEVICE Fit fit_one(const Integration& ramp, int start, const Pixel& pixel, double time) {
  return {ramp.value(start) / time, poisson_variance(pixel, time * pixel.gain), noise_variance(pixel, time, 6)};
}

DEVICE Fit fit_two(const Integration& ramp, int start, const Pixel& pixel, double time) {
  return {(ramp.value(start + 1) - ramp.value(start)) / time, poisson_variance(pixel, time * pixel.gain),
          noise_variance(pixel, time, 6)};
}

DEVICE Fit fit_line(const Integration& ramp, int start, int n, const Pixel& pixel, double time,
                    const float* weights, int nlengths, int nweights) {
  const double rise = ramp.value(start + n - 1) - ramp.value(start);
  const double noise2 = pixel.readnoise * pixel.readnoise + rise * pixel.gain;
  double snr = 0;
  if (!(noise2 <= 0 || pixel.gain == 0)) {
    snr = rise * pixel.gain / sqrt(noise2);
    if (snr < 0) snr = 0;
  }
  const int power = snr < 5 ? 0 : snr < 10 ? 1 : snr < 20 ? 2 : snr < 50 ? 3 : snr < 100 ? 4 : 5;
  const float* shape = weights + ((i64)power * nlengths + n) * nweights;
  const double scale = 1. / (pixel.readnoise * pixel.readnoise);
  double sw = 0, sx = 0, sxx = 0, sy = 0, sxy = 0;
  for (int i = 0; i < n; ++i) {
    const double w = (double)shape[i] * scale, x = (double)(start + i), xw = x * w;
    double y = ramp.value(start + i);
    if (isnan(y)) y = 0;
    sw += w;
    sx += xw;
    sxx += x * xw;
    sy += y * w;
    sxy += y * xw;
  }
  const double inverse = 1. / (sw * sxx - sx * sx), length = n;
  Fit fit;
  fit.slope = (sw * sxy - sx * sy) * inverse / time;
  fit.poisson = poisson_variance(pixel, time * pixel.gain * (length - 1.));
  fit.noise = pixel.gain > 0 ? noise_variance(pixel, time, length * length * length - length) : 0;
  return fit;
}

// Where a segment that contains group g or comes after it begins; *n is its length, 0 if there is none.
DEVICE int next_segment(const Integration& ramp, int g, int* n) {
  const u8 ignored = PERSISTENCE;
  while (g < ramp.ngroups && (ramp.flag(g) & (u8)~ignored)) ++g;
  int end = g;
  while (end < ramp.ngroups && !(ramp.flag(end) & (u8)~ignored)) ++end;
  const int start = g > 0 && end > g && (ramp.flag(g - 1) & (u8)~ignored) == JUMP_DET ? g - 1 : g;
  *n = end - start;
  return start;
}

struct Sums { double slope, poisson, noise, total; };  // sums of inverse variances, and of slopes over noise variance

struct Slope { double value, err, poisson, noise; u32 dq; };

// What the integrations of a pixel add up to.
struct Total {
  double rate;         // the sum of their median rates, DN/s
  Sums sums;
  u32 dq;
  int unusable, saturated;
  bool partly_saturated;
};

// An integration and the part that its first group may have to play.
struct Case {
  Integration ramp;
  Counts groups;
  bool lone;           // the first group is the only good one, and is to be used
  double alone;        // s: the time that a segment of one group stands for

  DEVICE_MEMBER bool zero() const { return ramp.zeroframe != 0; }
};

// zeroframe: DN, or null; it stands in where no group is good.
DEVICE Case judge(const Integration& ramp, u8 any, bool lone_groups, const float* zeroframe, const Timing& time) {
  Case one = {ramp, {ramp.ngroups, 0, 0, 0}, false, time.group};
  if (any) one.groups = count_flags(ramp);
  if (!lone_groups) return one;
  one.lone = one.groups.good == 1 && ramp.flag(0) == 0;
  if (one.groups.good == 0 && zeroframe && *zeroframe != 0) {
    one.ramp.zeroframe = *zeroframe;
    one.groups.unused -= 1;
    if (one.groups.saturated == ramp.ngroups) one.groups.saturated -= 1;
  }
  one.alone = one.lone ? time.one_group : one.zero() ? time.frame : time.group;
  return one;
}

// Fit the segments of an integration, add them to the pixel's sums, and average them.
DEVICE Slope fit_integration(const Case& one, const Pixel& pixel, u32 base_dq, const Timing& time, const float* weights,
                             int nlengths, int nweights, Total& total) {
  const Integration& ramp = one.ramp;
  const u8 any = one.groups.any;
  Slope slope = {0, 0, 0, 0, base_dq | (any & (JUMP_DET | PERSISTENCE))};
  total.dq |= any & (JUMP_DET | PERSISTENCE);
  bool usable = true;
  if (ramp.flag(0) & SATURATED) {
    slope.dq |= BAD;
    slope.value = NAN;
    usable = false;
  }
  if (one.groups.unused == ramp.ngroups) {
    slope.dq |= DO_NOT_USE | (one.groups.saturated == ramp.ngroups ? SATURATED : 0);
    usable = false;
  }
  int n, longest = any ? 0 : ramp.ngroups;
  if (any && usable)
    for (int s = next_segment(ramp, 0, &n); n; s = next_segment(ramp, s + n, &n)) if (n > longest) longest = n;
  if (usable && longest) {
    Sums in = {0, 0, 0, 0};
    for (int s = next_segment(ramp, 0, &n); n; s = next_segment(ramp, s + n, &n)) {
      if (longest > 1 && n == 1) continue;
      const Fit fit = n == 1 ? fit_one(ramp, s, pixel, one.alone)
                    : n == 2 ? fit_two(ramp, s, pixel, time.group)
                    : fit_line(ramp, s, n, pixel, time.group, weights, nlengths, nweights);
      in.noise += 1. / fit.noise;
      if (fit.poisson > 0) in.poisson += 1. / fit.poisson;
      in.total += 1. / (fit.poisson + fit.noise);
      in.slope += fit.slope / fit.noise;
      if (longest == 1) break;  // of several lone groups only the first counts
    }
    if (in.poisson > 0) slope.poisson = 1. / in.poisson;
    if (slope.poisson >= TOO_LARGE) slope.poisson = 0;
    slope.noise = 1. / in.noise;
    if (slope.noise >= TOO_LARGE) slope.noise = 0;
    if (slope.dq & BAD) {
      slope.value = NAN;
      slope.poisson = slope.noise = 0;
    } else {
      slope.value = in.slope * slope.noise;
      const double variance = 1. / in.total;
      slope.err = variance > TOO_LARGE ? 0 : sqrt(variance);
    }
    if (in.poisson > 0) total.sums.poisson += in.poisson;
    total.sums.noise += in.noise;
    total.sums.slope += in.slope;
  }
  if (slope.dq & DO_NOT_USE) { ++total.unusable; slope.value = NAN; }
  if (slope.dq & SATURATED) { ++total.saturated; slope.value = NAN; }
  if (one.groups.saturated > 0) { slope.dq |= SATURATED; total.partly_saturated = true; }
  return slope;
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
  return slope;
}

KERNEL fit_ramps(
    const float* __restrict__ ramp,       // (nints, nall, npix)  DN
    const u8*    __restrict__ groupdq,    // (nints, nall, npix)
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
      total[l] = {0, {0, 0, 0, 0}, base_dq[l], 0, 0, false};
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
            const Slope slope = fit_integration(one, pixel[l], base_dq[l], time, weights, nlengths, nweights, total[l]);
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
            total[l].rate += isnan(m) && ngroups > 1 ? 0 : m;  // of single groups a NaN leaves none, as officially
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
