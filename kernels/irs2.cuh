// irs2.cuh - what the kernels of the IRS2 correction share. Knows nothing of threads.
#pragma once
#include "gpucal.cuh"

// The time of a sample from the middle of the frame, in samples: exact in single precision.
DEVICE float sample_time(const int line, const int slot, const int nlines, const int nslots) {
  return (float)(line * nslots + slot) - (float)((double)(nlines * nslots - 1) / 2);
}

// A count less the mean of its groups and the line of its output; one that is equal to the mean is taken for missing.
DEVICE float levelled(const float count, const double mean, const float offset, const float slope, const float time) {
  const float signal = (float)((double)count - mean);
  return signal == 0 ? signal : signal - (offset + time * slope);
}
