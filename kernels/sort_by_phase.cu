// sort_by_phase.cu - give every residual a number that sorts by the bin of its phase, then by its value.
//
// A bin takes phases above its lower and up to its upper edge, so the phase 0 belongs to none. The upper half of a number
// is the bin, the lower half the bits of the residual, made to sort like the residual itself.
// Twin: gpucal/emi/sequential.py
#include "gpucal.cuh"

KERNEL sort_by_phase(
    const int*    __restrict__ bits,    // (nints, ngroups, nquads)  of residuals in single precision
    const double* __restrict__ clock,   // (nquads)  when it is read in a frame
    const double* __restrict__ starts,  // (nints, ngroups)  when the frame begins
    i64*          __restrict__ keys,    // (nints, ngroups, nquads)
    const int nints, const int ngroups, const i64 nquads, const double period, const int nbins)
{
  FOR_EACH_2D(plane, nints * ngroups, q, nquads) {
    const double cycles = (starts[plane] + clock[q]) / period, phase = cycles - floor(cycles);
    const int value = bits[plane * nquads + q];
    i64 bin = (i64)ceil(phase * nbins) - 1;
    if (phase <= (double)bin / nbins) --bin;
    if (phase > (double)(bin + 1) / nbins) ++bin;
    const bool finite = (value & 0x7f800000) != 0x7f800000;
    const u32 order = value < 0 ? ~(u32)value : (u32)value | 0x80000000u;
    keys[plane * nquads + q] = (finite && bin >= 0 ? bin : nbins) * ((i64)1 << 32) + (i64)order;
  }
}
