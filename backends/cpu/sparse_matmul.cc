// Products with an x that is mostly zeros (binary features): its exact zeros are skipped, rows of the other side are
// added.
//
// Compiled with fused multiply-add allowed (CMakeLists.txt): as in any matrix product, bits may differ between
// instruction sets.
#include <omp.h>

#include "backends/cpu/elementwise.h"
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

// A compressed vector: the places and values that are not zero.
struct Nonzeros {
  int32_t* index;
  float* value;
  int64_t count;
};

// Compresses count values that lie stride apart.
EDDL_INLINE Nonzeros Compress(const float* x, int64_t count, int64_t stride, int32_t* index, float* value) {
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    index[found] = static_cast<int32_t>(i);
    value[found] = x[i * stride];
    found += value[found] != 0.0f;  // no branch: the pattern is not predictable
  }
  return {index, value, found};
}

// y [columns] += sum of value * (row index of w), four rows a pass so that y is read and written a quarter as often.
EDDL_INLINE void AddRows(const Nonzeros& x, const float* __restrict w, int64_t columns, float* __restrict y) {
  int64_t i = 0;
  for (; i + 4 <= x.count; i += 4) {
    const float* w0 = w + x.index[i] * columns;
    const float* w1 = w + x.index[i + 1] * columns;
    const float* w2 = w + x.index[i + 2] * columns;
    const float* w3 = w + x.index[i + 3] * columns;
    const float x0 = x.value[i], x1 = x.value[i + 1], x2 = x.value[i + 2], x3 = x.value[i + 3];
    for (int64_t j = 0; j < columns; ++j) y[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j]);
  }
  for (; i < x.count; ++i) {
    const float* w0 = w + x.index[i] * columns;
    const float x0 = x.value[i];
    for (int64_t j = 0; j < columns; ++j) y[j] += x0 * w0[j];
  }
}

// Rows [begin, end) of y [N, M] = x [N, F] w + bias.
EDDL_MULTIVERSION void ForwardRows(const float* x, const float* w, const float* bias, float* y, int64_t begin,
                                   int64_t end, int64_t features, int64_t columns, int32_t* index, float* value) {
  for (int64_t row = begin; row < end; ++row) {
    float* to = y + row * columns;
    for (int64_t j = 0; j < columns; ++j) to[j] = bias == nullptr ? 0.0f : bias[j];
    AddRows(Compress(x + row * features, features, 1, index, value), w, columns, to);
  }
}

// Rows [begin, end) of dw [F, M] = x^T dy: each gathers the samples in which its feature is not zero.
EDDL_MULTIVERSION void GradWeightRows(const float* x, const float* dy, float* dw, int64_t begin, int64_t end,
                                      int64_t samples, int64_t features, int64_t columns, bool adds, int32_t* index,
                                      float* value) {
  for (int64_t feature = begin; feature < end; ++feature) {
    float* to = dw + feature * columns;
    if (!adds) {
      for (int64_t j = 0; j < columns; ++j) to[j] = 0.0f;
    }
    AddRows(Compress(x + feature, samples, features, index, value), dy, columns, to);
  }
}

// Workspace of one thread: places and values of the longest vector to compress, and one beyond, which Compress may
// write.
uint64_t ThreadBytes(int64_t count) { return 2 * AlignUp(static_cast<uint64_t>(count + 1) * sizeof(float)); }

}  // namespace

Status PrepareSparseMatmul(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const eddl_tensor_desc& x = desc.in[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 2));
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "w", desc.in[1], 2));
  const int64_t rows = x.shape[0];
  const int64_t features = x.shape[1];
  const int64_t columns = desc.in[1].shape[1];
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "w", desc.in[1], EDDL_F32, {features, columns}));
  if (IsPresent(desc.in[2])) EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "bias", desc.in[2], EDDL_F32, {columns}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "y", desc.out[0], EDDL_F32, {rows, columns}));
  const int threads = context.thread_count;
  op->workspace_bytes = ThreadBytes(features) * static_cast<uint64_t>(threads);
  op->implementation = "loop:sparse_rows";
  op->run = [=, epilogue = EpilogueOf(desc)](const Args& args) -> Status {
    ParallelFor(threads, rows, 4, [&](int64_t begin, int64_t end) {
      const uint64_t offset = ThreadBytes(features) * static_cast<uint64_t>(omp_get_thread_num());
      ForwardRows(args.in(0), args.in(1), args.in(2), args.out(0), begin, end, features, columns,
                  args.workspace<int32_t>(offset), args.workspace<float>(offset + ThreadBytes(features) / 2));
      if (epilogue.kind != EDDL_EPILOGUE_NONE) BiasEpilogue(args.out(0), nullptr, begin, end, columns, epilogue);
    });
    return {};
  };
  return {};
}

Status PrepareSparseMatmulGradWeight(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const eddl_tensor_desc& x = desc.in[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 2));
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "dy", desc.in[1], 2));
  const int64_t samples = x.shape[0];
  const int64_t features = x.shape[1];
  const int64_t columns = desc.in[1].shape[1];
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "dy", desc.in[1], EDDL_F32, {samples, columns}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "dw", desc.out[0], EDDL_F32, {features, columns}));
  const int threads = context.thread_count;
  op->workspace_bytes = ThreadBytes(samples) * static_cast<uint64_t>(threads);
  op->implementation = "loop:sparse_rows";
  op->run = [=, adds = desc.accumulates(0)](const Args& args) -> Status {
    ParallelFor(threads, features, 4, [&](int64_t begin, int64_t end) {
      const uint64_t offset = ThreadBytes(samples) * static_cast<uint64_t>(omp_get_thread_num());
      GradWeightRows(args.in(0), args.in(1), args.out(0), begin, end, samples, features, columns, adds,
                     args.workspace<int32_t>(offset), args.workspace<float>(offset + ThreadBytes(samples) / 2));
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
