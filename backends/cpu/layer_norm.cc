// Layer normalisation over the last dimension: each row by itself, and sums over the rows for gamma and beta.
#include <cmath>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

constexpr int64_t kLanes = 16;       // partial sums of a row: they fix the order of additions
constexpr int64_t kChunkRows = 256;  // rows whose sums are one partial result

struct RowStatistics {
  float mean, inverse;
};

// Sum over a row of value(i), in double.
template <typename Value>
EDDL_INLINE double SumRow(int64_t count, const Value& value) {
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lane[j] += static_cast<double>(value(i + j));
  }
  for (int64_t j = 0; i + j < count; ++j) lane[j] += static_cast<double>(value(i + j));
  double sum = 0;
  for (int64_t j = 0; j < kLanes; ++j) sum += lane[j];
  return sum;
}

EDDL_INLINE RowStatistics StatisticsOf(const float* x, int64_t count, float epsilon) {
  const double n = static_cast<double>(count);
  const float mean = static_cast<float>(SumRow(count, [&](int64_t i) { return x[i]; }) / n);
  const double var = SumRow(count, [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / n;
  return {mean, static_cast<float>(1.0 / std::sqrt(var + static_cast<double>(epsilon)))};
}

EDDL_MULTIVERSION void NormalizeRows(const float* x, const float* gamma, const float* beta, float* y, int64_t begin,
                                     int64_t end, int64_t channels, float epsilon) {
  for (int64_t row = begin; row < end; ++row) {
    const float* from = x + row * channels;
    float* to = y + row * channels;
    const RowStatistics s = StatisticsOf(from, channels, epsilon);
    EDDL_ELEMENTWISE
    for (int64_t i = 0; i < channels; ++i) to[i] = (from[i] - s.mean) * s.inverse * gamma[i] + beta[i];
  }
}

// dx of rows [begin, end), which may be in place of dy; sums [2][channels] of dy z and of dy are set.
EDDL_MULTIVERSION void GradRows(const float* dy, const float* x, const float* gamma, float* dx, double* sums,
                                int64_t begin, int64_t end, int64_t channels, float epsilon) {
  for (int64_t i = 0; i < 2 * channels; ++i) sums[i] = 0;
  const double n = static_cast<double>(channels);
  for (int64_t row = begin; row < end; ++row) {
    const float* from = x + row * channels;
    const float* grad = dy + row * channels;
    float* to = dx + row * channels;
    const RowStatistics s = StatisticsOf(from, channels, epsilon);
    const auto z = [&](int64_t i) { return (from[i] - s.mean) * s.inverse; };
    for (int64_t i = 0; i < channels; ++i) {
      sums[i] += static_cast<double>(grad[i] * z(i));
      sums[channels + i] += static_cast<double>(grad[i]);
    }
    const float mean_g = static_cast<float>(SumRow(channels, [&](int64_t i) { return grad[i] * gamma[i]; }) / n);
    const float mean_gz =
        static_cast<float>(SumRow(channels, [&](int64_t i) { return grad[i] * gamma[i] * z(i); }) / n);
    EDDL_ELEMENTWISE
    for (int64_t i = 0; i < channels; ++i) to[i] = (grad[i] * gamma[i] - mean_g - z(i) * mean_gz) * s.inverse;
  }
}

struct NormShape {
  int64_t rows, channels;
  float epsilon;
};

Status ReadShape(const OpDesc& desc, NormShape* shape) {
  eddl_layer_norm_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const eddl_tensor_desc& x = desc.in[0];
  const int64_t channels = x.shape[x.rank - 1];
  *shape = {.rows = ElementCount(x) / channels, .channels = channels, .epsilon = attrs.epsilon};
  return ExpectLike(desc, "the output", desc.out[0], x);
}

}  // namespace

Status PrepareLayerNorm(const OpDesc& desc, const Context& context, PreparedOp* op) {
  NormShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadShape(desc, &v));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "gamma", desc.in[1], EDDL_F32, {v.channels}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "beta", desc.in[2], EDDL_F32, {v.channels}));
  op->run = [v, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, v.rows, kGrain / v.channels + 1, [&](int64_t begin, int64_t end) {
      NormalizeRows(args.in(0), args.in(1), args.in(2), args.out(0), begin, end, v.channels, v.epsilon);
    });
    return {};
  };
  return {};
}

Status PrepareLayerNormGrad(const OpDesc& desc, const Context& context, PreparedOp* op) {
  NormShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadShape(desc, &v));
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "x", desc.in[1], desc.in[0]));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "gamma", desc.in[2], EDDL_F32, {v.channels}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "dgamma", desc.out[1], EDDL_F32, {v.channels}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "dbeta", desc.out[2], EDDL_F32, {v.channels}));
  const int64_t chunks = (v.rows + kChunkRows - 1) / kChunkRows;
  op->workspace_bytes = AlignUp(static_cast<uint64_t>(chunks * 2 * v.channels) * sizeof(double));
  op->run = [v, chunks, adds_gamma = desc.accumulates(1), adds_beta = desc.accumulates(2),
             threads = context.thread_count](const Args& args) -> Status {
    double* partial = args.workspace<double>();
    ParallelFor(threads, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const int64_t last = (chunk + 1) * kChunkRows < v.rows ? (chunk + 1) * kChunkRows : v.rows;
        GradRows(args.in(0), args.in(1), args.in(2), args.out(0), partial + chunk * 2 * v.channels, chunk * kChunkRows,
                 last, v.channels, v.epsilon);
      }
    });
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      for (int64_t i = 0; i < 2 * v.channels; ++i) partial[i] += partial[chunk * 2 * v.channels + i];
    }
    for (int64_t c = 0; c < v.channels; ++c) {
      const auto dgamma = static_cast<float>(partial[c]);
      const auto dbeta = static_cast<float>(partial[v.channels + c]);
      args.out(1)[c] = adds_gamma ? args.out(1)[c] + dgamma : dgamma;
      args.out(2)[c] = adds_beta ? args.out(2)[c] + dbeta : dbeta;
    }
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
