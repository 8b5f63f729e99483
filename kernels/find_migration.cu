// find_migration.cu - find the first group of every pixel that is so full that its charge moves to the neighbours.
//
// A group that is out of use, and nothing else, does not count.
// Twin: gpucal/steps/charge_migration.py
#include "gpucal.cuh"

KERNEL find_migration(
    const float* __restrict__ ramp,     // (nints, ngroups, npix)  DN
    const u8*    __restrict__ groupdq,  // (nints, ngroups, npix)
    u16*         __restrict__ first,    // (nints, npix)  the first such group; ngroups if none
    const i64 npix, const int nints, const int ngroups, const float threshold)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const i64 start = integration * ngroups * npix + p;
    int found = ngroups;
    for (int g = ngroups - 1; g >= 0; --g)
      if (ramp[start + g * npix] > threshold && groupdq[start + g * npix] != DO_NOT_USE) found = g;
    first[integration * npix + p] = (u16)found;
  }
}
