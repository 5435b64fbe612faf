// Shape inference: what an op produces, from its kind, inputs and attributes. Pure; eddl_ops.h is the contract.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/graph/op.h"

namespace eddl {

// Descriptions of all outputs that the kind can produce, optional ones included.
// kInvalidArgument says which input is wrong and why; kUnimplemented for an unknown kind.
absl::StatusOr<std::vector<TensorDesc>> InferOutputs(eddl_op_kind kind, std::span<const TensorDesc> inputs,
                                                     const OpAttrs& attrs);

// Output size of a window along one dimension: convolution, or pooling with ceil_mode.
int64_t WindowOutputSize(int64_t input, int64_t kernel, int64_t stride, int64_t pad_before, int64_t pad_after,
                         int64_t dilation, bool ceil_mode);

}  // namespace eddl
