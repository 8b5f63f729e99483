// correct_ipc.cu - convolve planes with the kernel that undoes interpixel capacitance.
//
//   corrected[y, x] = sum over j, i of kernel[j, i] * measured[y - (j - nj / 2), x - (i - ni / 2)]
//
// The centre is added last, the others in row-major order. `measured` holds the science pixels alone, with a border of
// zeros half a kernel wide; `corrected` is written from (y0, x0) on. With npix > 1 each output pixel has its own kernel.
// Twin: gpucal/steps/ipc.py
#include "gpucal.cuh"

KERNEL correct_ipc(
    const float* __restrict__ measured,   // (nplanes, padded_ny, padded_nx)  DN
    float*       __restrict__ corrected,  // (nplanes, ny, nx)  DN
    const float* __restrict__ kernel,     // (nj, ni, npix)
    const i64 nplanes, const int padded_ny, const int padded_nx, const int ny, const int nx,
    const int nj, const int ni, const i64 npix, const int height, const int width, const int y0, const int x0)
{
  const int centre = nj / 2 * ni + ni / 2;
  const bool usual = nj == 3 && ni == 3;  // spelled out for the compiler's sake
  FOR_EACH_2D(line, nplanes * height, x, width) {
    const i64 plane = line / height, y = line % height, at = (y0 + y) * nx + x0 + x;
    const i64 own = npix > 1 ? at : 0;
    const float* last = measured + (plane * padded_ny + y + nj - 1) * padded_nx + x + ni - 1;  // meets kernel[0, 0]
    float sum = 0;
    if (usual) {
      sum += kernel[own] * last[0];
      sum += kernel[npix + own] * last[-1];
      sum += kernel[2 * npix + own] * last[-2];
      sum += kernel[3 * npix + own] * last[-padded_nx];
      sum += kernel[5 * npix + own] * last[-padded_nx - 2];
      sum += kernel[6 * npix + own] * last[-2 * padded_nx];
      sum += kernel[7 * npix + own] * last[-2 * padded_nx - 1];
      sum += kernel[8 * npix + own] * last[-2 * padded_nx - 2];
    } else {
      for (int tap = 0; tap < nj * ni; ++tap)
        if (tap != centre) sum += kernel[tap * npix + own] * last[-(tap / ni) * padded_nx - tap % ni];
    }
    sum += kernel[centre * npix + own] * last[-(nj / 2) * padded_nx - ni / 2];
    corrected[plane * ny * nx + at] = sum;
  }
}
