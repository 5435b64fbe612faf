// Softmax, and softmax with cross-entropy. Rows are few and short: the work is in the exponentials.
#include <cmath>
#include <cstring>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/transcendental.h"

namespace eddl::cpu {
namespace {

// The largest x, or NaN where the first x is NaN.
EDDL_INLINE float Maximum(const float* x, int64_t count) {
  constexpr int64_t kLanes = 8;
  float lane[kLanes];
  for (int64_t j = 0; j < kLanes; ++j) lane[j] = x[0];
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
  }
  for (; i < count; ++i) lane[0] = x[i] > lane[0] ? x[i] : lane[0];
  for (int64_t j = 1; j < kLanes; ++j) lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
  return lane[0];
}

// y = exp(x - max x), returns the sum of y, in double so that the loss keeps its digits. x may be y. A NaN in x makes
// the sum NaN. The lanes fix the order of the additions on every instruction set.
EDDL_MULTIVERSION double ExpRow(const float* x, float* y, int64_t count, float* max) {
  constexpr int64_t kLanes = 16;
  const float largest = Maximum(x, count);
  *max = largest;
  EDDL_ELEMENTWISE
  for (int64_t i = 0; i < count; ++i) y[i] = ExpNonPositive(x[i] - largest);
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lane[j] += static_cast<double>(y[i + j]);
  }
  double sum = 0;
  for (; i < count; ++i) sum += static_cast<double>(y[i]);
  for (int64_t j = 0; j < kLanes; ++j) sum += lane[j];
  return sum;
}

EDDL_MULTIVERSION void ScaleRow(float* y, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) y[i] *= factor;
}

int64_t FirstMaximum(const float* x, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; ++i) best = x[i] > x[best] ? i : best;
  return best;
}

struct XentSums {
  double loss = 0;
  int64_t correct = 0;
};

// Rows [begin, end). probabilities is dx or scratch of one row; step is 0 for the latter.
XentSums XentRows(const float* x, const int32_t* label, float* probabilities, int64_t step, int64_t begin, int64_t end,
                  int64_t classes, bool wants_grad) {
  XentSums sums;
  for (int64_t row = begin; row < end; ++row) {
    float* y = probabilities + row * step;
    const float* from = x + row * classes;
    const int64_t target = label[row];
    if (target < 0) {
      if (wants_grad) std::memset(y, 0, static_cast<size_t>(classes) * sizeof(float));
      continue;
    }
    float max = 0;
    const double sum = ExpRow(from, y, classes, &max);
    sums.loss += std::log(sum) - (static_cast<double>(from[target]) - static_cast<double>(max));
    if (FirstMaximum(from, classes) == target) ++sums.correct;
    if (!wants_grad) continue;
    ScaleRow(y, classes, static_cast<float>(1.0 / sum));
    y[target] -= 1.0f;
  }
  return sums;
}

}  // namespace

Status PrepareSoftmax(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const eddl_tensor_desc& x = desc.in[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 2));
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], x));
  op->run = [rows = x.shape[0], classes = x.shape[1], threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, rows, 4096 / classes + 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float max = 0;
        float* y = args.out(0) + row * classes;
        const double sum = ExpRow(args.in(0) + row * classes, y, classes, &max);
        ScaleRow(y, classes, static_cast<float>(1.0 / sum));
      }
    });
    return {};
  };
  return {};
}

// One thread: the sum's order is then fixed, and a batch of losses takes microseconds.
Status PrepareSoftmaxXent(const OpDesc& desc, const Context&, PreparedOp* op) {
  const eddl_tensor_desc& x = desc.in[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 2));
  const int64_t rows = x.shape[0];
  const int64_t classes = x.shape[1];
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "label", desc.in[1], EDDL_I32, {rows}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "loss", desc.out[0], EDDL_F32, {1}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "correct", desc.out[1], EDDL_F32, {1}));
  const bool wants_grad = IsPresent(desc.out[2]);
  if (wants_grad) EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "dx", desc.out[2], x));
  op->workspace_bytes = wants_grad ? 0 : AlignUp(static_cast<uint64_t>(classes) * sizeof(float));
  op->run = [=, adds_loss = desc.accumulates(0), adds_correct = desc.accumulates(1)](const Args& args) -> Status {
    const int32_t* label = args.in<int32_t>(1);
    for (int64_t row = 0; row < rows; ++row) {
      EDDL_CPU_REQUIRE(label[row] < classes, "softmax_xent: the label of row %lld is %d, but there are %lld classes",
                       static_cast<long long>(row), label[row], static_cast<long long>(classes));
    }
    float* probabilities = wants_grad ? args.out(2) : args.workspace<float>();
    const XentSums sums =
        XentRows(args.in(0), label, probabilities, wants_grad ? classes : 0, 0, rows, classes, wants_grad);
    float* loss = args.out(0);
    float* correct = args.out(1);
    *loss = static_cast<float>((adds_loss ? static_cast<double>(*loss) : 0.0) + sums.loss);
    *correct = (adds_correct ? *correct : 0.0f) + static_cast<float>(sums.correct);
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
