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

  // Write the sizes of all differences of the pixel that are not NaN; return their number.
  DEVICE_MEMBER int sizes(float* values) const {
    int n = 0;
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 1; g < ngroups; ++g) {
        const float d = fabsf((*this)(integration, g));
        if (!isnan(d)) values[n++] = d;
      }
    return n;
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

// The limits that clipping ends with: median +- threshold * standard deviation (of the population), at most `rounds` times.
// step(integration, g) is the difference of group g, in all integrations and the groups from g0 to g1 - 1; values has room
// for all of them. Where there is none the limits are infinite.
struct Limits { double low, high; };

template <class Differences>
DEVICE Limits clip(const Differences& step, int nints, int g0, int g1, float* values, double threshold, int rounds) {
  Limits last = {-INFINITY, INFINITY};
  double least = -INFINITY, most = INFINITY;  // the narrowest so far: what was clipped once stays out
  int n = -1;
  for (int round = 0; round < rounds; ++round) {
    int kept = 0;
    double mean = 0;
    for (int integration = 0; integration < nints; ++integration)
      for (int g = g0; g < g1; ++g) {
        const float d = step(integration, g);
        if (!isfinite(d) || !(d >= least && d <= most)) continue;
        values[kept++] = d;
        mean += d;
      }
    if (kept == 0 || kept == n) break;
    n = kept;
    mean /= n;
    double variance = 0;
    for (int k = 0; k < n; ++k) variance += (values[k] - mean) * (values[k] - mean);
    const Middle<float> m = middle(values, n);
    const double centre = ((double)m.lower + (double)m.upper) / 2, reach = threshold * sqrt(variance / n);
    last = {centre - reach, centre + reach};
    if (last.low > least) least = last.low;
    if (last.high < most) most = last.high;
  }
  return last;
}

// The expected scatter of a difference: photon noise of the median difference, and the read noise of two groups.
// readnoise is that of the difference of two frames, in DN. 0 becomes NaN: such a pixel is never judged.
DEVICE double scatter(double median, float readnoise, float gain, int nframes) {
  const float r = readnoise * gain;
  const double sigma = sqrt(fabs(median) + (double)(r * r) / (double)nframes);
  return sigma == 0 ? (double)NAN : sigma;
}

// Write the differences of a tile of pixels from p on (those from `end` on repeat the last), lane by lane and sorted
// upwards, and how many each lane has. Groups for whose flags left_out(flags) holds are not used; measure(difference) is
// what is written. A whole tile is a case of its own so that the compiler sees neighbours.
struct IsBad { DEVICE_MEMBER bool operator()(u8 flags) const { return flags & BAD; } };
struct Size { DEVICE_MEMBER float operator()(float difference) const { return fabsf(difference); } };
struct Itself { DEVICE_MEMBER float operator()(float difference) const { return difference; } };

template <bool WHOLE, class LeftOut, class Measure>
DEVICE void sort_differences(
    const float* ramp, const u8* groupdq, const float* gain, i64 npix, int nints, int ngroups, i64 p, i64 end,
    LeftOut left_out, Measure measure, float (*sorted)[LANES], int* known)
{
  float lane_gain[LANES], before[LANES], unused[LANES];  // unused: infinite if the group before is not to be used, else 0
  FOR_LANES(l) lane_gain[l] = gain[WHOLE || p + l < end ? p + l : end - 1];
  int row = 0;
  for (int integration = 0; integration < nints; ++integration)
    for (int g = 0; g < ngroups; ++g) {
      const i64 at = ((i64)integration * ngroups + g) * npix;
      FOR_LANES(l) {
        const i64 q = at + (WHOLE || p + l < end ? p + l : end - 1);
        const float now = ramp[q] * lane_gain[l], penalty = left_out(groupdq[q]) ? INFINITY : 0.f;
        if (g) {
          const float d = measure(now - before[l]) + penalty + unused[l];
          sorted[row][l] = d < INFINITY ? d : INFINITY;  // NaN becomes infinite too
        }
        before[l] = now;
        unused[l] = penalty;
      }
      row += g > 0;
    }
  FOR_LANES(l) known[l] = 0;
  for (int i = 0; i < row; ++i)
    FOR_LANES(l) known[l] += sorted[i][l] < INFINITY;
  sort_columns(sorted, row);
}

// The medians of all differences of a tile of pixels, as Steps::median_of_all finds them one by one; sorted is theirs to use.
template <bool WHOLE>
DEVICE void medians(
    const float* ramp, const u8* groupdq, const float* gain, i64 npix, int nints, int ngroups, i64 p, i64 end,
    float (*sorted)[LANES], double* median)
{
  int known[LANES];
  sort_differences<WHOLE>(ramp, groupdq, gain, npix, nints, ngroups, p, end, IsBad(), Itself(), sorted, known);
  for (int l = 0; l < LANES; ++l) {
    const int n = known[l];
    median[l] = n ? ((double)sorted[(n - 1) / 2][l] + (double)sorted[n / 2][l]) / 2 : (double)NAN;
  }
}
