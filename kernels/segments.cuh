// segments.cuh - the segments of a ramp, their slopes and variances, for the kernels that fit lines. Knows nothing of threads.
//
// A segment is a run of groups without flags (a jump begins one), fitted by least squares with weights
//
//   w_i = |(i - m) / m|^P / r^2,   m = (n - 1) / 2,   P growing with the signal-to-noise ratio of the segment.
//
// Variances of a segment of n groups, with gain G, read noise r of one group in electrons and the time T between groups:
//
//   Poisson     (median rate + dark current) / (T G (n - 1))
//   read noise  12 (r / T)^2 / ((n^3 - n) G^2)
//
// Sources: Fixsen et al. 2000 (PASP 112, 1350); Robberto 2008 (JWST-STScI-001490); the JWST documentation of ramp_fit.
#pragma once
#include "statistics.cuh"

#define TOO_LARGE 1e6  // (DN/s)^2: variances beyond are written as 0

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

// A line through a segment: DN/s, (DN/s)^2, and what the optional results tell: of the slope, the standard deviation per
// group as the weights have it; the value at group 0, DN, and its standard deviation.
struct Fit { double slope, poisson, noise, sigma, intercept, intercept_sigma; };

struct Pixel { double gain, readnoise, rate, dark; };  // electron/DN, electron, DN/s, electron/s

DEVICE double poisson_variance(const Pixel& pixel, double seconds) {
  return (pixel.rate > 0 ? pixel.rate + pixel.dark : pixel.dark) / seconds;
}

DEVICE double noise_variance(const Pixel& pixel, double time, double cubed) {
  const double r = pixel.readnoise / time;
  return 12. * r * r / (cubed * pixel.gain * pixel.gain);
}

DEVICE Fit fit_one(const Integration& ramp, int start, const Pixel& pixel, double time) {
  return {ramp.value(start) / time, poisson_variance(pixel, time * pixel.gain), noise_variance(pixel, time, 6), 0, 0, 0};
}

DEVICE Fit fit_two(const Integration& ramp, int start, const Pixel& pixel, double time) {
  const double first = ramp.value(start), second = ramp.value(start + 1), x = start + 1., sigma = 1.41421356 * pixel.readnoise;
  return {(second - first) / time, poisson_variance(pixel, time * pixel.gain), noise_variance(pixel, time, 6), sigma,
          second * (1. - x) + first * x, sigma};
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
  fit.sigma = sqrt(sw * inverse);
  fit.intercept = (sxx * sy - sx * sxy) * inverse;
  fit.intercept_sigma = sqrt(sxx * inverse);
  return fit;
}

// Where a segment that contains group g or comes after it begins; *n is its length, 0 if there is none.
template <class Ramp>
DEVICE int next_segment(const Ramp& ramp, int g, int* n) {
  const u8 ignored = PERSISTENCE;
  while (g < ramp.ngroups && (ramp.flag(g) & (u8)~ignored)) ++g;
  int end = g;
  while (end < ramp.ngroups && !(ramp.flag(end) & (u8)~ignored)) ++end;
  const int start = g > 0 && end > g && (ramp.flag(g - 1) & (u8)~ignored) == JUMP_DET ? g - 1 : g;
  *n = end - start;
  return start;
}

template <class Ramp>
DEVICE int longest_segment(const Ramp& ramp) {
  int n, longest = 0;
  for (int s = next_segment(ramp, 0, &n); n; s = next_segment(ramp, s + n, &n)) if (n > longest) longest = n;
  return longest;
}

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

// Fit the segment of n groups that begins with group s.
DEVICE Fit fit_segment(const Case& one, int s, int n, const Pixel& pixel, const Timing& time, const float* weights,
                       int nlengths, int nweights) {
  return n == 1 ? fit_one(one.ramp, s, pixel, one.alone)
       : n == 2 ? fit_two(one.ramp, s, pixel, time.group)
       : fit_line(one.ramp, s, n, pixel, time.group, weights, nlengths, nweights);
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
  bool migrated;       // charge has moved
  double restored;     // then, the sum of inverse noise variances as if none had
};

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
  const int longest = !any ? ramp.ngroups : usable ? longest_segment(ramp) : 0;
  if (usable && longest) {
    Sums in = {0, 0, 0, 0};
    int n;
    for (int s = next_segment(ramp, 0, &n); n; s = next_segment(ramp, s + n, &n)) {
      if (longest > 1 && n == 1) continue;
      const Fit fit = fit_segment(one, s, n, pixel, time, weights, nlengths, nweights);
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
