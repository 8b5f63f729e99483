// flag_neighbors.cu - flag the groups of a pixel in which a jump beside it left charge.
// Twin: gpucal/steps/jump.py
#include "gpucal.cuh"

KERNEL flag_neighbors(
    u8*        __restrict__ groupdq,    // (nints, ngroups, npix)
    const u32* __restrict__ spreading,  // (nints, nwords, npix)  from find_spreading
    const i64 npix, const int nints, const int ngroups, const int nwords, const int nx)
{
  FOR_EACH_2D(plane, nints * nwords, p, npix) {
    const i64 i = plane * npix + p, integration = plane / nwords, word = plane % nwords;
    const int x = (int)(p % nx);
    u32 hit = 0;
    if (p >= nx) hit |= spreading[i - nx];
    if (p < npix - nx) hit |= spreading[i + nx];
    if (x > 0) hit |= spreading[i - 1];
    if (x < nx - 1) hit |= spreading[i + 1];
    for (int bit = 0; hit >> bit && bit < 32; ++bit) {
      const i64 at = (integration * ngroups + word * 32 + bit) * npix + p;
      if ((hit >> bit & 1) && !(groupdq[at] & BAD)) groupdq[at] |= JUMP_DET;
    }
  }
}
