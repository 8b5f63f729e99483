// gpucal.cuh - makes one kernel source valid for NVRTC and for a host C++ compiler. The only file that knows about threads.
//
//   FOR_EACH(i, n)             one thread per i on the GPU, one OpenMP loop over i on the host.
//   FOR_EACH_2D(a, na, b, nb)  one thread per pair (a, b) on the GPU; on the host the innermost loop runs over some
//                              consecutive b, which the compiler can vectorise if the body is simple, and what is read
//                              for these b is still in the cache when the next a needs it.
//
//   FOR_EACH_TILE(first, n)    for what sorts: LANES neighbours, first, first + 1, ... at a time on the host, where
//                              FOR_LANES(l) makes the compiler work on all of them at once; on the GPU a tile is one lane.
//
// Leave an iteration with `continue`, never with `return`. Parallel iterations may write only what belongs to their own
// index, or use the atomics below.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;

#ifdef __CUDACC__  // nvcc and NVRTC
  #ifdef __CUDACC_RTC__  // NVRTC has no <math.h> macros
    #define NAN __int_as_float(0x7fffffff)
    #define INFINITY __int_as_float(0x7f800000)
  #endif
  #define KERNEL extern "C" __global__ void
  #define DEVICE __device__ inline
  #define DEVICE_MEMBER __device__
  #define FOR_EACH(i, n)                                                          \
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x, end_ = (n); i < end_; \
         i += (i64)gridDim.x * blockDim.x)
  #define FOR_EACH_2D(a, na, b, nb)                                               \
    for (i64 ab_ = blockIdx.x * (i64)blockDim.x + threadIdx.x, end_ = (i64)(na) * (nb); ab_ < end_; \
         ab_ += (i64)gridDim.x * blockDim.x)                                      \
      for (i64 a = ab_ / (nb), b = ab_ % (nb), once_ = 1; once_; once_ = 0)
  #define LANES 1
  #define FOR_EACH_TILE(first, n) FOR_EACH(first, n)
  #define FOR_LANES(l) for (int l = 0; l < LANES; ++l)
  DEVICE void atomic_add(u32* to, u32 v) { atomicAdd(to, v); }
#else  // host C++
  #include <cmath>
  using std::fabs;
  using std::isfinite;
  using std::isnan;
  using std::sqrt;
  #define KERNEL extern "C" void
  #define DEVICE static inline
  #define DEVICE_MEMBER
  #define FOR_EACH(i, n) \
    _Pragma("omp parallel for schedule(static)") for (i64 i = 0; i < (i64)(n); ++i)
  #define FOR_EACH_2D(a, na, b, nb)                                               \
    _Pragma("omp parallel for collapse(2) schedule(static)")                      \
    for (i64 b##_0 = 0; b##_0 < (i64)(nb); b##_0 += 2048)                         \
      for (i64 a = 0; a < (i64)(na); ++a)                                         \
        for (i64 b = b##_0, b##_1 = b##_0 + 2048 < (nb) ? b##_0 + 2048 : (nb); b < b##_1; ++b)
  #define LANES 16
  #define FOR_EACH_TILE(first, n) \
    _Pragma("omp parallel for schedule(static)") for (i64 first = 0; first < (i64)(n); first += LANES)
  #define FOR_LANES(l) _Pragma("omp simd") for (int l = 0; l < LANES; ++l)
  DEVICE void atomic_add(u32* to, u32 v) { __atomic_fetch_add(to, v, __ATOMIC_RELAXED); }
#endif

// Flags of one group (the same bits as in gpucal/dq.py).
enum GroupFlag : u8 {
  DO_NOT_USE = 1, SATURATED = 2, JUMP_DET = 4, PERSISTENCE = 32, AD_FLOOR = 64, CHARGELOSS = 128,
  BAD = DO_NOT_USE | SATURATED
};

// Flags of a pixel that the kernels set or test.
enum PixelFlag : u32 {
  NO_GAIN_VALUE = 1u << 19, NO_LIN_CORR = 1u << 20, NO_SAT_CHECK = 1u << 21, REFERENCE_PIXEL = 1u << 31
};
