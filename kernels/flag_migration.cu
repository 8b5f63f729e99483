// flag_migration.cu - flag the groups after which charge moves from a pixel to its four neighbours, or from them to it.
// Twin: gpucal/steps/charge_migration.py
#include "gpucal.cuh"

KERNEL flag_migration(
    u8*        __restrict__ groupdq,  // (nints, ngroups, npix)
    const u16* __restrict__ first,    // (nints, npix)  from find_migration
    const i64 npix, const int nints, const int ngroups, const int nx)
{
  FOR_EACH_2D(integration, nints, p, npix) {
    const u16* here = first + integration * npix + p;
    const i64 y = p / nx, x = p % nx;
    int from = here[0];
    if (y > 0 && here[-nx] < from) from = here[-nx];
    if (y < npix / nx - 1 && here[nx] < from) from = here[nx];
    if (x > 0 && here[-1] < from) from = here[-1];
    if (x < nx - 1 && here[1] < from) from = here[1];
    for (int g = from; g < ngroups; ++g) groupdq[(integration * ngroups + g) * npix + p] |= CHARGELOSS | DO_NOT_USE;
  }
}
