// Pooling over NHWC. Max pooling leaves the place of each maximum inside its window as state, one byte where that
// suffices.
#include <algorithm>
#include <cstring>
#include <limits>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

// x [n, h, w, c], y [n, p, q, c].
struct PoolShape {
  int64_t n, h, w, c;
  int64_t p, q;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  bool count_include_pad;

  int64_t XPlane() const { return h * w * c; }
  int64_t YPlane() const { return p * q * c; }
  bool Overlaps() const { return stride_h < kernel_h || stride_w < kernel_w; }
};

// The part of a window that lies in the image, along one axis: kernel elements [begin, end), the first at position
// origin + begin.
struct Window {
  int64_t origin, begin, end;
};

EDDL_INLINE Window WindowAt(int64_t index, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  const int64_t origin = index * stride - pad;
  const int64_t begin = origin < 0 ? -origin : 0;
  const int64_t end = origin + kernel > size ? size - origin : kernel;
  return {origin, begin, end};
}

// Output size along one axis, as eddl_ops.h says; below 1 if the window does not fit.
int64_t OutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pad_begin, int64_t pad_end, bool ceil_mode) {
  const int64_t span = size + pad_begin + pad_end - kernel;
  if (span < 0) return 0;
  int64_t count = (ceil_mode ? (span + stride - 1) / stride : span / stride) + 1;
  if (ceil_mode && (count - 1) * stride >= size + pad_begin) --count;
  return count;
}

Status ReadPoolShape(const OpDesc& desc, const eddl_tensor_desc& x, const eddl_tensor_desc& y, eddl_pool2d_attrs* attrs,
                     PoolShape* shape) {
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, attrs));
  const eddl_pool2d_attrs& a = *attrs;
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 4));
  EDDL_CPU_REQUIRE(a.kernel_h >= 1 && a.kernel_w >= 1 && a.stride_h >= 1 && a.stride_w >= 1,
                   "%s: kernel %u x %u and strides %u x %u must be 1 or more", desc.name, a.kernel_h, a.kernel_w,
                   a.stride_h, a.stride_w);
  EDDL_CPU_REQUIRE(
      a.pad_top < a.kernel_h && a.pad_bottom < a.kernel_h && a.pad_left < a.kernel_w && a.pad_right < a.kernel_w,
      "%s: pads %u %u %u %u must be smaller than the %u x %u kernel", desc.name, a.pad_top, a.pad_left, a.pad_bottom,
      a.pad_right, a.kernel_h, a.kernel_w);
  *shape = {.n = x.shape[0],
            .h = x.shape[1],
            .w = x.shape[2],
            .c = x.shape[3],
            .p = OutputSize(x.shape[1], a.kernel_h, a.stride_h, a.pad_top, a.pad_bottom, a.ceil_mode != 0),
            .q = OutputSize(x.shape[2], a.kernel_w, a.stride_w, a.pad_left, a.pad_right, a.ceil_mode != 0),
            .kernel_h = a.kernel_h,
            .kernel_w = a.kernel_w,
            .stride_h = a.stride_h,
            .stride_w = a.stride_w,
            .pad_top = a.pad_top,
            .pad_left = a.pad_left,
            .pad_bottom = a.pad_bottom,
            .pad_right = a.pad_right,
            .count_include_pad = a.count_include_pad != 0};
  EDDL_CPU_REQUIRE(shape->p >= 1 && shape->q >= 1, "%s: the %u x %u kernel is larger than the padded %s", desc.name,
                   a.kernel_h, a.kernel_w, ToString(x).c_str());
  return Expect(desc, "y", y, EDDL_F32, {shape->n, shape->p, shape->q, shape->c});
}

// One image: y and the index of the maximum in its window (row-major). NaN wins, the first of them.
template <typename Index>
EDDL_INLINE void MaxPoolImage(const PoolShape& v, const float* __restrict x, float* __restrict y,
                              Index* __restrict index) {
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = WindowAt(p, v.stride_h, v.pad_top, v.kernel_h, v.h);
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = WindowAt(q, v.stride_w, v.pad_left, v.kernel_w, v.w);
      float* best = y + (p * v.q + q) * v.c;
      Index* place = index + (p * v.q + q) * v.c;
      bool first = true;
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        for (int64_t s = columns.begin; s < columns.end; ++s) {
          const float* from = x + ((rows.origin + r) * v.w + columns.origin + s) * v.c;
          const Index here = static_cast<Index>(r * v.kernel_w + s);
          if (first) {
            for (int64_t c = 0; c < v.c; ++c) best[c] = from[c];
            for (int64_t c = 0; c < v.c; ++c) place[c] = here;
            first = false;
            continue;
          }
          for (int64_t c = 0; c < v.c; ++c) {
            const bool wins = (from[c] > best[c]) | ((from[c] != from[c]) & (best[c] == best[c]));
            best[c] = wins ? from[c] : best[c];
            place[c] = wins ? here : place[c];
          }
        }
      }
    }
  }
}

// One image. y is nullptr without relu.
template <typename Index>
EDDL_INLINE void MaxPoolGradImage(const PoolShape& v, const float* __restrict dy, const float* __restrict y,
                                  const Index* __restrict index, float* __restrict dx) {
  for (int64_t i = 0; i < v.XPlane(); ++i) dx[i] = 0;
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = WindowAt(p, v.stride_h, v.pad_top, v.kernel_h, v.h);
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = WindowAt(q, v.stride_w, v.pad_left, v.kernel_w, v.w);
      const int64_t at = (p * v.q + q) * v.c;
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        for (int64_t s = columns.begin; s < columns.end; ++s) {
          float* to = dx + ((rows.origin + r) * v.w + columns.origin + s) * v.c;
          const Index here = static_cast<Index>(r * v.kernel_w + s);
          if (y == nullptr) {
            for (int64_t c = 0; c < v.c; ++c) to[c] += index[at + c] == here ? dy[at + c] : 0.0f;
          } else {
            for (int64_t c = 0; c < v.c; ++c) {
              to[c] += (index[at + c] == here) & (y[at + c] > 0.0f) ? dy[at + c] : 0.0f;
            }
          }
        }
      }
    }
  }
}

EDDL_MULTIVERSION void MaxPoolBytes(const PoolShape& v, const float* x, float* y, uint8_t* index) {
  MaxPoolImage(v, x, y, index);
}
EDDL_MULTIVERSION void MaxPoolWords(const PoolShape& v, const float* x, float* y, int32_t* index) {
  MaxPoolImage(v, x, y, index);
}
EDDL_MULTIVERSION void MaxPoolGradBytes(const PoolShape& v, const float* dy, const float* y, const uint8_t* index,
                                        float* dx) {
  MaxPoolGradImage(v, dy, y, index, dx);
}
EDDL_MULTIVERSION void MaxPoolGradWords(const PoolShape& v, const float* dy, const float* y, const int32_t* index,
                                        float* dx) {
  MaxPoolGradImage(v, dy, y, index, dx);
}

bool FitsByte(const PoolShape& v) { return v.kernel_h * v.kernel_w <= std::numeric_limits<uint8_t>::max(); }

uint64_t StateBytes(const PoolShape& v) {
  const uint64_t count = static_cast<uint64_t>(v.n * v.YPlane());
  return AlignUp(count * (FitsByte(v) ? sizeof(uint8_t) : sizeof(int32_t)));
}

// What a window's sum is divided by. A window in ceil_mode may reach beyond the padding: that part never counts.
EDDL_INLINE float Divisor(const PoolShape& v, const Window& rows, const Window& columns) {
  if (!v.count_include_pad) return static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
  const int64_t bottom = std::min(rows.origin + v.kernel_h, v.h + v.pad_bottom);
  const int64_t right = std::min(columns.origin + v.kernel_w, v.w + v.pad_right);
  return static_cast<float>((bottom - rows.origin) * (right - columns.origin));
}

EDDL_MULTIVERSION void AvgPoolImage(const PoolShape& v, const float* __restrict x, float* __restrict y) {
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = WindowAt(p, v.stride_h, v.pad_top, v.kernel_h, v.h);
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = WindowAt(q, v.stride_w, v.pad_left, v.kernel_w, v.w);
      float* sum = y + (p * v.q + q) * v.c;
      for (int64_t c = 0; c < v.c; ++c) sum[c] = 0;
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        for (int64_t s = columns.begin; s < columns.end; ++s) {
          const float* from = x + ((rows.origin + r) * v.w + columns.origin + s) * v.c;
          for (int64_t c = 0; c < v.c; ++c) sum[c] += from[c];
        }
      }
      const float factor = 1.0f / Divisor(v, rows, columns);
      for (int64_t c = 0; c < v.c; ++c) sum[c] *= factor;
    }
  }
}

EDDL_MULTIVERSION void AvgPoolGradImage(const PoolShape& v, const float* __restrict dy, float* __restrict dx) {
  for (int64_t i = 0; i < v.XPlane(); ++i) dx[i] = 0;
  for (int64_t p = 0; p < v.p; ++p) {
    const Window rows = WindowAt(p, v.stride_h, v.pad_top, v.kernel_h, v.h);
    for (int64_t q = 0; q < v.q; ++q) {
      const Window columns = WindowAt(q, v.stride_w, v.pad_left, v.kernel_w, v.w);
      const float* from = dy + (p * v.q + q) * v.c;
      const float factor = 1.0f / Divisor(v, rows, columns);
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        for (int64_t s = columns.begin; s < columns.end; ++s) {
          float* to = dx + ((rows.origin + r) * v.w + columns.origin + s) * v.c;
          for (int64_t c = 0; c < v.c; ++c) to[c] += from[c] * factor;
        }
      }
    }
  }
}

// y [c] = mean of one image's [size, c], in blocks so that float sums stay short.
EDDL_MULTIVERSION void GlobalAvgImage(const float* __restrict x, float* __restrict y, int64_t size, int64_t channels) {
  constexpr int64_t kLanes = 16;
  for (int64_t first = 0; first < channels; first += kLanes) {
    const int64_t lanes = channels - first < kLanes ? channels - first : kLanes;
    double sum[kLanes] = {};
    for (int64_t i = 0; i < size; ++i) {
      for (int64_t c = 0; c < lanes; ++c) sum[c] += static_cast<double>(x[i * channels + first + c]);
    }
    for (int64_t c = 0; c < lanes; ++c) y[first + c] = static_cast<float>(sum[c] / static_cast<double>(size));
  }
}

EDDL_MULTIVERSION void GlobalAvgGradImage(const float* __restrict dy, float* __restrict dx, int64_t size,
                                          int64_t channels) {
  const float factor = 1.0f / static_cast<float>(size);
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t c = 0; c < channels; ++c) dx[i * channels + c] = dy[c] * factor;
  }
}

// Images that one thread should have at least.
int64_t ImageGrain(int64_t plane) { return kGrain / plane + 1; }

}  // namespace

Status PrepareMaxPool2d(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_pool2d_attrs attrs;
  PoolShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadPoolShape(desc, desc.in[0], desc.out[0], &attrs, &v));
  op->state_bytes = StateBytes(v);
  op->run = [v, bytes = FitsByte(v), threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.n, ImageGrain(v.XPlane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* x = args.in(0) + i * v.XPlane();
        float* y = args.out(0) + i * v.YPlane();
        if (bytes) {
          MaxPoolBytes(v, x, y, args.state<uint8_t>() + i * v.YPlane());
        } else {
          MaxPoolWords(v, x, y, args.state<int32_t>() + i * v.YPlane());
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
  op->run = [v, bytes = FitsByte(v), threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.n, ImageGrain(v.XPlane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* dy = args.in(0) + i * v.YPlane();
        const float* y = args.in(1) == nullptr ? nullptr : args.in(1) + i * v.YPlane();
        float* dx = args.out(0) + i * v.XPlane();
        if (bytes) {
          MaxPoolGradBytes(v, dy, y, args.state<uint8_t>() + i * v.YPlane(), dx);
        } else {
          MaxPoolGradWords(v, dy, y, args.state<int32_t>() + i * v.YPlane(), dx);
        }
      }
    });
    return {};
  };
  return {};
}

Status PrepareAvgPool2d(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_pool2d_attrs attrs;
  PoolShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadPoolShape(desc, desc.in[0], desc.out[0], &attrs, &v));
  op->run = [v, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.n, ImageGrain(v.XPlane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) AvgPoolImage(v, args.in(0) + i * v.XPlane(), args.out(0) + i * v.YPlane());
    });
    return {};
  };
  return {};
}

Status PrepareAvgPool2dGrad(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_pool2d_attrs attrs;
  PoolShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadPoolShape(desc, desc.out[0], desc.in[0], &attrs, &v));
  op->run = [v, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.n, ImageGrain(v.XPlane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        AvgPoolGradImage(v, args.in(0) + i * v.YPlane(), args.out(0) + i * v.XPlane());
    });
    return {};
  };
  return {};
}

Status PrepareGlobalAvgPool(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const eddl_tensor_desc& x = desc.in[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 4));
  const int64_t n = x.shape[0];
  const int64_t size = x.shape[1] * x.shape[2];
  const int64_t channels = x.shape[3];
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "y", desc.out[0], EDDL_F32, {n, channels}));
  op->run = [=, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, n, ImageGrain(size * channels), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        GlobalAvgImage(args.in(0) + i * size * channels, args.out(0) + i * channels, size, channels);
      }
    });
    return {};
  };
  return {};
}

Status PrepareGlobalAvgPoolGrad(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const eddl_tensor_desc& x = desc.out[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "dx", x, 4));
  const int64_t n = x.shape[0];
  const int64_t size = x.shape[1] * x.shape[2];
  const int64_t channels = x.shape[3];
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "dy", desc.in[0], EDDL_F32, {n, channels}));
  op->run = [=, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, n, ImageGrain(size * channels), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        GlobalAvgGradImage(args.in(0) + i * channels, args.out(0) + i * size * channels, size, channels);
      }
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
