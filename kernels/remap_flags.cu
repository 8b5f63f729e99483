// remap_flags.cu - translate a reference file's own DQ bits to the standard ones.
// Twin: gpucal/dq.py
#include "gpucal.cuh"

KERNEL remap_flags(
    const u32* __restrict__ stored,    // (npix)
    const u32* __restrict__ meaning,   // (nbits)  the standard flags of each stored bit, lowest bit first
    u32*       __restrict__ standard,  // (npix)
    const i64 npix, const int nbits)
{
  FOR_EACH(p, npix) {
    u32 flags = 0;
    for (int bit = 0; bit < nbits && stored[p] >> bit; ++bit)
      if (stored[p] >> bit & 1) flags |= meaning[bit];
    standard[p] = flags;
  }
}
