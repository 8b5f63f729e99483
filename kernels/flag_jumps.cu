// flag_jumps.cu - find cosmic-ray hits as steps between groups that are too large: few differences, so one at a time.
//
// In each round the difference furthest from the median, in units of its expected scatter, is judged; if it exceeds the
// threshold for the number of differences left it is flagged, taken out, and the next round begins. Sizes, not signs,
// are compared; the median leaves out the largest of four or more and is the smaller of two.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

// The sizes of a pixel's differences, sorted upwards.
struct Sizes {
  const float* sorted;
  int stride, count;
  DEVICE_MEMBER double operator[](int i) const { return (double)sorted[i * stride]; }
};

struct Thresholds { double four, three, two; };  // sigma; for so many differences or more

// The range [low, high] of sizes that remain when the outliers are taken out; the whole range if there is none.
DEVICE void keep(const Sizes size, float readnoise, float gain, int nframes, const Thresholds limit, int* low, int* high) {
  int first = 0, last = size.count - 1;
  for (bool again = false; last - first + 1 >= 2; again = true) {
    const int left = last - first + 1;
    int top = last;
    if (left == 2) top = first;
    if (left >= 4) while (top >= first && size[top] == size[last]) --top;
    const int k = top - first + 1;
    if (k == 0) break;
    const double exact = (size[first + (k - 1) / 2] + size[first + k / 2]) / 2;
    const double median = again ? (double)(float)exact : exact;  // the official pipeline stores later medians so
    const double sigma = scatter(median, readnoise, gain, nframes);
    const float above = fabsf((float)(size[last] - median)), below = fabsf((float)(size[first] - median));
    const float largest = above > below ? above : below;
    if (!((double)largest / sigma > (left >= 4 ? limit.four : left == 3 ? limit.three : limit.two))) break;
    while (last >= first && fabsf((float)(size[last] - median)) == largest) --last;
    while (first <= last && fabsf((float)(size[first] - median)) == largest) ++first;
  }
  *low = first;
  *high = last;
}

KERNEL flag_jumps(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    float*       __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few differences
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nframes, const double four, const double three, const double two)
{
  const Thresholds limit = {four, three, two};
  FOR_EACH_TILE(first, count) {
    float few[FEW][LANES];
    int known[LANES];
    const i64 p0 = start + first, end = start + count;
    if (!nscratch && first + LANES <= count)
      sort_differences<true>(ramp, groupdq, gain, npix, nints, ngroups, p0, end, IsBad(), Size(), few, known);
    else if (!nscratch)
      sort_differences<false>(ramp, groupdq, gain, npix, nints, ngroups, p0, end, IsBad(), Size(), few, known);
    for (int l = 0; l < LANES && first + l < count; ++l) {
      const i64 p = start + first + l;
      const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
      Sizes size = {&few[0][l], LANES, known[l]};
      if (nscratch) {
        float* own = scratch + (first + l) * nscratch;
        size = {own, 1, step.sizes(own)};
        sort(own, size.count);
      }
      int low, high;
      keep(size, readnoise[p], gain[p], nframes, limit, &low, &high);
      if (low == 0 && high == size.count - 1) continue;
      for (int integration = 0; integration < nints; ++integration)
        for (int g = 1; g < ngroups; ++g) {
          const double d = fabs((double)step(integration, g));
          if (d < size[low] || d > size[high]) groupdq[p + step.at(integration, g)] |= JUMP_DET;
        }
    }
  }
}
