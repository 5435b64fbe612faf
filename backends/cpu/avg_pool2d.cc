// Average pooling over NHWC, windowed and global.
#include <algorithm>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/pool2d_shape.h"

namespace eddl::cpu {
namespace {

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

}  // namespace

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
