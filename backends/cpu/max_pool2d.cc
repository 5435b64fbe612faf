// Max pooling over NHWC. The forward op leaves the place of each maximum inside its window as state, one byte where
// that suffices; the gradient reads it, and folds in the gradient of a relu before the pooling.
//
// Few channels (6, 16) make a pixel shorter than a vector. Whole vectors are stored all the same: what runs over the
// end of a pixel is overwritten by the next one, since pixels are written in the order of memory. Only where no pixel
// follows, or where reading on would leave the image, lanes are counted ("careful").
#include <cstring>
#include <limits>
#include <type_traits>

#include "backends/cpu/lanes.h"
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/pool2d_shape.h"

namespace eddl::cpu {
namespace {

// The places in memory of one image's tensors, as its kernels see them.
template <typename Index>
struct MaxPoolImage {
  const float* x;
  float* y;
  Index* index;
};

constexpr int kLanes = 8;
using Float = Lanes<kLanes>::Float;
using Int = Lanes<kLanes>::Int;

EDDL_INLINE Int LoadPlaces(const uint8_t* from, int64_t count) {
  uint64_t bytes = 0;
  __builtin_memcpy(&bytes, from, static_cast<size_t>(count));
  return WidenBytes(bytes);
}
EDDL_INLINE Int LoadPlaces(const int32_t* from, int64_t count) { return LoadSome<Int>(from, count); }

template <typename Index>
EDDL_INLINE void StorePlaces(const Int& place, Index* to, int64_t count) {
  typedef Index Narrow __attribute__((vector_size(kLanes * sizeof(Index))));
  StoreSome(__builtin_convertvector(place, Narrow), to, count);
}

// Channels [c, c + count) of one window; count is the constant kLanes but at the end of the image. NaN wins, the first
// of them.
template <typename Index>
EDDL_INLINE void MaxPoolWindow(const PoolShape& v, const MaxPoolImage<Index>& image, const Window& rows,
                               const Window& columns, int64_t target, int64_t c, int64_t count) {
  const float* corner = image.x + (rows.origin * v.w + columns.origin) * v.c + c;
  Float best = LoadSome<Float>(corner + (rows.begin * v.w + columns.begin) * v.c, count);
  Int place = Int{} + static_cast<int32_t>(rows.begin * v.kernel_w + columns.begin);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    // The first place of the window meets itself once more and does not win.
    for (int64_t s = columns.begin; s < columns.end; ++s) {
      const Float value = LoadSome<Float>(corner + (r * v.w + s) * v.c, count);
      const Int here = Int{} + static_cast<int32_t>(r * v.kernel_w + s);
      const Int wins = (value > best) | ((value != value) & (best == best));
      best = wins ? value : best;
      place = wins ? here : place;
    }
  }
  StoreSome(best, image.y + target + c, count);
  StorePlaces(place, image.index + target + c, count);
}

template <typename Index>
EDDL_INLINE void MaxPool(const PoolShape& v, const MaxPoolImage<Index>& image) {
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = WindowAt(p, v.stride_h, v.pad_top, v.kernel_h, v.h);
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = WindowAt(q, v.stride_w, v.pad_left, v.kernel_w, v.w);
      const int64_t target = (p * v.q + q) * v.c;
      const int64_t source = ((rows.origin + rows.end - 1) * v.w + columns.origin + columns.end - 1) * v.c;
      for (int64_t c = 0; c < v.c; c += kLanes) {
        if (target + c + kLanes > v.YPlane() || source + c + kLanes > v.XPlane()) {
          MaxPoolWindow(v, image, rows, columns, target, c, v.c - c < kLanes ? v.c - c : kLanes);
        } else {
          MaxPoolWindow(v, image, rows, columns, target, c, kLanes);
        }
      }
    }
  }
}

template <typename Index>
struct MaxPoolGradImage {
  const float* dy;
  const float* y;  // nullptr without relu
  const Index* index;
  float* dx;
};

// The places of up to eight maxima and what flows to them: dy, or 0 where the relu was closed.
struct Route {
  Int place;
  Float dy;

  EDDL_INLINE Float To(int32_t here) const { return place == here ? dy : Float{}; }
};

template <bool kRelu, typename Index>
EDDL_INLINE Route RouteAt(const MaxPoolGradImage<Index>& image, int64_t at, int64_t count) {
  Route route = {LoadPlaces(image.index + at, count), LoadSome<Float>(image.dy + at, count)};
  if (kRelu) route.dy = LoadSome<Float>(image.y + at, count) > Float{} ? route.dy : Float{};
  return route;
}

// One row of a window, count channels: its places are numbered from first.
template <bool kRelu>
EDDL_INLINE void RouteWindowRow(const PoolShape& v, const MaxPoolGradImage<uint8_t>& image, int64_t at, int64_t first,
                                int64_t count, float* to) {
  const Route route = RouteAt<kRelu>(image, at, count);
  for (int64_t s = 0; s < v.kernel_w; ++s) StoreSome(route.To(static_cast<int32_t>(first + s)), to + s * v.c, count);
}

// Windows that tile the image: every element of dx is written once, row by row.
template <bool kRelu>
EDDL_INLINE void MaxPoolGradTiled(const PoolShape& v, const MaxPoolGradImage<uint8_t>& image) {
  const int64_t whole = v.c - v.c % kLanes;  // channels in full vectors
  for (int64_t row = 0; row < v.h; ++row) {
    const int64_t source = row / v.kernel_h * v.q * v.c;
    const int64_t first = row % v.kernel_h * v.kernel_w;
    for (int64_t q = 0; q < v.q; ++q) {
      const int64_t at = source + q * v.c;
      float* to = image.dx + (row * v.w + q * v.kernel_w) * v.c;
      for (int64_t c = 0; c < whole; c += kLanes) {
        RouteWindowRow<kRelu>(v, image, at + c, first, kLanes, to + c);
      }
      if (whole == v.c) continue;
      // A full vector runs into pixels that are still to be written; only then, and not beyond the image.
      if (whole > 0 || at + kLanes > v.YPlane()) {
        RouteWindowRow<kRelu>(v, image, at + whole, first, v.c - whole, to + whole);
      } else {
        RouteWindowRow<kRelu>(v, image, at, first, kLanes, to);
      }
    }
  }
}

// Windows that overlap or leave gaps.
template <bool kRelu, typename Index>
EDDL_INLINE void MaxPoolGradAny(const PoolShape& v, const MaxPoolGradImage<Index>& image) {
  std::memset(image.dx, 0, static_cast<size_t>(v.XPlane()) * sizeof(float));
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = WindowAt(p, v.stride_h, v.pad_top, v.kernel_h, v.h);
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = WindowAt(q, v.stride_w, v.pad_left, v.kernel_w, v.w);
      const int64_t at = (p * v.q + q) * v.c;
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        for (int64_t s = columns.begin; s < columns.end; ++s) {
          float* to = image.dx + ((rows.origin + r) * v.w + columns.origin + s) * v.c;
          const int32_t here = static_cast<int32_t>(r * v.kernel_w + s);
          int64_t c = 0;
          for (; c + kLanes <= v.c; c += kLanes) {
            Store(Load<Float>(to + c) + RouteAt<kRelu>(image, at + c, kLanes).To(here), to + c);
          }
          for (; c < v.c; ++c) {
            const bool chosen = image.index[at + c] == here && (!kRelu || image.y[at + c] > 0.0f);
            to[c] += chosen ? image.dy[at + c] : 0.0f;
          }
        }
      }
    }
  }
}

// The commonest pooling gets its sizes as constants.
EDDL_MULTIVERSION void MaxPool2x2(const PoolShape& shape, MaxPoolImage<uint8_t> image) {
  PoolShape v = shape;
  v.kernel_h = v.kernel_w = v.stride_h = v.stride_w = 2;
  v.pad_top = v.pad_left = 0;
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = {.origin = 2 * p, .begin = 0, .end = 2};
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = {.origin = 2 * q, .begin = 0, .end = 2};
      const int64_t target = (p * v.q + q) * v.c;
      for (int64_t c = 0; c < v.c; c += kLanes) {
        if (target + c + kLanes > v.YPlane()) {
          MaxPoolWindow(v, image, rows, columns, target, c, v.c - c < kLanes ? v.c - c : kLanes);
        } else {
          MaxPoolWindow(v, image, rows, columns, target, c, kLanes);
        }
      }
    }
  }
}
EDDL_MULTIVERSION void MaxPoolBytes(const PoolShape& v, MaxPoolImage<uint8_t> image) { MaxPool(v, image); }
EDDL_MULTIVERSION void MaxPoolWords(const PoolShape& v, MaxPoolImage<int32_t> image) { MaxPool(v, image); }

EDDL_MULTIVERSION void MaxPoolGradTiledBytes(const PoolShape& v, MaxPoolGradImage<uint8_t> image) {
  if (image.y != nullptr) {
    MaxPoolGradTiled<true>(v, image);
  } else {
    MaxPoolGradTiled<false>(v, image);
  }
}
EDDL_MULTIVERSION void MaxPoolGradBytes(const PoolShape& v, MaxPoolGradImage<uint8_t> image) {
  if (image.y != nullptr) {
    MaxPoolGradAny<true>(v, image);
  } else {
    MaxPoolGradAny<false>(v, image);
  }
}
EDDL_MULTIVERSION void MaxPoolGradWords(const PoolShape& v, MaxPoolGradImage<int32_t> image) {
  if (image.y != nullptr) {
    MaxPoolGradAny<true>(v, image);
  } else {
    MaxPoolGradAny<false>(v, image);
  }
}

bool IsTiled(const PoolShape& v) {
  return v.stride_h == v.kernel_h && v.stride_w == v.kernel_w && v.pad_top + v.pad_left == 0 &&
         v.p * v.kernel_h == v.h && v.q * v.kernel_w == v.w;
}

// Windows of more places than a byte counts are rare: one plain version serves them.
bool FitsByte(const PoolShape& v) { return v.kernel_h * v.kernel_w <= std::numeric_limits<uint8_t>::max(); }
bool Is2x2(const PoolShape& v) {
  return v.kernel_h == 2 && v.kernel_w == 2 && v.stride_h == 2 && v.stride_w == 2 && v.pad_top + v.pad_left == 0 &&
         v.p * 2 <= v.h && v.q * 2 <= v.w;
}

uint64_t StateBytes(const PoolShape& v) {
  const uint64_t count = static_cast<uint64_t>(v.n * v.YPlane());
  return AlignUp(count * (FitsByte(v) ? sizeof(uint8_t) : sizeof(int32_t)));
}

}  // namespace

Status PrepareMaxPool2d(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_pool2d_attrs attrs;
  PoolShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadPoolShape(desc, desc.in[0], desc.out[0], &attrs, &v));
  op->state_bytes = StateBytes(v);
  op->run = [v, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.n, ImageGrain(v.XPlane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* x = args.in(0) + i * v.XPlane();
        float* y = args.out(0) + i * v.YPlane();
        if (!FitsByte(v)) {
          MaxPoolWords(v, {x, y, args.state<int32_t>() + i * v.YPlane()});
        } else if (Is2x2(v)) {
          MaxPool2x2(v, {x, y, args.state<uint8_t>() + i * v.YPlane()});
        } else {
          MaxPoolBytes(v, {x, y, args.state<uint8_t>() + i * v.YPlane()});
        }
      }
    });
    return {};
  };
  return {};
}

Status PrepareMaxPool2dGrad(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_pool2d_attrs attrs;
  PoolShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadPoolShape(desc, desc.out[0], desc.in[0], &attrs, &v));
  EDDL_CPU_REQUIRE((attrs.relu != 0) == IsPresent(desc.in[1]),
                   "%s: y must be present exactly when relu is set (relu %u)", desc.name, attrs.relu);
  if (attrs.relu != 0) EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.in[1], desc.in[0]));
  op->state_read_bytes = StateBytes(v);
  op->implementation = IsTiled(v) ? "loop:tiled" : "loop";
  op->run = [v, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.n, ImageGrain(v.XPlane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* dy = args.in(0) + i * v.YPlane();
        const float* y = args.in(1) == nullptr ? nullptr : args.in(1) + i * v.YPlane();
        float* dx = args.out(0) + i * v.XPlane();
        if (!FitsByte(v)) {
          MaxPoolGradWords(v, {dy, y, args.state<int32_t>() + i * v.YPlane(), dx});
        } else if (IsTiled(v)) {
          MaxPoolGradTiledBytes(v, {dy, y, args.state<uint8_t>() + i * v.YPlane(), dx});
        } else {
          MaxPoolGradBytes(v, {dy, y, args.state<uint8_t>() + i * v.YPlane(), dx});
        }
      }
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
