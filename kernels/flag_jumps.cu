// flag_jumps.cu - find cosmic-ray hits as steps between groups that are too large: few differences, so one at a time.
//
// In each round the difference furthest from the median, in units of its expected scatter, is judged; if it exceeds the
// threshold for the number of differences left it is flagged, taken out, and the next round begins. Sizes, not signs,
// are compared; the median leaves out the largest of four or more and is the smaller of two.
// Twin: gpucal/steps/jump.py
#include "differences.cuh"

KERNEL flag_jumps(
    const float* __restrict__ ramp,       // (nints, ngroups, npix)  DN
    u8*          __restrict__ groupdq,    // (nints, ngroups, npix)
    const float* __restrict__ gain,       // (npix)  electron/DN
    const float* __restrict__ readnoise,  // (npix)  DN, of the difference of two frames
    float*       __restrict__ scratch,    // (count, nscratch)  nscratch = 0 if there are few differences
    const i64 npix, const int nints, const int ngroups, const i64 count, const i64 nscratch, const i64 start,
    const int nframes, const double four, const double three, const double two)
{
  FOR_EACH(i, count) {
    const i64 p = start + i;
    const Steps step = {ramp + p, groupdq + p, npix, gain[p], nints, ngroups};
    float few[FEW];
    float* size = nscratch ? scratch + i * nscratch : few;
    int n = 0;
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 1; g < ngroups; ++g) {
        const float d = fabsf(step(integration, g));
        if (!isnan(d)) size[n++] = d;
      }
    if (n < 2) continue;
    sort(size, n);

    int low = 0, high = n - 1;  // what is left of the sorted sizes
    for (bool again = false; high - low + 1 >= 2; again = true) {
      const int left = high - low + 1;
      int top = high;
      if (left == 2) top = low;
      if (left >= 4) while (top >= low && size[top] == size[high]) --top;
      const int k = top - low + 1;
      if (k == 0) break;
      const double exact = k % 2 ? (double)size[low + k / 2] : ((double)size[low + k / 2 - 1] + (double)size[low + k / 2]) / 2;
      const double median = again ? (double)(float)exact : exact;  // the official pipeline stores later medians so
      const double sigma = scatter(median, readnoise[p], gain[p], nframes);
      const float above = fabsf((float)(size[high] - median)), below = fabsf((float)(size[low] - median));
      const float largest = above > below ? above : below;
      if (!((double)largest / sigma > (left >= 4 ? four : left == 3 ? three : two))) break;
      while (high >= low && fabsf((float)(size[high] - median)) == largest) --high;
      while (low <= high && fabsf((float)(size[low] - median)) == largest) ++low;
    }
    if (low == 0 && high == n - 1) continue;

    const float smallest = size[low], greatest = size[high];
    for (int integration = 0; integration < nints; ++integration)
      for (int g = 1; g < ngroups; ++g) {
        const float d = fabsf(step(integration, g));
        if (d < smallest || d > greatest || (!isnan(d) && low > high)) groupdq[p + step.at(integration, g)] |= JUMP_DET;
      }
  }
}
