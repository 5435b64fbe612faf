// Op: the description of an op that owns what an eddl_op_desc borrows. A value; for references, tests and the
// conformance suite, which make many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "backends/sdk/eddl_ops.h"

namespace eddl::kernels {

// The description of a tensor; rank 0 and dtype 0 is an absent one.
inline eddl_tensor_desc Describe(eddl_dtype dtype, std::span<const int64_t> shape) {
  eddl_tensor_desc desc = {.rank = static_cast<uint32_t>(shape.size()), .dtype = dtype};
  for (size_t d = 0; d < shape.size(); ++d) desc.shape[d] = shape[d];
  return desc;
}
inline eddl_tensor_desc Describe(eddl_dtype dtype, std::initializer_list<int64_t> shape) {
  return Describe(dtype, std::span<const int64_t>(shape.begin(), shape.size()));
}
inline eddl_tensor_desc F32(std::initializer_list<int64_t> shape) { return Describe(EDDL_F32, shape); }

struct Op {
  eddl_op_kind kind = 0;
  std::vector<eddl_tensor_desc> inputs;
  std::vector<eddl_tensor_desc> outputs;
  std::vector<std::byte> attrs;  // the kind's struct, or empty
  eddl_epilogue epilogue = EDDL_EPILOGUE_NONE;
  float epilogue_min = 0;
  float epilogue_max = 0;
  uint32_t accumulate_mask = 0;
  uint64_t tag = 0;

  Op() = default;
  Op(eddl_op_kind op_kind, std::vector<eddl_tensor_desc> op_inputs, std::vector<eddl_tensor_desc> op_outputs)
      : kind(op_kind), inputs(std::move(op_inputs)), outputs(std::move(op_outputs)) {}
  // With attributes, whose struct_size is set here.
  template <typename Attrs>
  Op(eddl_op_kind op_kind, std::vector<eddl_tensor_desc> op_inputs, std::vector<eddl_tensor_desc> op_outputs,
     Attrs op_attrs)
      : Op(op_kind, std::move(op_inputs), std::move(op_outputs)) {
    op_attrs.struct_size = sizeof(op_attrs);
    attrs.resize(sizeof(op_attrs));
    std::memcpy(attrs.data(), &op_attrs, sizeof(op_attrs));
  }

  // Borrows from this op, which must stay as it is.
  eddl_op_desc desc() const {
    return {.struct_size = sizeof(eddl_op_desc),
            .kind = kind,
            .input_count = static_cast<uint32_t>(inputs.size()),
            .output_count = static_cast<uint32_t>(outputs.size()),
            .inputs = inputs.data(),
            .outputs = outputs.data(),
            .attrs = attrs.empty() ? nullptr : attrs.data(),
            .attrs_size = attrs.size(),
            .epilogue = epilogue,
            .accumulate_mask = accumulate_mask,
            .epilogue_min = epilogue_min,
            .epilogue_max = epilogue_max,
            .tag = tag};
  }
};

}  // namespace eddl::kernels
