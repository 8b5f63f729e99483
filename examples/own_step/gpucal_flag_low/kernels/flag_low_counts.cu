// flag_low_counts.cu - flag groups whose counts are below a limit.
// Twin: gpucal_flag_low/__init__.py
#include "gpucal.cuh"

KERNEL flag_low_counts(
    const float* __restrict__ ramp,     // (nsamples)  DN
    u8*          __restrict__ groupdq,  // (nsamples)
    const i64 nsamples, const float limit)
{
  FOR_EACH(i, nsamples) {
    if (ramp[i] < limit) groupdq[i] |= DO_NOT_USE;
  }
}
