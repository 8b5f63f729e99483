// swap_words.cu - turn 4-byte pixels from FITS's big-endian order to the machine's, or back.
//
// FITS stores unsigned integers with their highest bit inverted (BZERO = 2^31): `mask` inverts it again, 0x80000000 when
// reading, 0x00000080 (the same bit after the swap) when writing; 0 for floating point.
// Twin: gpucal/model/pixels.py
#include "gpucal.cuh"

KERNEL swap_words(
    const u32* words,    // (npix)
    u32*       swapped,  // (npix)  may be `words` itself
    const i64 npix, const u32 mask)
{
  FOR_EACH(p, npix) {
    const u32 w = words[p];
    swapped[p] = ((w >> 24) | ((w >> 8) & 0xff00u) | ((w << 8) & 0xff0000u) | (w << 24)) ^ mask;
  }
}
