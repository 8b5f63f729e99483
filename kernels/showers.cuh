// showers.cuh - the differences among which showers are looked for. Knows nothing of threads.
#pragma once
#include "differences.cuh"

// Tells whether a group is left out for its flags. The official pipeline tests them one by one: a jump with any further flag but
// DO_NOT_USE stays in, and so do the others unless they are among `never`.
struct LeftOut {
  int never;
  DEVICE_MEMBER bool operator()(int flags) const {
    return (flags & never) || flags == JUMP_DET || flags == DO_NOT_USE || flags == SATURATED ||
           flags == (JUMP_DET | DO_NOT_USE) || flags == (SATURATED | DO_NOT_USE);
  }
};

struct QuietSteps {
  const float* ramp;    // DN
  const u8* groupdq;
  i64 npix;
  float gain;           // electron/DN
  int ngroups;
  LeftOut left_out;

  // Group g minus the group before; NaN if either is left out.
  DEVICE_MEMBER float operator()(int integration, int g) const {
    const i64 now = ((i64)integration * ngroups + g) * npix, before = now - npix;
    if (left_out(groupdq[now]) || left_out(groupdq[before])) return NAN;
    return ramp[now] * gain - ramp[before] * gain;
  }
};
