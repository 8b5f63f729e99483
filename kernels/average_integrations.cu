// average_integrations.cu - average the rates of the integrations, all in single precision.
//
// Weights are the inverse variances, their Poisson parts scaled to the average rate, lest integrations that happen to be faint
// count for more: first to the median of the rates, then to the average itself.
// Source: the JWST documentation of ramp_fit, algorithm LIKELY.
// Twin: gpucal/likelihood.py
#include "statistics.cuh"

enum { FEW = 64 };  // integrations whose rates a lane keeps without scratch memory

KERNEL average_integrations(
    const float* __restrict__ ints,          // (nints, npix)  DN/s
    const float* __restrict__ ints_poisson,  // (nints, npix)  (DN/s)^2
    const float* __restrict__ ints_noise,    // (nints, npix)  (DN/s)^2
    const u32*   __restrict__ ints_dq,       // (nints, npix)
    const float* __restrict__ ints_chisq,    // (nints, npix)
    float*       __restrict__ scratch,       // (count, nscratch)  nscratch = 0 if there are few integrations
    float* __restrict__ rate,                // (npix)  DN/s
    float* __restrict__ rate_err,            // (npix)  DN/s
    float* __restrict__ rate_poisson,        // (npix)  (DN/s)^2
    float* __restrict__ rate_noise,          // (npix)  (DN/s)^2
    u32*   __restrict__ rate_dq,             // (npix)
    float* __restrict__ chisq,               // (npix)
    const i64 npix, const int nints, const i64 count, const i64 nscratch, const i64 start)
{
  FOR_EACH(i, count) {
    const i64 p = start + i;
    float few[FEW], *values = nscratch ? scratch + i * nscratch : few, sum = 0;
    u32 flags = 0, unusable = DO_NOT_USE;
    int n = 0;
    for (int k = 0; k < nints; ++k) {
      const i64 at = k * npix + p;
      if (!isnan(ints[at])) values[n++] = ints[at];
      flags |= ints_dq[at];
      unusable &= ints_dq[at];
      sum += ints_chisq[at];
    }
    rate_dq[p] = (flags & ~(u32)DO_NOT_USE) | unusable;
    chisq[p] = sum;

    float mean = n ? median(values, n) : (float)NAN, poisson = 0, noise = 0;
    for (int round = 0; round < 2; ++round) {
      float weights = 0, next = 0;
      bool known = false, known_poisson = false, known_noise = false;
      // Twice through the integrations: for the sum of the weights, then for what they weigh.
      for (int weighing = 0; weighing < 2; ++weighing)
        for (int k = 0; k < nints; ++k) {
          const i64 at = k * npix + p;
          float scale = mean / ints[at];
          if (!isfinite(scale) || scale < 0) scale = 0;
          const float scaled = ints_poisson[at] * scale;
          float weight = 1 / (scaled + ints_noise[at]);
          if (!weighing) {
            if (!isnan(weight)) weights += weight;
            continue;
          }
          weight /= weights;
          const float share = ints[at] * weight, p2 = scaled * (weight * weight), n2 = ints_noise[at] * (weight * weight);
          if (!isnan(share)) { next += share; known = true; }
          if (round == 0) continue;
          if (!isnan(p2)) { poisson += p2; known_poisson = true; }
          if (!isnan(n2)) { noise += n2; known_noise = true; }
        }
      mean = known ? next : (float)NAN;
      if (round == 1 && !known_poisson) poisson = NAN;
      if (round == 1 && !known_noise) noise = NAN;
    }
    rate[p] = mean;
    rate_poisson[p] = poisson;
    rate_noise[p] = noise;
    rate_err[p] = sqrt(poisson + noise);
  }
}
