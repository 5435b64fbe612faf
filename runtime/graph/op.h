// OpDescription: one op as data — kind, tensors, attributes, epilogue — and its translation to the backend interface.
//
// A value. Attributes are the C structs of eddl_ops.h, held in a variant; struct_size is set by Attributes().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "backends/sdk/eddl_ops.h"
#include "runtime/tensor/shape.h"

namespace eddl {

using OpAttrs =
    std::variant<std::monostate, eddl_matmul_attrs, eddl_conv2d_attrs, eddl_pool2d_attrs, eddl_batch_norm_attrs,
                 eddl_clamp_attrs, eddl_axis_attrs, eddl_slice_attrs, eddl_transpose_attrs, eddl_reduce_attrs,
                 eddl_dropout_attrs, eddl_sgd_attrs, eddl_adam_attrs, eddl_statistics_attrs>;

// The attributes with struct_size filled in: Attributes(eddl_axis_attrs{.axis = 1}).
template <typename T>
OpAttrs Attributes(T attrs) {
  attrs.struct_size = sizeof(T);
  return attrs;
}

struct Epilogue {
  eddl_epilogue kind = EDDL_EPILOGUE_NONE;
  float min = 0.0f;
  float max = 0.0f;

  bool operator==(const Epilogue&) const = default;
};

struct OpDescription {
  eddl_op_kind kind = 0;
  std::vector<TensorDesc> inputs;  // kNone: an optional tensor that is absent
  std::vector<TensorDesc> outputs;
  OpAttrs attrs;
  Epilogue epilogue;
  uint32_t accumulate_mask = 0;
  uint64_t tag = 0;

  // All but the tag, as bytes: equal keys, equal ops.
  std::string Key() const;
  // "conv2d f32[128, 28, 28, 1] f32[6, 5, 5, 1] f32[6] -> f32[128, 28, 28, 6] +relu"
  std::string ToString() const;
};

// The C form of a description; borrows attributes from it, so it must not outlive or outmove it.
class AbiOpDesc {
 public:
  explicit AbiOpDesc(const OpDescription& description);
  AbiOpDesc(const AbiOpDesc&) = delete;
  AbiOpDesc& operator=(const AbiOpDesc&) = delete;

  const eddl_op_desc& get() const { return desc_; }

 private:
  std::vector<eddl_tensor_desc> tensors_;
  eddl_op_desc desc_ = {};
};

// The attributes' bytes, or {nullptr, 0} for none.
struct AttrBytes {
  const void* data = nullptr;
  uint64_t size = 0;
};
AttrBytes BytesOf(const OpAttrs& attrs);

// "conv2d"; "op 999" for a kind that this version does not know.
std::string OpName(eddl_op_kind kind);

}  // namespace eddl
