// How an op of this backend looks: a description that has passed the general checks, and the prepared closure it
// becomes.
//
// One file a family (matmul.cc, conv2d.cc, ...) has the Prepare functions declared at the end; registry.cc names them
// by kind with what is common to all: counts, optional tensors, which outputs accumulate, whether an epilogue is
// allowed. A Prepare function checks shapes and dtypes, then returns a closure; the closure allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <string>

#include "backends/cpu/status.h"
#include "backends/sdk/eddl_backend.h"
#include "backends/sdk/eddl_ops.h"

namespace eddl::cpu {

inline constexpr size_t kTensorsMax = EDDL_CONCAT_MAX;
inline constexpr uint64_t kAlignmentBytes = 64;

// A validated copy of eddl_op_desc. Tensors beyond the description's counts are absent.
struct OpDesc {
  const char* name = "";  // "conv2d", for messages
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

// What a closure gets per enqueue: the bindings as host addresses, nullptr where absent.
struct Args {
  std::array<const void*, kTensorsMax> inputs;
  std::array<void*, kTensorsMax> outputs;
  void* workspace_bytes;
  void* state_bytes;
  const eddl_scalar* scalars;

  template <typename T = float>
  const T* in(size_t index) const {
    return static_cast<const T*>(inputs[index]);
  }
  template <typename T = float>
  T* out(size_t index) const {
    return static_cast<T*>(outputs[index]);
  }
  template <typename T>
  T* workspace(uint64_t offset_bytes = 0) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(workspace_bytes) + offset_bytes);
  }
  template <typename T>
  T* state(uint64_t offset_bytes = 0) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(state_bytes) + offset_bytes);
  }
};

struct PreparedOp {
  std::function<Status(const Args&)> run;
  uint64_t workspace_bytes = 0;
  uint64_t state_bytes = 0;       // what a forward op leaves
  uint64_t state_read_bytes = 0;  // what a gradient op finds
  uint32_t scalar_count = 0;
  std::string implementation = "loop";
};

// What a Prepare function may know of its device.
struct Context {
  int thread_count = 1;
};

using PrepareFn = Status (*)(const OpDesc& desc, const Context& context, PreparedOp* op);

// Finds the kind, applies the general checks and prepares. kUnimplemented for a kind that is not in the list.
Status PrepareOp(const eddl_op_desc& desc, const Context& context, PreparedOp* op);

// ---- What Prepare functions share. ----

inline bool IsPresent(const eddl_tensor_desc& tensor) { return tensor.dtype != 0; }
int64_t ElementCount(const eddl_tensor_desc& tensor);
uint64_t ByteCount(const eddl_tensor_desc& tensor);
// 0 for a dtype that this backend does not know.
uint64_t ElementBytes(eddl_dtype dtype);
// "f32 [32, 28, 28, 1]".
std::string ToString(const eddl_tensor_desc& tensor);
inline uint64_t AlignUp(uint64_t size_bytes) {
  return (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
}

// EDDL_UNIMPLEMENTED for another dtype, EDDL_INVALID_ARGUMENT for another shape. role is the tensor's name in
// eddl_ops.h.
Status Expect(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype,
              std::initializer_list<int64_t> shape);
Status ExpectDtype(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype);
Status ExpectRank(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, uint32_t rank);
// The same shape and dtype as another tensor.
Status ExpectLike(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, const eddl_tensor_desc& model);
// small is large without the dimensions in axis_mask, or with 1 in their place; all of them: [1]. For reduce and
// broadcast.
Status ExpectReduced(const OpDesc& desc, const eddl_tensor_desc& large, const eddl_tensor_desc& small,
                     uint32_t axis_mask);

// Copies the attributes; fields that a shorter struct lacks are 0. EDDL_INVALID_ARGUMENT if there are none.
template <typename T>
Status ReadAttrs(const OpDesc& desc, T* attrs) {
  *attrs = {};
  if (desc.attrs == nullptr || desc.attrs_size < 2 * sizeof(uint32_t)) {
    return Error(EDDL_INVALID_ARGUMENT, "%s needs its attributes (%zu bytes), got %llu bytes", desc.name, sizeof(T),
                 static_cast<unsigned long long>(desc.attrs_size));
  }
  std::memcpy(attrs, desc.attrs, desc.attrs_size < sizeof(T) ? desc.attrs_size : sizeof(T));
  return {};
}

// ---- The families. ----

Status PrepareMatmul(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSparseMatmul(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSparseMatmulGradWeight(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareConv2d(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareConv2dGradInput(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareConv2dGradWeight(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareMaxPool2d(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareMaxPool2dGrad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareAvgPool2d(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareAvgPool2dGrad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareGlobalAvgPool(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareGlobalAvgPoolGrad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareBatchNorm(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareBatchNormGrad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareBatchNormInference(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareLayerNorm(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareLayerNormGrad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareUnary(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareUnaryGrad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareAdd(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareMul(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareConcat(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSplit(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSlice(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PreparePad(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareTranspose(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareBroadcast(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareReduce(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareDropout(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSoftmax(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSoftmaxXent(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSigmoidBce(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareMse(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareNormalizeU8(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareAxpy(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareScale(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSumSquares(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareAbsMax(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PreparePackF16(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareUnpackF16(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareFixedAdd(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareFixedToFloat(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareSgd(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareAdam(const OpDesc& desc, const Context& context, PreparedOp* op);
Status PrepareStatisticsUpdate(const OpDesc& desc, const Context& context, PreparedOp* op);

}  // namespace eddl::cpu
