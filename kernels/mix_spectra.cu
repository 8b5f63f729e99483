// mix_spectra.cu - weigh the spectra of an amplifier's reference samples and of the reference output, and add them.
//
// Sums of negated numbers in place of differences: where sums and differences take turns, GCC 12 fuses them with the
// products in spite of -ffp-contract=off.
// Twin: gpucal/irs2/correction.py
#include "gpucal.cuh"

KERNEL mix_spectra(
    float*       __restrict__ own,             // (noutputs, nlines, nslots, nparts)  DN; real, imaginary part
    const float* __restrict__ output,          // (nlines, nslots, nparts)  DN
    const float* __restrict__ own_weights,     // (noutputs, nlines, nslots, nparts)
    const float* __restrict__ output_weights,  // (noutputs, nlines, nslots, nparts)
    const i64 noutputs, const i64 nlines, const i64 nslots, const i64 nparts)
{
  FOR_EACH_2D(k, noutputs * nlines, slot, nslots) {
    const i64 i = (k * nslots + slot) * nparts, common = (k % nlines * nslots + slot) * nparts;
    const float re = own[i], im = own[i + 1], a = own_weights[i], b = own_weights[i + 1];
    const float output_re = output[common], output_im = output[common + 1];
    const float c = output_weights[i], d = output_weights[i + 1];
    own[i] = (a * re + -b * im) + (c * output_re + -d * output_im);
    own[i + 1] = (a * im + b * re) + (c * output_im + d * output_re);
  }
}
