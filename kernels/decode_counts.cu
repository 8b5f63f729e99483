// decode_counts.cu - turn raw detector counts, as FITS stores them, into floating point.
//
// FITS stores unsigned 16-bit counts big-endian and with BZERO = 32768, that is, with the highest bit inverted.
// Twin: gpucal/model/pixels.py
#include "gpucal.cuh"

KERNEL decode_counts(
    const u16* __restrict__ stored,  // (npix)
    float*     __restrict__ counts,  // (npix)  DN
    const i64 npix)
{
  FOR_EACH(p, npix) {
    const u16 w = stored[p];
    counts[p] = (float)(u16)(((w >> 8) | (w << 8)) ^ 0x8000);
  }
}
