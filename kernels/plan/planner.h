// What the families' planners (kernels/*/*_plan.cc) share: a description that has passed the general checks, the plan
// in the making, and the words in which launches are written.
#pragma once

#include <array>
#include <cstring>
#include <initializer_list>
#include <string>

#include "backends/sdk/eddl_ops.h"
#include "kernels/plan/plan.h"

namespace eddl::kernels {

inline constexpr size_t kTensorsMax = EDDL_CONCAT_MAX;

// A validated copy of eddl_op_desc. Tensors beyond the description's counts are absent.
struct OpView {
  const char* name = "";     // "conv2d", for messages
  const char* backend = "";  // as in DeviceTraits
  eddl_op_kind kind = 0;
  uint32_t input_count = 0;
  uint32_t output_count = 0;
  std::array<eddl_tensor_desc, kTensorsMax> in = {};
  std::array<eddl_tensor_desc, kTensorsMax> out = {};
  const void* attrs = nullptr;
  uint64_t attrs_size = 0;
  eddl_epilogue epilogue = EDDL_EPILOGUE_NONE;
  uint32_t accumulate_mask = 0;
  float epilogue_min = 0;
  float epilogue_max = 0;

  bool accumulates(uint32_t output) const { return (accumulate_mask >> output) & 1u; }
};

// ---- Checks. ----

inline bool IsPresent(const eddl_tensor_desc& tensor) { return tensor.dtype != 0; }
int64_t ElementCount(const eddl_tensor_desc& tensor);
uint64_t ByteCount(const eddl_tensor_desc& tensor);
// 0 for a dtype that the kernels do not know.
uint32_t ElementBytes(eddl_dtype dtype);
// "f32 [32, 28, 28, 1]".
std::string ToString(const eddl_tensor_desc& tensor);

// EDDL_UNIMPLEMENTED for another dtype, EDDL_INVALID_ARGUMENT for another shape. role is the tensor's name in
// eddl_ops.h.
Status Expect(const OpView& op, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype,
              std::initializer_list<int64_t> shape);
Status ExpectDtype(const OpView& op, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype);
Status ExpectRank(const OpView& op, const char* role, const eddl_tensor_desc& tensor, uint32_t rank);
// The same shape and dtype as another tensor.
Status ExpectLike(const OpView& op, const char* role, const eddl_tensor_desc& tensor, const eddl_tensor_desc& model);
// small is large without the dimensions in axis_mask, or with 1 in their place; all of them: [1].
Status ExpectReduced(const OpView& op, const eddl_tensor_desc& large, const eddl_tensor_desc& small,
                     uint32_t axis_mask);

// Copies the attributes; fields that a shorter struct lacks are 0. EDDL_INVALID_ARGUMENT if there are none.
template <typename T>
Status ReadAttrs(const OpView& op, T* attrs) {
  *attrs = {};
  EDDL_KERNELS_REQUIRE(op.attrs != nullptr && op.attrs_size >= 2 * sizeof(uint32_t),
                       "%s needs its attributes (%zu bytes), got %llu bytes", op.name, sizeof(T),
                       static_cast<unsigned long long>(op.attrs_size));
  std::memcpy(attrs, op.attrs, op.attrs_size < sizeof(T) ? op.attrs_size : sizeof(T));
  return {};
}

// ---- Planning. ----

// Writes the arguments of one launch in the order of the kernel's.
class LaunchWriter {
 public:
  explicit LaunchWriter(Launch& launch) : launch_(launch) {}

  // The kernel takes LANES floats at a time; no argument of it.
  LaunchWriter& Lanes(int lanes);
  // IN or OUT; an absent operand is a null pointer.
  LaunchWriter& Tensor(const Operand& operand, uint32_t element_bytes = sizeof(float));
  // REQUIRES: |value| < 2^31.
  LaunchWriter& Int(int64_t value);
  // Several ints, as INTS6 has.
  LaunchWriter& Ints(std::initializer_list<int64_t> values);
  // Bits, also beyond 2^31.
  LaunchWriter& Unsigned(uint32_t value);
  // Rounded to float.
  LaunchWriter& Float(double value);
  // A number of this enqueue.
  LaunchWriter& Slot(Argument::Type type, int slot);
  // DIVISOR. REQUIRES: 1 <= divisor < 2^31.
  LaunchWriter& Divisor(int64_t divisor);
  // EPILOGUE_*, low, high.
  LaunchWriter& Epilogue(const OpView& op);

 private:
  Launch& launch_;
};

class Planner {
 public:
  Planner(const OpView& op, const DeviceTraits& traits, DevicePlan& plan) : op_(op), traits_(traits), plan_(plan) {}

  const OpView& op() const { return op_; }
  const DeviceTraits& traits() const { return traits_; }
  DevicePlan& plan() { return plan_; }
  // LANES for rows of this many floats: the device's where it divides them, else 1.
  int LanesFor(int64_t length) const { return length % traits_.lanes == 0 ? traits_.lanes : 1; }

  // Scratch for one enqueue, aligned for any element.
  Operand Workspace(uint64_t size_bytes);
  Operand WorkspaceFloats(int64_t count) { return Workspace(static_cast<uint64_t>(count) * sizeof(float)); }

  // A kernel in groups0 x groups1 groups.
  LaunchWriter Launch(const char* kernel, int64_t groups0, int64_t groups1 = 1);
  // A kernel with one work-item an element.
  LaunchWriter LaunchFlat(const char* kernel, int64_t count);
  void Multiply(const Product& product) { plan_.steps.emplace_back(product); }
  void Zero(const Operand& target, uint64_t size_bytes) { plan_.steps.emplace_back(ZeroFill{target, size_bytes}); }

 private:
  const OpView& op_;
  const DeviceTraits& traits_;
  DevicePlan& plan_;
};

// How kernels that reduce over rows divide [rows, columns] among groups: see reduce.knl, reduce_columns.
struct ColumnTiling {
  int tile_bits;  // 2^tile_bits columns a group
  int64_t tiles, chunks, chunk_rows;
};
ColumnTiling TileColumns(const DeviceTraits& traits, int64_t outer, int64_t rows, int64_t columns);

enum class Reduction { kSum = 0, kMax = 1, kSumSquares = 2, kAbsMax = 3 };  // REDUCE_* of reduce.knl

// y [outer, columns] (+)= factor times x [outer, rows, columns] reduced over rows.
void PlanReduceColumns(Planner& planner, const Operand& x, const Operand& y, int64_t outer, int64_t rows,
                       int64_t columns, Reduction kind, double factor, bool accumulate);
// y [rows] (+)= factor times x [rows, length] reduced over each row.
void PlanReduceRows(Planner& planner, const Operand& x, const Operand& y, int64_t rows, int64_t length, Reduction kind,
                    double factor, bool accumulate);

// ---- The families: each checks shapes, then plans. ----

using PlanFn = Status (*)(Planner& planner);
Status PlanMatmul(Planner& planner);
Status PlanSparseMatmul(Planner& planner);
Status PlanSparseMatmulGradWeight(Planner& planner);
Status PlanConv2d(Planner& planner);
Status PlanConv2dGradInput(Planner& planner);
Status PlanConv2dGradWeight(Planner& planner);
Status PlanMaxPool2d(Planner& planner);
Status PlanMaxPool2dGrad(Planner& planner);
Status PlanAvgPool2d(Planner& planner);
Status PlanAvgPool2dGrad(Planner& planner);
Status PlanGlobalAvgPool(Planner& planner);
Status PlanGlobalAvgPoolGrad(Planner& planner);
Status PlanBatchNorm(Planner& planner);
Status PlanBatchNormGrad(Planner& planner);
Status PlanBatchNormInference(Planner& planner);
Status PlanLayerNorm(Planner& planner);
Status PlanLayerNormGrad(Planner& planner);
Status PlanElementwise(Planner& planner);
Status PlanConcat(Planner& planner);
Status PlanSplit(Planner& planner);
Status PlanSlice(Planner& planner);
Status PlanPad(Planner& planner);
Status PlanTranspose(Planner& planner);
Status PlanBroadcast(Planner& planner);
Status PlanReduce(Planner& planner);
Status PlanDropout(Planner& planner);
Status PlanSoftmax(Planner& planner);
Status PlanSoftmaxXent(Planner& planner);
Status PlanLoss(Planner& planner);
Status PlanNormalizeU8(Planner& planner);
Status PlanFlat(Planner& planner);
Status PlanSgd(Planner& planner);
Status PlanAdam(Planner& planner);
Status PlanStatisticsUpdate(Planner& planner);

}  // namespace eddl::kernels
