#include "runtime/graph/infer.h"

#include <algorithm>
#include <string>

#include "runtime/base/status.h"

namespace eddl {
namespace {

using Outputs = absl::StatusOr<std::vector<TensorDesc>>;
using Inputs = std::span<const TensorDesc>;

// kInvalidArgument unless inputs [0, required) are present, input i has rank ranks[i] (0: any), and all are f32.
absl::Status Expect(eddl_op_kind kind, Inputs inputs, std::initializer_list<int> ranks) {
  size_t i = 0;
  for (int rank : ranks) {
    if (i >= inputs.size() || !inputs[i].present()) {
      return InvalidArgument(OpName(kind) + " needs input " + std::to_string(i));
    }
    if (inputs[i].dtype != DType::kF32) {
      return InvalidArgument(OpName(kind) + " input " + std::to_string(i) + " is " + inputs[i].ToString() +
                             ", not f32");
    }
    if (rank != 0 && inputs[i].shape.rank() != rank) {
      return InvalidArgument(OpName(kind) + " input " + std::to_string(i) + " is " + inputs[i].ToString() +
                             ", not of rank " + std::to_string(rank));
    }
    ++i;
  }
  return absl::OkStatus();
}

absl::Status Mismatch(eddl_op_kind kind, Inputs inputs, const std::string& why) {
  std::string text = OpName(kind) + " of";
  for (const TensorDesc& input : inputs) text += " " + (input.present() ? input.ToString() : "-");
  return InvalidArgument(text + ": " + why);
}

bool BiasFits(Inputs inputs, size_t index, int64_t channels) {
  return index >= inputs.size() || !inputs[index].present() || inputs[index].shape == Shape{channels};
}

TensorDesc F32(const Shape& shape) { return {shape, DType::kF32}; }

Outputs InferMatmul(Inputs inputs, const eddl_matmul_attrs& attrs) {
  EDDL_RETURN_IF_ERROR(Expect(EDDL_OP_MATMUL, inputs, {0, 0}));
  const Shape& a = inputs[0].shape;
  const Shape& b = inputs[1].shape;
  if (a.rank() < 2 || a.rank() != b.rank())
    return Mismatch(EDDL_OP_MATMUL, inputs, "ranks must be equal and at least 2");
  for (int i = 0; i < a.rank() - 2; ++i) {
    if (a.dim(i) != b.dim(i)) return Mismatch(EDDL_OP_MATMUL, inputs, "batch dimensions differ");
  }
  const int64_t rows = attrs.transpose_a ? a.dim(-1) : a.dim(-2);
  const int64_t inner_a = attrs.transpose_a ? a.dim(-2) : a.dim(-1);
  const int64_t inner_b = attrs.transpose_b ? b.dim(-1) : b.dim(-2);
  const int64_t columns = attrs.transpose_b ? b.dim(-2) : b.dim(-1);
  if (inner_a != inner_b) return Mismatch(EDDL_OP_MATMUL, inputs, "inner dimensions differ");
  if (!BiasFits(inputs, 2, columns)) return Mismatch(EDDL_OP_MATMUL, inputs, "the bias does not fit");
  Shape y = a;
  y.set_dim(-2, rows);
  y.set_dim(-1, columns);
  return std::vector<TensorDesc>{F32(y)};
}

Outputs InferSparseMatmul(Inputs inputs) {
  EDDL_RETURN_IF_ERROR(Expect(EDDL_OP_SPARSE_MATMUL, inputs, {2, 2}));
  if (inputs[0].shape.dim(1) != inputs[1].shape.dim(0)) {
    return Mismatch(EDDL_OP_SPARSE_MATMUL, inputs, "inner dimensions differ");
  }
  const int64_t columns = inputs[1].shape.dim(1);
  if (!BiasFits(inputs, 2, columns)) return Mismatch(EDDL_OP_SPARSE_MATMUL, inputs, "the bias does not fit");
  return std::vector<TensorDesc>{F32({inputs[0].shape.dim(0), columns})};
}

Outputs InferConv2d(Inputs inputs, const eddl_conv2d_attrs& attrs) {
  EDDL_RETURN_IF_ERROR(Expect(EDDL_OP_CONV2D, inputs, {4, 4}));
  const Shape& x = inputs[0].shape;
  const Shape& w = inputs[1].shape;
  if (attrs.groups == 0 || attrs.stride_h == 0 || attrs.stride_w == 0 || attrs.dilation_h == 0 ||
      attrs.dilation_w == 0) {
    return Mismatch(EDDL_OP_CONV2D, inputs, "groups, strides and dilations are at least 1");
  }
  if (x.dim(3) != w.dim(3) * attrs.groups || w.dim(0) % attrs.groups != 0) {
    return Mismatch(EDDL_OP_CONV2D, inputs, "channels do not fit " + std::to_string(attrs.groups) + " groups");
  }
  if (!BiasFits(inputs, 2, w.dim(0))) return Mismatch(EDDL_OP_CONV2D, inputs, "the bias does not fit");
  const int64_t height =
      WindowOutputSize(x.dim(1), w.dim(1), attrs.stride_h, attrs.pad_top, attrs.pad_bottom, attrs.dilation_h, false);
  const int64_t width =
      WindowOutputSize(x.dim(2), w.dim(2), attrs.stride_w, attrs.pad_left, attrs.pad_right, attrs.dilation_w, false);
  if (height < 1 || width < 1) return Mismatch(EDDL_OP_CONV2D, inputs, "the kernel is larger than the padded input");
  return std::vector<TensorDesc>{F32({x.dim(0), height, width, w.dim(0)})};
}

Outputs InferPool2d(eddl_op_kind kind, Inputs inputs, const eddl_pool2d_attrs& attrs) {
  EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {4}));
  if (attrs.kernel_h == 0 || attrs.kernel_w == 0 || attrs.stride_h == 0 || attrs.stride_w == 0) {
    return Mismatch(kind, inputs, "kernel and stride are at least 1");
  }
  const Shape& x = inputs[0].shape;
  const int64_t height = WindowOutputSize(x.dim(1), attrs.kernel_h, attrs.stride_h, attrs.pad_top, attrs.pad_bottom, 1,
                                          attrs.ceil_mode != 0);
  const int64_t width = WindowOutputSize(x.dim(2), attrs.kernel_w, attrs.stride_w, attrs.pad_left, attrs.pad_right, 1,
                                         attrs.ceil_mode != 0);
  if (height < 1 || width < 1) return Mismatch(kind, inputs, "the window is larger than the padded input");
  return std::vector<TensorDesc>{F32({x.dim(0), height, width, x.dim(3)})};
}

Outputs InferBatchNorm(eddl_op_kind kind, Inputs inputs) {
  const size_t vectors = kind == EDDL_OP_BATCH_NORM ? 2 : 4;
  if (vectors == 2) {
    EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {0, 1, 1}));
  } else {
    EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {0, 1, 1, 1, 1}));
  }
  if (inputs[0].shape.rank() < 2) return Mismatch(kind, inputs, "x has rank 2 or more");
  const TensorDesc channel = F32({inputs[0].shape.dim(-1)});
  for (size_t i = 1; i <= vectors; ++i) {
    if (inputs[i] != channel) return Mismatch(kind, inputs, "vectors are as long as the last dimension of x");
  }
  if (kind == EDDL_OP_BATCH_NORM) return std::vector<TensorDesc>{inputs[0], channel, channel};
  return std::vector<TensorDesc>{inputs[0]};
}

Outputs InferConcat(Inputs inputs, const eddl_axis_attrs& attrs) {
  if (inputs.empty() || inputs.size() > EDDL_CONCAT_MAX) {
    return InvalidArgument("concat joins 1 to " + std::to_string(EDDL_CONCAT_MAX) + " tensors, not " +
                           std::to_string(inputs.size()));
  }
  TensorDesc y = inputs[0];
  const int axis = static_cast<int>(attrs.axis);
  if (axis >= y.shape.rank()) return Mismatch(EDDL_OP_CONCAT, inputs, "no axis " + std::to_string(axis));
  for (const TensorDesc& input : inputs.subspan(1)) {
    TensorDesc expected = y;
    if (input.shape.rank() == y.shape.rank()) expected.shape.set_dim(axis, input.shape.dim(axis));
    if (input != expected) return Mismatch(EDDL_OP_CONCAT, inputs, "shapes differ off the axis");
    y.shape.set_dim(axis, y.shape.dim(axis) + input.shape.dim(axis));
  }
  return std::vector<TensorDesc>{y};
}

Outputs InferTranspose(Inputs inputs, const eddl_transpose_attrs& attrs) {
  TensorDesc y = inputs[0];
  uint32_t seen = 0;
  for (int i = 0; i < y.shape.rank(); ++i) {
    const uint32_t from = attrs.permutation[i];
    if (from >= static_cast<uint32_t>(y.shape.rank()) || (seen >> from & 1u) != 0) {
      return Mismatch(EDDL_OP_TRANSPOSE, inputs, "the permutation is none");
    }
    seen |= 1u << from;
    y.shape.set_dim(i, inputs[0].shape.dim(static_cast<int>(from)));
  }
  return std::vector<TensorDesc>{y};
}

Outputs InferReduce(Inputs inputs, const eddl_reduce_attrs& attrs) {
  EDDL_RETURN_IF_ERROR(Expect(EDDL_OP_REDUCE, inputs, {0}));
  const Shape& x = inputs[0].shape;
  if (attrs.axis_mask == 0 || attrs.axis_mask >> x.rank() != 0) {
    return Mismatch(EDDL_OP_REDUCE, inputs, "axis mask " + std::to_string(attrs.axis_mask));
  }
  std::vector<int64_t> kept;
  for (int i = 0; i < x.rank(); ++i) {
    if ((attrs.axis_mask >> i & 1u) == 0) kept.push_back(x.dim(i));
  }
  if (kept.empty()) kept.push_back(1);
  return std::vector<TensorDesc>{F32(Shape(kept))};
}

Outputs InferSoftmaxXent(Inputs inputs) {
  EDDL_RETURN_IF_ERROR(Expect(EDDL_OP_SOFTMAX_XENT, inputs, {2}));
  const TensorDesc label = {{inputs[0].shape.dim(0)}, DType::kI32};
  if (inputs.size() < 2 || inputs[1] != label) {
    return Mismatch(EDDL_OP_SOFTMAX_XENT, inputs, "labels must be " + label.ToString());
  }
  return std::vector<TensorDesc>{F32({1}), F32({1}), inputs[0]};
}

Outputs InferNormalize(Inputs inputs) {
  if (inputs.size() != 3 || inputs[0].dtype != DType::kU8 || inputs[0].shape.rank() < 1) {
    return Mismatch(EDDL_OP_NORMALIZE_U8, inputs, "needs x u8, scale, shift");
  }
  for (size_t i = 1; i < 3; ++i) {
    if (inputs[i] != F32({1}) && inputs[i] != F32({inputs[0].shape.dim(-1)})) {
      return Mismatch(EDDL_OP_NORMALIZE_U8, inputs, "scale and shift have 1 element or one per channel");
    }
  }
  return std::vector<TensorDesc>{F32(inputs[0].shape)};
}

}  // namespace

int64_t WindowOutputSize(int64_t input, int64_t kernel, int64_t stride, int64_t pad_before, int64_t pad_after,
                         int64_t dilation, bool ceil_mode) {
  const int64_t span = input + pad_before + pad_after - dilation * (kernel - 1) - 1;
  if (span < 0) return 0;
  int64_t size = (ceil_mode ? (span + stride - 1) / stride : span / stride) + 1;
  if (ceil_mode && (size - 1) * stride >= input + pad_before) --size;
  return size;
}

Outputs InferOutputs(eddl_op_kind kind, Inputs inputs, const OpAttrs& attrs) {
  switch (kind) {
    case EDDL_OP_MATMUL:
      return InferMatmul(inputs, std::get<eddl_matmul_attrs>(attrs));
    case EDDL_OP_SPARSE_MATMUL:
      return InferSparseMatmul(inputs);
    case EDDL_OP_CONV2D:
      return InferConv2d(inputs, std::get<eddl_conv2d_attrs>(attrs));
    case EDDL_OP_MAX_POOL2D:
    case EDDL_OP_AVG_POOL2D:
      return InferPool2d(kind, inputs, std::get<eddl_pool2d_attrs>(attrs));
    case EDDL_OP_GLOBAL_AVG_POOL:
      EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {4}));
      return std::vector<TensorDesc>{F32({inputs[0].shape.dim(0), inputs[0].shape.dim(3)})};
    case EDDL_OP_BATCH_NORM:
    case EDDL_OP_BATCH_NORM_INFERENCE:
      return InferBatchNorm(kind, inputs);
    case EDDL_OP_RELU:
    case EDDL_OP_SIGMOID:
    case EDDL_OP_TANH:
    case EDDL_OP_CLAMP:
    case EDDL_OP_SOFTMAX:
      EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {0}));
      return std::vector<TensorDesc>{inputs[0]};
    case EDDL_OP_DROPOUT:
      EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {0}));
      if (inputs.size() != 2 || inputs[0].shape.rank() < 1 ||
          inputs[1] != TensorDesc{{inputs[0].shape.dim(0)}, DType::kI64}) {
        return Mismatch(kind, inputs, "needs x and one i64 sample index per row");
      }
      return std::vector<TensorDesc>{inputs[0]};
    case EDDL_OP_ADD:
    case EDDL_OP_MUL:
    case EDDL_OP_RELU_GRAD:
    case EDDL_OP_SIGMOID_GRAD:
    case EDDL_OP_TANH_GRAD:
    case EDDL_OP_CLAMP_GRAD:
      EDDL_RETURN_IF_ERROR(Expect(kind, inputs, {0, 0}));
      if (inputs[0] != inputs[1]) return Mismatch(kind, inputs, "shapes differ");
      return std::vector<TensorDesc>{inputs[0]};
    case EDDL_OP_CONCAT:
      return InferConcat(inputs, std::get<eddl_axis_attrs>(attrs));
    case EDDL_OP_TRANSPOSE:
      return InferTranspose(inputs, std::get<eddl_transpose_attrs>(attrs));
    case EDDL_OP_REDUCE:
      return InferReduce(inputs, std::get<eddl_reduce_attrs>(attrs));
    case EDDL_OP_SOFTMAX_XENT:
      return InferSoftmaxXent(inputs);
    case EDDL_OP_NORMALIZE_U8:
      return InferNormalize(inputs);
    default:
      return Unimplemented("outputs of " + OpName(kind) + " do not follow from its inputs; use AddShaped");
  }
}

}  // namespace eddl
