// linearize_reads.cu - undo detector non-linearity read by read, where a group is the mean of several frames.
//
// The mean of non-linear reads is not the non-linear mean. So the reads of a group are predicted: from the corrected
// first group and the last but one that is not saturated follows a count rate, from that the counts of every read, and
// the inverse polynomial makes raw counts of them. Shifted together so that their mean is the measured one, they are
// corrected one by one, and averaged. Single precision up to the count rate, double from there on, as in the official
// pipeline. Saturated groups keep their count.
// Twin: gpucal/steps/linearity.py
#include "gpucal.cuh"

// c0 + c1 s + c2 s^2 + ... of L neighbouring pixels, Horner from the top.
template <int L, class T>
DEVICE void polynomial(const float* c, const int n, const i64 npix, const T* s, T* value) {
  for (int l = 0; l < L; ++l) value[l] = (T)c[(n - 1) * npix + l] * s[l];
  for (int k = n - 2; k > 0; --k)
    for (int l = 0; l < L; ++l) value[l] = (value[l] + (T)c[k * npix + l]) * s[l];
  for (int l = 0; l < L; ++l) value[l] += (T)c[l];
}

template <int L>
DEVICE void linearize_pixels(
    float* ramp, const u8* groupdq, const float* coeffs, const float* inverse,
    const i64 npix, const int ngroups, const int ncoeffs, const int ninverse, const int nframes)
{
  const double start = (nframes + 1) / 2.0;  // the mean number of the first group's reads, counted from 1
  int usable[L];
  float first[L], second[L], straight[L];
  double rate[L], counts[L], raw[L], total[L], offset[L];
  for (int l = 0; l < L; ++l) usable[l] = -1;
  for (int g = 0; g < ngroups; ++g)
    for (int l = 0; l < L; ++l) usable[l] += groupdq[g * npix + l] & SATURATED ? 0 : 1;
  polynomial<L>(coeffs, ncoeffs, npix, ramp, straight);
  for (int l = 0; l < L; ++l) {
    first[l] = groupdq[l] & SATURATED ? ramp[l] : straight[l];
    second[l] = ramp[(usable[l] < 2 ? 1 : usable[l] - 1) * npix + l];
  }
  polynomial<L>(coeffs, ncoeffs, npix, second, straight);
  for (int l = 0; l < L; ++l) {
    const int last = usable[l] < 2 ? 1 : usable[l] - 1;
    if (!(groupdq[last * npix + l] & SATURATED)) second[l] = straight[l];
    rate[l] = (double)(second[l] - first[l]) / ((double)last * nframes + start - start);
  }
  for (int g = 0; g < ngroups; ++g) {
    float* data = ramp + g * npix;
    for (int l = 0; l < L; ++l) total[l] = 0;
    for (int read = 0; read < nframes; ++read) {
      const double since = g * nframes + 1 + read - start;
      for (int l = 0; l < L; ++l) counts[l] = (double)first[l] + rate[l] * since;
      polynomial<L>(inverse, ninverse, npix, counts, raw);
      for (int l = 0; l < L; ++l) total[l] = read ? total[l] + raw[l] : raw[l];
    }
    for (int l = 0; l < L; ++l) offset[l] = (double)data[l] - total[l] / nframes;
    for (int read = 0; read < nframes; ++read) {
      const double since = g * nframes + 1 + read - start;
      for (int l = 0; l < L; ++l) counts[l] = (double)first[l] + rate[l] * since;
      polynomial<L>(inverse, ninverse, npix, counts, raw);
      for (int l = 0; l < L; ++l) raw[l] += offset[l];
      polynomial<L>(coeffs, ncoeffs, npix, raw, counts);
      for (int l = 0; l < L; ++l) total[l] = read ? total[l] + counts[l] : counts[l];
    }
    for (int l = 0; l < L; ++l)
      if (!(groupdq[g * npix + l] & SATURATED)) data[l] = (float)(total[l] / nframes);
  }
}

KERNEL linearize_reads(
    float*       __restrict__ ramp,     // (nints, ngroups, npix)  DN, corrected in place; two groups or more
    const u8*    __restrict__ groupdq,  // (nints, ngroups, npix)
    const float* __restrict__ coeffs,   // (ncoeffs, npix)  ascending powers, no NaN
    const float* __restrict__ inverse,  // (ninverse, npix)  those of the inverse polynomial
    const i64 npix, const int nints, const int ngroups, const int ncoeffs, const int ninverse, const int nframes)
{
  FOR_EACH_TILE(first, npix) {
    for (int integration = 0; integration < nints; ++integration) {
      const i64 at = (i64)integration * ngroups * npix + first;
      if (first + LANES <= npix)
        linearize_pixels<LANES>(ramp + at, groupdq + at, coeffs + first, inverse + first,
                                npix, ngroups, ncoeffs, ninverse, nframes);
      else
        for (i64 l = 0; l < npix - first; ++l)
          linearize_pixels<1>(ramp + at + l, groupdq + at + l, coeffs + first + l, inverse + first + l,
                              npix, ngroups, ncoeffs, ninverse, nframes);
    }
  }
}
