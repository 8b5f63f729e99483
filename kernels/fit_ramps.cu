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

// The groups of an integration that begins at data and flags; a short one is copied to the lane's own memory.
struct Short { float data[FEW]; u8 flags[FEW]; };

DEVICE Integration take(const float* data, const u8* flags, i64 npix, int ngroups, bool after_cut, Short& own) {
  if (ngroups > FEW) return {data, flags, npix, ngroups, after_cut, 0.f};
  for (int g = 0; g < ngroups; ++g) {
    own.data[g] = data[g * npix];
    own.flags[g] = flags[g * npix];
  }
  return {own.data, own.flags, 1, ngroups, after_cut, 0.f};
}

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
  FOR_EACH(i, count) {
    const i64 p = start + i;
    const Timing time = {group_time, frame_time, one_group_time};
    double few[FEW];
    double* values = nscratch ? scratch + i * nscratch : few;

    const double g = gain[p];
    Pixel pixel = {g, (double)(float)((double)readnoise[p] * (g / sqrt(2.0 * nframes))), 0, dark ? (double)dark[p] : 0};
    const u32 base_dq = pixeldq[p] | (g > 0 ? 0u : NO_GAIN_VALUE | DO_NOT_USE);
    u32 dq = base_dq;

    // The zero frame stands in where no group is good; a lone first group has its own time.
    Short own;
    double sum = 0;
    for (int k = 0; k < nints; ++k) {
      const i64 begin = ((i64)k * nall + first) * npix + p;
      Integration one = take(ramp + begin, groupdq + begin, npix, ngroups, first > 0, own);
      const Counts c = count_flags(one);
      const bool lone = lone_groups && c.good == 1 && one.flag(0) == 0;
      if (lone_groups && c.good == 0 && zeroframe) one.zeroframe = zeroframe[k * npix + p];
      double m;
      if (ngroups == 1) m = one.value(0) / time.one_group;
      else {
        m = lone ? one.value(0) / time.one_group : one.zeroframe != 0 ? one.value(0) / time.frame : median_rate(one, values, time);
        if (isnan(m)) m = 0;
      }
      sum += m;
    }
    pixel.rate = sum / nints;

    Sums all = {0, 0, 0, 0};
    int unusable = 0, saturated = 0;
    bool partly_saturated = false;
    for (int k = 0; k < nints; ++k) {
      const i64 begin = ((i64)k * nall + first) * npix + p;
      Integration one = take(ramp + begin, groupdq + begin, npix, ngroups, first > 0, own);
      Counts c = count_flags(one);
      const u8 any = c.any;
      const bool lone = lone_groups && c.good == 1 && one.flag(0) == 0;
      if (lone_groups && c.good == 0 && zeroframe && zeroframe[k * npix + p] != 0) {
        one.zeroframe = zeroframe[k * npix + p];
        c.unused -= 1;
        if (c.saturated == ngroups) c.saturated -= 1;
      }
      const double alone = lone ? time.one_group : one.zeroframe != 0 ? time.frame : time.group;

      u32 int_dq = base_dq | (any & (JUMP_DET | PERSISTENCE));
      dq |= any & (JUMP_DET | PERSISTENCE);
      double slope = 0, poisson = 0, noise = 0, err = 0;
      bool segments = true;
      if (one.flag(0) & SATURATED) {
        int_dq |= BAD;
        slope = NAN;
        segments = false;
      }
      if (c.unused == ngroups) {
        int_dq |= DO_NOT_USE | (c.saturated == ngroups ? SATURATED : 0);
        segments = false;
      }
      if (segments) {
        int n, longest = any ? 0 : ngroups;
        if (any)
          for (int s = next_segment(one, 0, &n); n; s = next_segment(one, s + n, &n)) if (n > longest) longest = n;
        Sums in = {0, 0, 0, 0};
        for (int s = next_segment(one, 0, &n); n; s = next_segment(one, s + n, &n)) {
          if (longest > 1 && n == 1) continue;
          const Fit fit = n == 1 ? fit_one(one, s, pixel, alone)
                        : n == 2 ? fit_two(one, s, pixel, time.group)
                        : fit_line(one, s, n, pixel, time.group, weights, nlengths, nweights);
          in.noise += 1. / fit.noise;
          if (fit.poisson > 0) in.poisson += 1. / fit.poisson;
          in.total += 1. / (fit.poisson + fit.noise);
          in.slope += fit.slope / fit.noise;
          if (longest == 1) break;  // of several lone groups only the first counts
        }
        if (longest) {
          if (in.poisson > 0) poisson = 1. / in.poisson;
          if (poisson >= TOO_LARGE) poisson = 0;
          noise = 1. / in.noise;
          if (noise >= TOO_LARGE) noise = 0;
          if (int_dq & BAD) {
            slope = NAN;
            poisson = noise = 0;
          } else {
            slope = in.slope * noise;
            const double variance = 1. / in.total;
            err = variance > TOO_LARGE ? 0 : sqrt(variance);
          }
          if (in.poisson > 0) all.poisson += in.poisson;
          all.noise += in.noise;
          all.slope += in.slope;
        }
      }
      if (int_dq & DO_NOT_USE) { ++unusable; slope = NAN; }
      if (int_dq & SATURATED) { ++saturated; slope = NAN; }
      if (c.saturated > 0) { int_dq |= SATURATED; partly_saturated = true; }
      const i64 at = k * npix + p;
      ints[at] = (float)slope;
      ints_err[at] = (float)err;
      ints_poisson[at] = (float)poisson;
      ints_noise[at] = (float)noise;
      ints_dq[at] = int_dq;
    }

    if (unusable == nints) dq |= DO_NOT_USE;
    if (saturated == nints) dq |= SATURATED;
    double slope = all.slope, poisson = all.poisson > 0 ? 1. / all.poisson : all.poisson;
    double noise = all.noise > 0 ? 1. / all.noise : all.noise;
    if (poisson >= TOO_LARGE || poisson < 0) poisson = 0;
    if (noise >= TOO_LARGE) noise = 0;
    double err = sqrt(poisson + noise);
    if (dq & BAD) {
      slope = NAN;
      poisson = noise = err = 0;
    }
    if (partly_saturated) dq |= SATURATED;
    rate[p] = (float)(slope * noise);
    rate_err[p] = (float)err;
    rate_poisson[p] = (float)poisson;
    rate_noise[p] = (float)noise;
    rate_dq[p] = dq;
  }
}
