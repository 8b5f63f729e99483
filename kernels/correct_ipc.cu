// correct_ipc.cu - convolve planes with the kernel that undoes interpixel capacitance.
//
//   corrected[y, x] = sum over j, i of kernel[j, i] * measured[y - (j - cy), x - (i - cx)]
//
// The centre is added last, the others in row-major order. Beyond the science pixels (y0..y1, x0..x1) the signal counts
// as 0; reference pixels are not written. A kernel of npix > 1 has one matrix per output pixel.
// Twin: gpucal/steps/ipc.py
#include "gpucal.cuh"

KERNEL correct_ipc(
    const float* __restrict__ measured,  // (nplanes, ny, nx)  DN
    float*       __restrict__ corrected, // (nplanes, ny, nx)  DN
    const float* __restrict__ kernel,    // (nj, ni, npix)
    const i64 nplanes, const int ny, const int nx, const int nj, const int ni, const i64 npix,
    const int y0, const int y1, const int x0, const int x1)
{
  FOR_EACH(at, nplanes * ny * nx) {
    const int x = (int)(at % nx), y = (int)(at / nx % ny);
    if (y < y0 || y >= y1 || x < x0 || x >= x1) continue;
    const i64 own = npix > 1 ? (i64)y * nx + x : 0;
    const int cj = nj / 2, ci = ni / 2;
    float sum = 0;
    for (int j = 0; j < nj; ++j) {
      const int v = y - (j - cj);
      if (v < y0 || v >= y1) continue;
      for (int i = 0; i < ni; ++i) {
        const int u = x - (i - ci);
        if (u < x0 || u >= x1 || (j == cj && i == ci)) continue;
        sum += kernel[(j * ni + i) * npix + own] * measured[at + (i64)(v - y) * nx + (u - x)];
      }
    }
    corrected[at] = sum + kernel[(cj * ni + ci) * npix + own] * measured[at];
  }
}
