// flag_persistence.cu - flag the groups in which a pixel remembers an earlier exposure to much light.
//
// A window opens at the first saturated group of an integration, and at a count above the threshold unless one is open;
// it closes after `duration`. As in the official pipeline the window of a pixel moves along while exactly one group of
// the integration has been saturated, and one that ends later than a window opened now would is taken for invalid.
// Twin: gpucal/steps/persistence.py
#include "gpucal.cuh"

KERNEL flag_persistence(
    const float*  __restrict__ ramp,     // (nints, ngroups, npix)  DN
    u8*           __restrict__ groupdq,  // (nints, ngroups, npix)
    const double* __restrict__ times,    // (nints, ngroups)  s, when the group was read
    double*       __restrict__ until,    // (npix)  s, when the pixel's window closes; 0 if none is open
    const i64 npix, const int nints, const int ngroups, const double duration, const float threshold, const int flag)
{
  FOR_EACH_TILE(first, npix) {
    int saturated[LANES];
    for (int row = 0; row < nints * ngroups; ++row) {
      const double now = times[row], end = now + duration;
      FOR_LANES(l) {
        const i64 p = first + l < npix ? first + l : npix - 1, at = row * npix + p;
        double window = until[p] < now ? 0 : until[p];
        saturated[l] = (row % ngroups ? saturated[l] : 0) + (groupdq[at] & SATURATED ? 1 : 0);
        if (saturated[l] == 1) window = end;
        if (ramp[at] > threshold && !(window > 0)) window = end;
        if (window > end) window = 0;
        if (first + l < npix) {
          until[p] = window;
          if (window > 0) groupdq[at] |= (u8)flag;
        }
      }
    }
  }
}
