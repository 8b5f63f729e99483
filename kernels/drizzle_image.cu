// drizzle_image.cu - add an image to a mosaic: each output pixel takes its share of the drops that fall on it.
//
// An input pixel adds to several output pixels. Done pixel by pixel of the input, that is a race, and the mean of a few
// float32 depends on who comes first. So each iteration owns a tile of the output and goes through the input pixels that
// can reach it, in the order of the input, adding what falls on its tile alone: every output pixel sees the same sums in the
// same order for every number of threads and every size of tile. Which input pixels can reach a tile is what the boxes of
// drizzle_boxes tell; those at the border of a tile are placed more than once, which costs less than any bookkeeping.
// Large tiles suit few cores, small ones a GPU.
//
// The means run: with the first drop a pixel is set, each further one moves it by its share of the weight so far.
// Twin: gpucal/drizzle/adding.py
#include "drops.cuh"

// Planes that share a weight: means of the image, or of the image's errors.
struct Planes {
  const float* in;
  float *out, *weight;
  i64 count, npix, nout;
};

struct Mosaic {
  Planes means, alone;
  const float* squares_in;
  float* squares;
  i64 nsquares;
  const u32* flags_in;
  u32* flags;
  int* context;
  int bit;
  float scale;
  bool plain;  // one plane and nothing else

  DEVICE_MEMBER static float move(float mean, float old, float value, float weight, float sum) {
    return old == 0.f ? value : (mean * old + weight * value) / sum;
  }

  // Input pixel `from` has `weight` on output pixel `to`.
  DEVICE_MEMBER void add(i64 to, i64 from, float weight) const {
    if (weight == 0.f) return;
    if (weight > 0.f && context) context[to] |= bit;
    if (plain) {
      const float old = means.weight[to], sum = old + weight;
      means.out[to] = move(means.out[to], old, means.in[from] * scale, weight, sum);
      means.weight[to] = sum;
    } else {
      const float old = means.weight[to], sum = old + weight;
      for (i64 k = 0; k < means.count; ++k) {
        float* mean = means.out + k * means.nout + to;
        *mean = move(*mean, old, means.in[k * means.npix + from] * scale, weight, sum);
      }
      const float scale2 = scale * scale;
      for (i64 k = 0; k < nsquares; ++k) {
        float* mean = squares + k * means.nout + to;
        const float value = squares_in[k * means.npix + from] * scale2;
        const double old2 = (double)(old * old), weight2 = (double)(weight * weight), sum2 = (double)sum * (double)sum;
        *mean = old == 0.f ? value : (float)(((double)*mean * old2 + weight2 * (double)value) / sum2);
      }
      if (flags) flags[to] = old == 0.f ? flags_in[from] : flags[to] | flags_in[from];
      means.weight[to] = sum;
      if (alone.count) {
        const float before = alone.weight[to], after = before + weight;
        for (i64 k = 0; k < alone.count; ++k) {
          float* mean = alone.out + k * alone.nout + to;
          *mean = move(*mean, before, alone.in[k * alone.npix + from] * scale, weight, after);
        }
        alone.weight[to] = after;
      }
    }
  }
};

struct Input {
  Map map;
  const float* weights;
  const int* limits;
  const double* boxes;
  i64 nby, nbx, block;
  float scale;  // of the weights
};

DEVICE bool reaches(const double* box, const Window& w) {
  const bool in_x = box[0] - box[4] <= w.x1 + 1. && box[1] + box[4] >= w.x0 - 1.;
  return in_x && box[2] - box[5] <= w.y1 + 1. && box[3] + box[5] >= w.y0 - 1.;
}

// Drops one by one: each with its weight to the pixels of its window.
template <class Shape>
struct OneByOne {
  Shape drop;

  DEVICE_MEMBER void take(const Input& input, i64 j, i64 i, float w, const Window& tile, i64 nx, const Mosaic& mosaic) {
    if (drop.place(input.map, j, i)) {
      drop.w = (double)w;
      const Window& own = drop.window;
      const double x0 = own.x0 > tile.x0 ? own.x0 : tile.x0, x1 = own.x1 < tile.x1 ? own.x1 : tile.x1;
      const double y0 = own.y0 > tile.y0 ? own.y0 : tile.y0, y1 = own.y1 < tile.y1 ? own.y1 : tile.y1;
      for (double y = y0; y <= y1; y += 1.)
        for (double x = x0; x <= x1; x += 1.) mosaic.add((i64)y * nx + (i64)x, j * input.map.nx + i, drop.weight(y, x));
    }
  }
  DEVICE_MEMBER void finish(const Window&, i64, const Mosaic&) {}
};

// Square drops, LANES at once.
struct AtOnce {
  Squares drops;
  i64 from[LANES];

  DEVICE_MEMBER void take(const Input& input, i64 j, i64 i, float w, const Window& tile, i64 nx, const Mosaic& mosaic) {
    from[drops.count] = j * input.map.nx + i;
    if (drops.place(input.map, j, i, w) && drops.count == LANES) finish(tile, nx, mosaic);
  }

  DEVICE_MEMBER void finish(const Window& tile, i64 nx, const Mosaic& mosaic) {
    if (drops.count == 0) return;
    drops.prepare();
    int rows = 0, columns = 0;
    for (int l = 0; l < drops.count; ++l) {
      rows = drops.rows(l) > rows ? drops.rows(l) : rows;
      columns = drops.columns(l) > columns ? drops.columns(l) : columns;
    }
    drops.measure(rows, columns);
    for (int l = 0; l < drops.count; ++l) {
      const bool small = drops.rows(l) && drops.columns(l);
      const double left = drops.x0[l], low = drops.y0[l];
      const i64 x0 = (i64)(left > tile.x0 ? left : tile.x0), x1 = (i64)(drops.x1[l] < tile.x1 ? drops.x1[l] : tile.x1);
      const i64 y0 = (i64)(low > tile.y0 ? low : tile.y0), y1 = (i64)(drops.y1[l] < tile.y1 ? drops.y1[l] : tile.y1);
      const float *own = &drops.weight[0][0][l], *row = own + (y0 - (i64)low) * Squares::MOST * LANES - (i64)left * LANES;
      for (i64 y = y0; y <= y1; ++y, row += Squares::MOST * LANES)
        for (i64 x = x0; x <= x1; ++x) {
          float w = small ? row[x * LANES] : NAN;
          if (isnan(w)) w = drops.exact(l, (double)y, (double)x);
          mosaic.add(y * nx + x, from[l], w);
        }
    }
    drops.count = 0;
  }
};

template <class Spread>
DEVICE void fill_tile(const Window& tile, i64 nx, const Input& input, const Mosaic& mosaic, Spread spread) {
  i64 first_row = input.nby, last_row = -1, first = input.nbx, last = -1;
  for (i64 by = 0; by < input.nby; ++by)
    for (i64 bx = 0; bx < input.nbx; ++bx)
      if (reaches(input.boxes + 6 * (by * input.nbx + bx), tile)) {
        first_row = by < first_row ? by : first_row;
        last_row = by;
        first = bx < first ? bx : first;
        last = bx > last ? bx : last;
      }
  const Map& map = input.map;
  for (i64 j = first_row * input.block; j < (last_row + 1) * input.block && j < map.ny; ++j)
    for (i64 bx = first; bx <= last; ++bx) {
      const double* box = input.boxes + 6 * (j / input.block * input.nbx + bx);
      if (!reaches(box, tile)) continue;
      const double left = tile.x0 - box[4] - 1., right = tile.x1 + box[4] + 1.;
      const double low = tile.y0 - box[5] - 1., high = tile.y1 + box[5] + 1.;
      i64 i = bx * input.block, end = i + input.block;
      i = input.limits[2 * j] > i ? input.limits[2 * j] : i;
      end = input.limits[2 * j + 1] < end ? input.limits[2 * j + 1] : end;
      for (; i < end; ++i) {
        const double* p = map.centre(j, i);
        if (p[0] >= left && p[0] <= right && p[1] >= low && p[1] <= high) {
          const float w = (input.weights ? input.weights[j * map.nx + i] : 1.f) * input.scale;
          spread.take(input, j, i, w, tile, nx, mosaic);
        }
      }
    }
  spread.finish(tile, nx, mosaic);
}

enum Shapes { SQUARE, GAUSSIAN, POINT, TURBO, LANCZOS };

KERNEL drizzle_image(
    const double* __restrict__ pixmap,        // (ny, nx, xy)
    const int*    __restrict__ limits,        // (ny, two)  first input pixel of a row in use, and the one after the last
    const double* __restrict__ boxes,         // (nby, nbx, six)
    const double* __restrict__ table,         // (entries) or null  half a Lanczos function
    const float*  __restrict__ weights,       // (ny, nx) or null  1
    const float*  __restrict__ data,          // (nplanes, ny, nx)
    const float*  __restrict__ variances,     // (nsquares, ny, nx) or null  added with squared weights
    const float*  __restrict__ errors,        // (nalone, ny, nx) or null
    const u32*    __restrict__ dq,            // (ny, nx) or null
    float*        __restrict__ image,         // (nplanes, nyout, nxout)
    float*        __restrict__ weight,        // (nyout, nxout)
    int*          __restrict__ context,       // (nyout, nxout) or null
    float*        __restrict__ variance,      // (nsquares, nyout, nxout) or null
    u32*          __restrict__ flags,         // (nyout, nxout) or null
    float*        __restrict__ alone,         // (nalone, nyout, nxout) or null  means over this image only
    float*        __restrict__ alone_weight,  // (nyout, nxout) or null
    const i64 ny, const i64 nx, const int xy, const int two, const i64 nby, const i64 nbx, const int six, const i64 entries,
    const i64 nplanes, const i64 nsquares, const i64 nalone, const i64 nyout, const i64 nxout,
    const int side, const int tile, const i64 ntiles, const int shape,
    const double half, const double reach, const double fine, const double height,
    const int bit, const float scale, const float weight_scale, const float fill)
{
  FOR_EACH(t, ntiles) {
    const i64 across = (nxout + tile - 1) / tile, npix = ny * nx, nout = nyout * nxout;
    const i64 y0 = across ? t / across * tile : 0, x0 = across ? t % across * tile : 0;
    const i64 y1 = y0 + tile < nyout ? y0 + tile : nyout, x1 = x0 + tile < nxout ? x0 + tile : nxout;
    const Window own = {(double)x0, (double)(x1 - 1), (double)y0, (double)(y1 - 1)};
    const Input input = {{pixmap, ny, nx}, weights, limits, boxes, nby, nbx, side, weight_scale};
    const Mosaic mosaic = {
      {data, image, weight, nplanes, npix, nout}, {errors, alone, alone_weight, alone ? nalone : 0, npix, nout},
      variances, variance, variance ? nsquares : 0, dq, dq ? flags : 0, context, bit, scale,
      nplanes == 1 && !variance && !dq && !alone};
    if (shape == SQUARE) fill_tile(own, nxout, input, mosaic, AtOnce{Squares(half), {}});
    if (shape == GAUSSIAN) fill_tile(own, nxout, input, mosaic, OneByOne<Gaussian>{Gaussian(reach, fine, height)});
    if (shape == POINT) fill_tile(own, nxout, input, mosaic, OneByOne<Point>{Point()});
    if (shape == TURBO) fill_tile(own, nxout, input, mosaic, OneByOne<Turbo>{Turbo(reach, height)});
    if (shape == LANCZOS) fill_tile(own, nxout, input, mosaic, OneByOne<Lanczos>{Lanczos(reach, fine, table, entries)});
    for (i64 y = y0; y < y1; ++y)
      for (i64 x = x0; x < x1; ++x) {
        const i64 at = y * nxout + x;
        if (weight[at] == 0.f) {
          for (i64 k = 0; k < nplanes; ++k) image[k * nout + at] = fill;
          if (variance) for (i64 k = 0; k < nsquares; ++k) variance[k * nout + at] = fill;
        }
        if (alone && alone_weight[at] == 0.f)
          for (i64 k = 0; k < nalone; ++k) alone[k * nout + at] = fill;
      }
  }
}
