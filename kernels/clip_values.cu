// clip_values.cu - median and scatter of ordered values without their outliers, and the range within limits from these.
//
// Outliers are clipped a few times at `reach` sigma about the median. On request the statistics are those of the lower
// half alone, mirrored at the median, so that what shines has no part in them.
// Twin: gpucal/flicker/ordered.py
#include "ordered.cuh"

KERNEL clip_values(
    const float*  __restrict__ ordered,  // (nsets, nvalues)  DN, upwards
    const double* __restrict__ sums,     // (nsets, nblocks, ntwo)  of blocks of values; see sum_blocks.cu
    const float*  __restrict__ offset,   // (nsets)  DN, subtracted from every value
    i64*          __restrict__ range,    // (nsets, ntwo)  the values in use; afterwards, those within the limits
    double*       __restrict__ levels,   // (nsets, nlevels)  median, sigma, mean, count, the two limits
    const i64 nsets, const i64 nvalues, const i64 nblocks, const int ntwo, const int nlevels, const int length,
    const int rounds, const double reach, const int lower_half, const double below, const double above)
{
  FOR_EACH(set, nsets) {
    const float* values = ordered + set * nvalues;
    const i64 first = range[set * ntwo], last = range[set * ntwo + 1];
    double* out = levels + set * nlevels;
    for (int i = 0; i < nlevels; ++i) out[i] = NAN;
    if (first >= last) continue;
    Ordered all = {values, sums + set * nblocks * ntwo, 0, first, last, offset[set], length};
    all.middle = all[(first + last) / 2];
    Level found = clipped(all, rounds, reach);
    if (lower_half) {
      const Mirrored both = {all, found.median, all.until(found.median), first, first};
      found = clipped(both, rounds, reach);
    }
    const double limits[] = {found.median - below * found.sigma, found.median + above * found.sigma};
    const double answer[] = {found.median, found.sigma, found.mean, found.count, limits[0], limits[1]};
    for (int i = 0; i < 6; ++i) out[i] = answer[i];
    all.keep(limits[0], limits[1]);
    range[set * ntwo] = all.first;
    range[set * ntwo + 1] = all.last;
  }
}
