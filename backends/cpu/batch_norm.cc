// Batch normalisation over the last dimension, in two passes over x: sums, then the normalised values with the
// epilogue.
//
// C is small (16 to 64) and n large, so a row alone is too short for a vector loop: as many rows as fit are taken as
// one, with the parameters of a channel repeated ("tiled"). Sums run in float over short blocks and in double over the
// blocks; they are taken around a point near the mean, so that the variance keeps its digits. Chunks are cut by shape
// alone: the thread count changes no bit.
#include <cmath>

#include "backends/cpu/elementwise.h"
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

constexpr int64_t kLanesMax = 128;         // floats of one tiled row
constexpr int64_t kBlockRows = 32;         // tiled rows summed in float
constexpr int64_t kChunkElements = 65536;  // elements whose sums are one partial result

struct NormShape {
  int64_t rows, channels, batch;

  int64_t ChunkRows() const { return kChunkElements / channels + 1; }
  int64_t ChunkCount() const { return (rows + ChunkRows() - 1) / ChunkRows(); }
};

// Rows that are taken as one.
EDDL_INLINE int64_t RowsPerTile(int64_t channels) { return channels < kLanesMax ? kLanesMax / channels : 1; }

EDDL_INLINE void Tile(const float* values, int64_t count, int64_t repeats, float* tiled) {
  for (int64_t i = 0; i < repeats; ++i) {
    for (int64_t c = 0; c < count; ++c) tiled[i * count + c] = values[c];
  }
}

EDDL_INLINE void Fold(const float* lanes, int64_t count, int64_t repeats, double* sum) {
  for (int64_t i = 0; i < repeats; ++i) {
    for (int64_t c = 0; c < count; ++c) sum[c] += static_cast<double>(lanes[i * count + c]);
  }
}

// sum [C] and square [C] of (x - shift) over the rows. Both are set.
EDDL_MULTIVERSION void SumRows(const float* x, const float* shift, int64_t rows, int64_t channels, double* sum,
                               double* square) {
  const int64_t repeats = RowsPerTile(channels);
  for (int64_t c = 0; c < channels; ++c) sum[c] = square[c] = 0;
  for (int64_t first = 0; first < channels; first += kLanesMax) {
    const int64_t count = channels - first < kLanesMax ? channels - first : kLanesMax;
    float center[kLanesMax];
    Tile(shift + first, count, repeats, center);
    for (int64_t block = 0; block < rows; block += repeats * kBlockRows) {
      float s[kLanesMax] = {};
      float q[kLanesMax] = {};
      const int64_t block_end = rows < block + repeats * kBlockRows ? rows : block + repeats * kBlockRows;
      for (int64_t row = block; row < block_end; row += repeats) {
        const int64_t width = (block_end - row < repeats ? block_end - row : repeats) * count;
        const float* from = x + row * channels + first;
        EDDL_ELEMENTWISE
        for (int64_t j = 0; j < width; ++j) {
          const float d = from[j] - center[j];
          s[j] += d;
          q[j] += d * d;
        }
      }
      Fold(s, count, repeats, sum + first);
      Fold(q, count, repeats, square + first);
    }
  }
}

// sum [C] of g and product [C] of g (x - mean) over the rows, where g = dy, or 0 where mask is given and not above 0.
EDDL_MULTIVERSION void SumGradRows(const float* dy, const float* x, const float* mask, const float* mean, int64_t rows,
                                   int64_t channels, double* sum, double* product) {
  const int64_t repeats = RowsPerTile(channels);
  for (int64_t c = 0; c < channels; ++c) sum[c] = product[c] = 0;
  for (int64_t first = 0; first < channels; first += kLanesMax) {
    const int64_t count = channels - first < kLanesMax ? channels - first : kLanesMax;
    float center[kLanesMax];
    Tile(mean + first, count, repeats, center);
    for (int64_t block = 0; block < rows; block += repeats * kBlockRows) {
      float s[kLanesMax] = {};
      float q[kLanesMax] = {};
      const int64_t block_end = rows < block + repeats * kBlockRows ? rows : block + repeats * kBlockRows;
      for (int64_t row = block; row < block_end; row += repeats) {
        const int64_t width = (block_end - row < repeats ? block_end - row : repeats) * count;
        const int64_t at = row * channels + first;
        if (mask == nullptr) {
          EDDL_ELEMENTWISE
          for (int64_t j = 0; j < width; ++j) {
            s[j] += dy[at + j];
            q[j] += dy[at + j] * (x[at + j] - center[j]);
          }
        } else {
          EDDL_ELEMENTWISE
          for (int64_t j = 0; j < width; ++j) {
            const float g = mask[at + j] > 0.0f ? dy[at + j] : 0.0f;
            s[j] += g;
            q[j] += g * (x[at + j] - center[j]);
          }
        }
      }
      Fold(s, count, repeats, sum + first);
      Fold(q, count, repeats, product + first);
    }
  }
}

// y = (x - mean) scale + beta, then the epilogue; rows [begin, end).
EDDL_MULTIVERSION void NormalizeRows(const float* x, const float* mean, const float* scale, const float* beta, float* y,
                                     int64_t begin, int64_t end, int64_t channels, Epilogue epilogue) {
  const int64_t repeats = RowsPerTile(channels);
  for (int64_t first = 0; first < channels; first += kLanesMax) {
    const int64_t count = channels - first < kLanesMax ? channels - first : kLanesMax;
    float m[kLanesMax], a[kLanesMax], b[kLanesMax];
    Tile(mean + first, count, repeats, m);
    Tile(scale + first, count, repeats, a);
    Tile(beta + first, count, repeats, b);
    for (int64_t row = begin; row < end; row += repeats) {
      const int64_t width = (end - row < repeats ? end - row : repeats) * count;
      const float* from = x + row * channels + first;
      float* to = y + row * channels + first;
      if (epilogue.kind == EDDL_EPILOGUE_RELU) {
        EDDL_ELEMENTWISE
        for (int64_t j = 0; j < width; ++j) to[j] = ReluKeepingNan((from[j] - m[j]) * a[j] + b[j]);
      } else if (epilogue.kind == EDDL_EPILOGUE_CLAMP) {
        EDDL_ELEMENTWISE
        for (int64_t j = 0; j < width; ++j) {
          to[j] = ClampKeepingNan((from[j] - m[j]) * a[j] + b[j], epilogue.min, epilogue.max);
        }
      } else {
        EDDL_ELEMENTWISE
        for (int64_t j = 0; j < width; ++j) to[j] = (from[j] - m[j]) * a[j] + b[j];
      }
    }
  }
}

// dx = scale g - offset - slope (x - mean), with g as in SumGradRows; rows [begin, end).
struct GradParameters {
  const float *mean, *scale, *offset, *slope;
};
EDDL_MULTIVERSION void GradRows(const float* dy, const float* x, const float* mask, GradParameters p, float* dx,
                                int64_t begin, int64_t end, int64_t channels) {
  const int64_t repeats = RowsPerTile(channels);
  for (int64_t first = 0; first < channels; first += kLanesMax) {
    const int64_t count = channels - first < kLanesMax ? channels - first : kLanesMax;
    float m[kLanesMax], a[kLanesMax], b[kLanesMax], k[kLanesMax];
    Tile(p.mean + first, count, repeats, m);
    Tile(p.scale + first, count, repeats, a);
    Tile(p.offset + first, count, repeats, b);
    Tile(p.slope + first, count, repeats, k);
    for (int64_t row = begin; row < end; row += repeats) {
      const int64_t width = (end - row < repeats ? end - row : repeats) * count;
      const int64_t at = row * channels + first;
      if (mask == nullptr) {
        EDDL_ELEMENTWISE
        for (int64_t j = 0; j < width; ++j) dx[at + j] = dy[at + j] * a[j] - b[j] - (x[at + j] - m[j]) * k[j];
      } else {
        EDDL_ELEMENTWISE
        for (int64_t j = 0; j < width; ++j) {
          const float g = mask[at + j] > 0.0f ? dy[at + j] : 0.0f;
          dx[at + j] = g * a[j] - b[j] - (x[at + j] - m[j]) * k[j];
        }
      }
    }
  }
}

// Adds up the chunks' partial sums [chunks][2][C] into the first one.
void FoldChunks(const NormShape& v, double* partial) {
  for (int64_t chunk = 1; chunk < v.ChunkCount(); ++chunk) {
    for (int64_t i = 0; i < 2 * v.channels; ++i) partial[i] += partial[chunk * 2 * v.channels + i];
  }
}

// Calls body(begin row, end row, partial sums) for every chunk and adds the sums up.
template <typename Body>
void SumChunks(const NormShape& v, int threads, double* partial, const Body& body) {
  ParallelFor(threads, v.ChunkCount(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * v.ChunkRows();
      const int64_t last = first + v.ChunkRows() < v.rows ? first + v.ChunkRows() : v.rows;
      body(first, last, partial + chunk * 2 * v.channels);
    }
  });
  FoldChunks(v, partial);
}

NormShape NormShapeOf(const eddl_tensor_desc& x) {
  const int64_t channels = x.shape[x.rank - 1];
  return {.rows = ElementCount(x) / channels, .channels = channels, .batch = x.shape[0]};
}

Status ExpectChannels(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, const NormShape& v) {
  return Expect(desc, role, tensor, EDDL_F32, {v.channels});
}

uint64_t FloatBytes(int64_t count) { return AlignUp(static_cast<uint64_t>(count) * sizeof(float)); }
uint64_t PartialBytes(const NormShape& v) {
  return AlignUp(static_cast<uint64_t>(v.ChunkCount() * 2 * v.channels) * sizeof(double));
}

// target may be absent.
void StoreOrAdd(bool adds, float value, float* target, int64_t index) {
  if (target != nullptr) target[index] = adds ? target[index] + value : value;
}

}  // namespace

Status PrepareBatchNorm(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_batch_norm_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const NormShape v = NormShapeOf(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "gamma", desc.in[1], v));
  EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "beta", desc.in[2], v));
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], desc.in[0]));
  if (IsPresent(desc.out[1])) EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "mean_sum", desc.out[1], v));
  if (IsPresent(desc.out[2])) EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "var_sum", desc.out[2], v));
  op->state_bytes = 2 * FloatBytes(v.channels);  // mean, 1 / sqrt(var + epsilon)
  op->workspace_bytes = PartialBytes(v) + FloatBytes(v.channels);
  op->run = [v, epsilon = attrs.epsilon, epilogue = EpilogueOf(desc), adds_mean = desc.accumulates(1),
             adds_var = desc.accumulates(2), threads = context.thread_count](const Args& args) -> Status {
    const float* x = args.in(0);
    double* partial = args.workspace<double>();
    float* scale = args.workspace<float>(PartialBytes(v));
    float* mean = args.state<float>();
    float* inverse = args.state<float>(FloatBytes(v.channels));
    SumChunks(v, threads, partial, [&](int64_t begin, int64_t end, double* sums) {
      SumRows(x + begin * v.channels, x, end - begin, v.channels, sums, sums + v.channels);
    });
    const double n = static_cast<double>(v.rows);
    const double samples = static_cast<double>(v.batch);
    for (int64_t c = 0; c < v.channels; ++c) {
      const double offset = partial[c] / n;
      const double raw = partial[v.channels + c] / n - offset * offset;
      const double var = raw < 0 ? 0 : raw;  // written so that NaN stays
      const double center = static_cast<double>(x[c]) + offset;
      mean[c] = static_cast<float>(center);
      inverse[c] = static_cast<float>(1.0 / std::sqrt(var + static_cast<double>(epsilon)));
      scale[c] = args.in(1)[c] * inverse[c];
      const double unbiased = v.rows > 1 ? var * n / (n - 1) : var;
      StoreOrAdd(adds_mean, static_cast<float>(samples * center), args.out(1), c);
      StoreOrAdd(adds_var, static_cast<float>(samples * unbiased), args.out(2), c);
    }
    ParallelFor(threads, v.rows, kGrain / v.channels + 1, [&](int64_t begin, int64_t end) {
      NormalizeRows(x, mean, scale, args.in(2), args.out(0), begin, end, v.channels, epilogue);
    });
    return {};
  };
  return {};
}

Status PrepareBatchNormGrad(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_batch_norm_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const NormShape v = NormShapeOf(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "x", desc.in[1], desc.in[0]));
  EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "gamma", desc.in[2], v));
  if (IsPresent(desc.in[3])) EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.in[3], desc.in[0]));
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "dx", desc.out[0], desc.in[0]));
  EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "dgamma", desc.out[1], v));
  EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, "dbeta", desc.out[2], v));
  op->state_read_bytes = 2 * FloatBytes(v.channels);
  op->workspace_bytes = PartialBytes(v) + 3 * FloatBytes(v.channels);
  op->run = [v, adds_gamma = desc.accumulates(1), adds_beta = desc.accumulates(2),
             threads = context.thread_count](const Args& args) -> Status {
    const float* dy = args.in(0);
    const float* x = args.in(1);
    const float* mask = args.in(3);
    const float* mean = args.state<float>();
    const float* inverse = args.state<float>(FloatBytes(v.channels));
    double* partial = args.workspace<double>();
    float* scale = args.workspace<float>(PartialBytes(v));
    float* offset = args.workspace<float>(PartialBytes(v) + FloatBytes(v.channels));
    float* slope = args.workspace<float>(PartialBytes(v) + 2 * FloatBytes(v.channels));
    SumChunks(v, threads, partial, [&](int64_t begin, int64_t end, double* sums) {
      const int64_t at = begin * v.channels;
      SumGradRows(dy + at, x + at, mask == nullptr ? nullptr : mask + at, mean, end - begin, v.channels, sums,
                  sums + v.channels);
    });
    const double n = static_cast<double>(v.rows);
    for (int64_t c = 0; c < v.channels; ++c) {
      const double dbeta = partial[c];
      const double inv = static_cast<double>(inverse[c]);
      const double dgamma = partial[v.channels + c] * inv;
      const double a = static_cast<double>(args.in(2)[c]) * inv;
      scale[c] = static_cast<float>(a);
      offset[c] = static_cast<float>(a * dbeta / n);
      slope[c] = static_cast<float>(a * dgamma * inv / n);
      StoreOrAdd(adds_gamma, static_cast<float>(dgamma), args.out(1), c);
      StoreOrAdd(adds_beta, static_cast<float>(dbeta), args.out(2), c);
    }
    ParallelFor(threads, v.rows, kGrain / v.channels + 1, [&](int64_t begin, int64_t end) {
      GradRows(dy, x, mask, {.mean = mean, .scale = scale, .offset = offset, .slope = slope}, args.out(0), begin, end,
               v.channels);
    });
    return {};
  };
  return {};
}

Status PrepareBatchNormInference(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_batch_norm_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const NormShape v = NormShapeOf(desc.in[0]);
  const char* roles[] = {"x", "gamma", "beta", "mean", "var"};
  for (uint32_t i = 1; i < 5; ++i) EDDL_CPU_RETURN_IF_ERROR(ExpectChannels(desc, roles[i], desc.in[i], v));
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], desc.in[0]));
  op->workspace_bytes = FloatBytes(v.channels);
  op->run = [v, epsilon = attrs.epsilon, epilogue = EpilogueOf(desc),
             threads = context.thread_count](const Args& args) -> Status {
    float* scale = args.workspace<float>();
    for (int64_t c = 0; c < v.channels; ++c) {
      const double var = static_cast<double>(args.in(4)[c]) + static_cast<double>(epsilon);
      scale[c] = static_cast<float>(static_cast<double>(args.in(1)[c]) / std::sqrt(var));
    }
    ParallelFor(threads, v.rows, kGrain / v.channels + 1, [&](int64_t begin, int64_t end) {
      NormalizeRows(args.in(0), args.in(3), scale, args.in(2), args.out(0), begin, end, v.channels, epilogue);
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
