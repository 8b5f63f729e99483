// maximize_likelihood.cu - fit the rate of maximum likelihood to the differences between groups, jumps left out on the way.
//
// Differences d of consecutive groups, in DN/s, share photons and read noise with their neighbours: their covariance S is
// tridiagonal, each element the rate times one constant of the read pattern plus the read noise times another. So
//
//   rate = B / C,   chi^2 = A - B^2 / C,   A = d'S"d,   B = 1'S"d,   C = 1'S"1          (S" the inverse of S)
//
// follow from the determinants of the upper left and the lower right parts of S, each from the one before. Leaving a difference
// out gives it a free parameter of its own, the size of a jump. Where groups average several reads, a hit within a group spoils
// the differences on both sides of it, which are left out together.
//
// First, with the median difference for a rate, jumps are searched, one at a time; then the rate is fitted with the covariance
// that the rate found so far implies. Of two or three differences that contradict each other, nothing but rounding tells which is
// the jump: hence determinants, and hence every product and sum in the order of the official fit.
//
// Sources: Brandt 2024 (PASP 136, 045004 for the fit, 045005 for the jumps), whose names of the determinants are kept.
// Twin: gpucal/likelihood.py
#include "root.cuh"
#include "statistics.cuh"

enum { FEW = 64, ARRAYS = 8 };  // differences that a lane keeps without scratch memory; numbers for each of them, and one more
#define ONE 20.25               // how far chi^2 has to fall for a jump between two groups, 4.5 sigma,
#define TWO 23.8                // and for a jump within a group
#define HOPELESS 20.            // no jump is to be found in a smaller chi^2

struct Pattern {
  const double *interval, *photon, *read;  // s; covariance of rate 1 DN/s and gain 1, and of read noise 1: first the diagonal,
  const u8* averaged;                      // then beside it; does the group between this and the next difference average?
  int n;                                   // differences
};

// What is known of the differences of LANES pixels; [i][lane].
struct Lanes {
  double *d, *used;             // DN/s; 1, or 0 where left out
  double *alpha, *beta;         // S, scaled to a determinant of 1: its diagonal, and beside it
  double *theta, *phi;          // determinants of the first i rows, and of those from row i on; one more than differences
  double *db, *dc;              // S"d and S"1
  double photon[LANES], noise[LANES];  // what multiplies the pattern's constants: (DN/s) / gain, DN^2
  double scale[LANES], a[LANES], b[LANES], c[LANES];
  u8 jumps[LANES];              // JUMP_DET where one was found

  DEVICE_MEMBER double chisq(int l) const { return (a[l] - b[l] * b[l] / c[l]) / scale[l]; }
  DEVICE_MEMBER double rate(int l) const { return b[l] * (1. / c[l]); }
};

DEVICE double sign(int i) { return i % 2 ? 1. : -1.; }

// The scale that gives S a determinant of 1, every tenth row seen to lest the determinants grow out of range.
DEVICE void find_scale(const Pattern& t, Lanes& w) {
  double before[LANES], last[LANES], f[LANES];
  FOR_LANES(l) {
    w.scale[l] = before[l] = 1;
    last[l] = w.alpha[l];
  }
  for (int i = 2; i <= t.n; ++i) {
    FOR_LANES(l) {
      const double a = w.alpha[(i - 1) * LANES + l], b = w.beta[(i - 2) * LANES + l], s = w.scale[l];
      const double now = i <= 10 ? a * last[l] - b * b * before[l] : a / s * last[l] - b * b / (s * s) * before[l];
      before[l] = last[l];
      last[l] = now;
    }
    if (i % 10 && i < t.n) continue;
    roots(last, i, f);
    FOR_LANES(l) {
      w.scale[l] *= f[l];
      before[l] /= last[l] / f[l];
      last[l] = 1;
    }
  }
}

DEVICE void fit(const Pattern& t, Lanes& w) {
  const int n = t.n;
  for (int i = 0; i < n; ++i)
    FOR_LANES(l) {
      const int k = i * LANES + l;
      w.alpha[k] = w.photon[l] * t.photon[i] + w.noise[l] * t.read[i];
      w.beta[k] = w.photon[l] * t.photon[n + i] + w.noise[l] * t.read[n + i];
    }
  find_scale(t, w);
  FOR_LANES(l) {
    w.theta[l] = 1;
    w.theta[LANES + l] = w.alpha[l] / w.scale[l];
    w.a[l] = w.b[l] = w.c[l] = 0;
  }
  for (int i = 0; i < n; ++i)
    FOR_LANES(l) {
      const int k = i * LANES + l, next = k + LANES;
      w.alpha[k] /= w.scale[l];
      if (i < n - 1) w.beta[k] = w.beta[k] / w.scale[l] * w.used[next] * w.used[k];
      if (i > 0) w.theta[next] = w.alpha[k] * w.theta[k] - w.beta[k - LANES] * w.beta[k - LANES] * w.theta[k - LANES];
    }
  FOR_LANES(l) {
    const int k = (n - 1) * LANES + l;
    w.phi[k + LANES] = 1;
    w.phi[k] = w.alpha[k];
    w.db[k] = w.dc[k] = 0;
  }
  // Until the next loop has used them, db and dc hold what the rows behind contribute.
  for (int i = n - 2; i >= 0; --i)
    FOR_LANES(l) {
      const int k = i * LANES + l, next = k + LANES;
      const double b = w.beta[k], after = w.phi[next + LANES], s = sign(i + 1);
      w.phi[k] = w.alpha[k] * w.phi[next] - b * b * after;
      w.dc[k] = w.dc[next] * b + s * b * after;
      w.db[k] = (w.db[next] + s * (w.d[next] * w.used[next]) * after) * b;
    }
  double crossed[LANES], squared[LANES], capital[LANES], capital_d[LANES];
  FOR_LANES(l) crossed[l] = squared[l] = capital_d[l] = 0;
  for (int i = 0; i < n; ++i)
    FOR_LANES(l) {
      const int k = i * LANES + l;
      const double s = sign(i), d = w.d[k] * w.used[k], theta = w.theta[k], phi = w.phi[k + LANES];
      const double whole = w.theta[n * LANES + l], b = i ? w.beta[k - LANES] : 1;
      crossed[l] += d * s / whole * b * phi * capital_d[l];
      squared[l] += d * d * theta * phi / whole;
      capital[l] = i ? capital[l] * b + s * theta : -theta;
      capital_d[l] = i ? b * capital_d[l] + s * d * theta : -d * theta;
      w.dc[k] = s / whole * (phi * capital[l] + theta * w.dc[k]) * w.used[k];
      w.db[k] = s / whole * (phi * capital_d[l] + theta * w.db[k]);
      w.b[l] += d * w.dc[k];
      w.c[l] += w.dc[k];
    }
  FOR_LANES(l) w.a[l] = 2. * crossed[l] + squared[l];
}

// The fit without the difference i, or without it and the next: how far chi^2 falls, and the rate.
struct Without { double fall, rate; };

DEVICE Without without_one(const Lanes& w, int n, int i, int l) {
  const int k = i * LANES + l;
  if (w.used[k] == 0) return {w.chisq(l) - w.chisq(l), w.rate(l)};
  const double A = w.a[l], B = w.b[l], C = w.c[l], db = w.db[k], dc = w.dc[k];
  const double v = w.theta[k] * w.phi[k + LANES] / w.theta[n * LANES + l];
  const double a = (v * B - db * dc) / (C * v - dc * dc), b = (db - a * dc) / v;
  const double chisq = A + a * a * C - 2. * a * B + b * b * v - 2. * b * db + 2. * a * b * dc;
  return {w.chisq(l) - chisq / w.scale[l], a};
}

DEVICE Without without_two(const Lanes& w, int n, int i, int l) {
  const int k = i * LANES + l, next = k + LANES;
  if (w.used[k] == 0) return without_one(w, n, i + 1, l);
  if (w.used[next] == 0) return without_one(w, n, i, l);
  const double A = w.a[l], B = w.b[l], C = w.c[l], whole = w.theta[n * LANES + l];
  const double db0 = w.db[k], dc0 = w.dc[k], db1 = w.db[next], dc1 = w.dc[next];
  const double v0 = w.theta[k] * w.phi[next] / whole, v1 = w.theta[next] * w.phi[next + LANES] / whole;
  const double v01 = -w.beta[k] * w.theta[k] * w.phi[next + LANES] / whole;
  const double f = dc0 * dc0 - C * v0, g = dc0 * dc1 - C * v01, h = B * dc0 - db0 * C;
  const double c = (h / f - (B * dc1 - db1 * C) / g) / (g / f - (dc1 * dc1 - C * v1) / g);
  const double b = (h - c * g) / f, a = (B - b * dc0 - c * dc1) / C;
  double chisq = A + a * a * C + b * b * v0 + c * c * v1;
  chisq -= 2. * a * B + 2. * b * db0 + 2. * c * db1;
  chisq += 2. * a * b * dc0 + 2. * a * c * dc1 + 2. * b * c * v01;
  return {w.chisq(l) - chisq / w.scale[l], a};
}

// The larger of two; NaN if one of them is.
DEVICE double larger(double a, double b) { return isnan(a) || a > b ? a : b; }

// Leave out the difference, or the pair of them, that spoils the fit of a lane most, and flag the group behind each; *rate
// becomes what the others say. Tells whether it was worth it and enough is left to look again.
// flags: of the group behind the first difference; those of the next are `stride` away.
DEVICE bool drop_worst(const Pattern& t, Lanes& w, int l, u8* flags, i64 stride, double* rate) {
  const int n = t.n;
  if (!(w.chisq(l) > HOPELESS || w.photon[l] < 0)) return false;
  double one = -INFINITY, two = -INFINITY;
  for (int i = 0; i < n; ++i) {
    one = larger(one, without_one(w, n, i, l).fall);
    if (i < n - 1) two = larger(two, without_two(w, n, i, l).fall * (t.averaged[i] ? 1. : 0.));
  }
  const bool alone = one - ONE > two - TWO;
  if (isnan(one) || isnan(two) || !(alone ? one > ONE : two > TWO)) return false;
  double sum = 0, *keep = w.alpha + l;  // alpha is free until the next fit
  for (int i = 0; i < n; ++i) keep[i * LANES] = 1;
  for (int i = 0; i < (alone ? n : n - 1); ++i) {
    const Without fit = alone ? without_one(w, n, i, l) : without_two(w, n, i, l);
    const bool worst = fit.fall == (alone ? one : two);
    sum += fit.rate * (worst ? 1. : 0.);
    if (worst) keep[i * LANES] = 0;
    if (worst && !alone) keep[(i + 1) * LANES] = 0;
  }
  int left = 0;
  for (int i = 0; i < n; ++i) {
    double& used = w.used[i * LANES + l];
    if (used != 0 && keep[i * LANES] == 0) flags[i * stride] |= JUMP_DET;
    used *= keep[i * LANES];
    left += used != 0;
  }
  w.jumps[l] = JUMP_DET;
  *rate = *rate * 0. + sum;
  return left > 3;
}

// The median difference of each lane; NaN if one of them is NaN.
DEVICE void medians(const Pattern& t, Lanes& w, bool many, double* rates) {
  bool known[LANES];
  FOR_LANES(l) known[l] = true;
  for (int i = 0; i < t.n; ++i)
    FOR_LANES(l) {
      const double d = w.d[i * LANES + l];
      known[l] = known[l] && d == d;
      w.theta[many ? l * t.n + i : i * LANES + l] = d;
    }
  if (!many) sort_columns((double (*)[LANES])w.theta, t.n);
  for (int l = 0; l < LANES; ++l)
    rates[l] = !known[l] ? (double)NAN
             : many ? median(w.theta + l * t.n, t.n)
             : (w.theta[(t.n - 1) / 2 * LANES + l] + w.theta[t.n / 2 * LANES + l]) / 2;
}

DEVICE double not_negative(double rate) { return rate > 0 ? rate : rate * 0; }  // NaN stays NaN

KERNEL maximize_likelihood(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)  jumps are flagged
    const u32*   __restrict__ pixeldq,    // (npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two reads
    const float* __restrict__ dark,       // (npix) or null  electron/s
    const float* __restrict__ zeroframe,  // (nints, npix) or null  DN; a group of its own, before the others
    const double* __restrict__ interval,  // (ndiffs)  s
    const double* __restrict__ photon,    // (nplaces, ndiffs)  1/s
    const double* __restrict__ read,      // (nplaces, ndiffs)  1/s^2
    const u8*    __restrict__ averaged,   // (ndiffs)
    double*      __restrict__ scratch,    // (count, nscratch)  ARRAYS a difference, and one more; nscratch = 0 if few
    float* __restrict__ ints,             // (nints, npix)  DN/s
    float* __restrict__ ints_err,         // (nints, npix)  DN/s
    float* __restrict__ ints_poisson,     // (nints, npix)  (DN/s)^2
    float* __restrict__ ints_noise,       // (nints, npix)  (DN/s)^2
    u32*   __restrict__ ints_dq,          // (nints, npix)
    float* __restrict__ chisq,            // (nints, npix)
    const i64 npix, const int nints, const int ngroups, const int nplaces, const int ndiffs, const i64 count,
    const i64 nscratch, const i64 start, const int nframes)
{
  const Pattern pattern = {interval, photon, read, averaged, ndiffs};
  FOR_EACH_TILE(i, count) {
    const int lanes = count - i < LANES ? (int)(count - i) : LANES, shift = zeroframe ? 1 : 0;
    double room[ARRAYS * (FEW + 1) * LANES];
    double* memory = nscratch ? scratch + i * nscratch : room;  // the last tile may use more rows than there are pixels
    Lanes w;
    double** arrays[ARRAYS] = {&w.d, &w.used, &w.alpha, &w.beta, &w.theta, &w.phi, &w.db, &w.dc};
    for (int a = 0; a < ARRAYS; ++a) *arrays[a] = memory + (i64)a * (ndiffs + 1) * LANES;
    for (int k = 0; k < nints; ++k) {
      double rates[LANES], gains[LANES], found[LANES];
      float before[LANES];
      u8 flags_before[LANES], any[LANES], all[LANES];
      const i64 begin = (i64)k * ngroups * npix + start + i;
      for (int l = 0; l < LANES; ++l) {
        const i64 p = start + i + (l < lanes ? l : lanes - 1);
        const double noise = (double)readnoise[p] / 1.4142135623730951;
        w.noise[l] = noise * noise;
        gains[l] = gain[p];
        before[l] = zeroframe ? zeroframe[k * npix + p] : 0;
        flags_before[l] = groupdq[(i64)k * ngroups * npix + p];
        any[l] = w.jumps[l] = 0;
        all[l] = DO_NOT_USE;
      }
      for (int g = 0; g < ngroups; ++g) {
        const int j = g + shift - 1;
        for (int l = 0; l < LANES; ++l) {
          const i64 at = begin + g * npix + (l < lanes ? l : lanes - 1);
          const u8 flags = groupdq[at];
          any[l] |= flags;
          if (!(flags & BAD)) all[l] = 0;
          float now = ramp[at];
          if (shift && g == 0) now = (now * (float)nframes - before[l]) / (float)(nframes - 1);
          if (j >= 0) {
            w.d[j * LANES + l] = (double)(now - before[l]) / interval[j];
            w.used[j * LANES + l] = !(flags | flags_before[l]);
          }
          before[l] = now;
          flags_before[l] = flags;
        }
      }

      medians(pattern, w, nscratch != 0, rates);
      bool looking = true, look[LANES];
      FOR_LANES(l) {
        w.photon[l] = not_negative(rates[l]) / gains[l];
        look[l] = true;
      }
      for (int round = 0; looking && round < ndiffs; ++round) {
        fit(pattern, w);
        looking = false;
        for (int l = 0; l < LANES; ++l) {
          if (!round) found[l] = w.rate(l);
          if (!look[l]) continue;
          u8* flags = groupdq + begin + (1 - shift) * npix + (l < lanes ? l : lanes - 1);
          look[l] = drop_worst(pattern, w, l, flags, npix, found + l);
          looking = looking || look[l];
        }
      }
      FOR_LANES(l) w.photon[l] = not_negative(found[l]);
      if (dark) for (int l = 0; l < lanes; ++l) w.photon[l] += dark[start + i + l];
      FOR_LANES(l) w.photon[l] /= gains[l];
      fit(pattern, w);

      for (int l = 0; l < lanes; ++l) {
        const i64 p = start + i + l, at = k * npix + p;
        double poisson = 0, poisson_pairs = 0, noise = 0, noise_pairs = 0, last = 0;
        for (int j = 0; j < ndiffs; ++j) {
          const double weight = w.dc[j * LANES + l] / w.c[l];
          poisson += weight * weight * (w.photon[l] * photon[j]);
          noise += weight * weight * (w.noise[l] * read[j]);
          if (j) {
            poisson_pairs += weight * last * (w.photon[l] * photon[ndiffs + j - 1]);
            noise_pairs += weight * last * (w.noise[l] * read[ndiffs + j - 1]);
          }
          last = weight;
        }
        ints[at] = (float)w.rate(l);
        ints_err[at] = (float)sqrt(w.scale[l] / w.c[l]);
        ints_poisson[at] = (float)(poisson + 2. * poisson_pairs);
        ints_noise[at] = (float)(noise + 2. * noise_pairs);
        chisq[at] = (float)w.chisq(l);
        ints_dq[at] = pixeldq[p] | ((any[l] | w.jumps[l]) & (JUMP_DET | SATURATED)) | all[l];
      }
    }
  }
}
