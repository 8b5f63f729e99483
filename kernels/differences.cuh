// differences.cuh - the steps of a ramp from group to group, in electrons. Knows nothing of threads.
#pragma once
#include "statistics.cuh"

// How many differences of a pixel fit into a lane's own memory; beyond that kernels get scratch memory.
enum { FEW = 64 };

struct Steps {
  const float* ramp;    // DN
  const u8* groupdq;
  i64 npix;
  float gain;           // electron/DN
  int nints, ngroups;

  DEVICE_MEMBER i64 at(int integration, int g) const { return ((i64)integration * ngroups + g) * npix; }

  // Group g minus the group before; NaN if either is flagged DO_NOT_USE or SATURATED.
  DEVICE_MEMBER float operator()(int integration, int g) const {
    const i64 now = at(integration, g), before = now - npix;
    if ((groupdq[now] | groupdq[before]) & BAD) return NAN;
    return ramp[now] * gain - ramp[before] * gain;
  }

  // The median of all differences of the pixel, NaN if there is none; values has room for all of them.
  DEVICE_MEMBER double median_of_all(float* values) const {
    int n = 0;
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 1; g < ngroups; ++g) {
        const float d = (*this)(integration, g);
        if (!isnan(d)) values[n++] = d;
      }
    if (n == 0) return (double)NAN;
    const Middle<float> m = middle(values, n);
    return ((double)m.lower + (double)m.upper) / 2;
  }
};

// The expected scatter of a difference: photon noise of the median difference, and the read noise of two groups.
// readnoise is that of the difference of two frames, in DN. 0 becomes NaN: such a pixel is never judged.
DEVICE double scatter(double median, float readnoise, float gain, int nframes) {
  const float r = readnoise * gain;
  const double sigma = sqrt(fabs(median) + (double)(r * r) / (double)nframes);
  return sigma == 0 ? (double)NAN : sigma;
}
