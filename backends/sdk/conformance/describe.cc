#include "backends/sdk/conformance/describe.h"

#include "backends/sdk/conformance/problem.h"
#include "backends/sdk/op_table.h"

namespace eddl::conformance {
namespace {

template <typename Attrs>
Attrs As(const kernels::Op& op) {
  Attrs attrs = {};
  std::memcpy(&attrs, op.attrs.data(), std::min(sizeof(attrs), op.attrs.size()));
  return attrs;
}

std::string NameOfConv2d(const eddl_conv2d_attrs& a) {
  return Text("groups ", a.groups, " stride ", a.stride_h, "x", a.stride_w, " pad (top left bottom right) ", a.pad_top,
              " ", a.pad_left, " ", a.pad_bottom, " ", a.pad_right, " dilation ", a.dilation_h, "x", a.dilation_w);
}

std::string NameOfPool2d(const eddl_pool2d_attrs& a) {
  return Text("kernel ", a.kernel_h, "x", a.kernel_w, " stride ", a.stride_h, "x", a.stride_w,
              " pad (top left bottom right) ", a.pad_top, " ", a.pad_left, " ", a.pad_bottom, " ", a.pad_right,
              a.ceil_mode ? " ceil_mode" : "", a.count_include_pad ? " count_include_pad" : "", a.relu ? " relu" : "");
}

template <typename Values>
std::string List(const char* name, const Values& values, size_t count) {
  std::string text = name;
  for (size_t i = 0; i < count; ++i) text += Text(" ", values[i]);
  return text;
}

std::string NameOfAttrs(const kernels::Op& op) {
  const size_t rank = op.inputs.empty() ? 0 : op.inputs[0].rank;
  switch (op.kind) {
    case EDDL_OP_MATMUL: {
      const auto a = As<eddl_matmul_attrs>(op);
      return Text("transpose_a ", a.transpose_a, " transpose_b ", a.transpose_b);
    }
    case EDDL_OP_CONV2D:
    case EDDL_OP_CONV2D_GRAD_INPUT:
    case EDDL_OP_CONV2D_GRAD_WEIGHT:
      return NameOfConv2d(As<eddl_conv2d_attrs>(op));
    case EDDL_OP_MAX_POOL2D:
    case EDDL_OP_MAX_POOL2D_GRAD:
    case EDDL_OP_AVG_POOL2D:
    case EDDL_OP_AVG_POOL2D_GRAD:
      return NameOfPool2d(As<eddl_pool2d_attrs>(op));
    case EDDL_OP_BATCH_NORM:
    case EDDL_OP_BATCH_NORM_GRAD:
    case EDDL_OP_BATCH_NORM_INFERENCE:
      return Text("epsilon ", As<eddl_batch_norm_attrs>(op).epsilon);
    case EDDL_OP_CLAMP:
    case EDDL_OP_CLAMP_GRAD:
      return Text("min ", As<eddl_clamp_attrs>(op).min, " max ", As<eddl_clamp_attrs>(op).max);
    case EDDL_OP_CONCAT:
    case EDDL_OP_SPLIT:
      return Text("axis ", As<eddl_axis_attrs>(op).axis);
    case EDDL_OP_SLICE:
    case EDDL_OP_PAD:
      return List("begin", As<eddl_slice_attrs>(op).begin, rank);
    case EDDL_OP_TRANSPOSE:
      return List("permutation", As<eddl_transpose_attrs>(op).permutation, rank);
    case EDDL_OP_BROADCAST:
    case EDDL_OP_REDUCE:
      return Text("kind ", As<eddl_reduce_attrs>(op).kind, " axis_mask ", As<eddl_reduce_attrs>(op).axis_mask);
    case EDDL_OP_DROPOUT:
      return Text("layer ", As<eddl_dropout_attrs>(op).layer, " probability ", As<eddl_dropout_attrs>(op).probability);
    case EDDL_OP_SGD: {
      const auto a = As<eddl_sgd_attrs>(op);
      return Text("momentum ", a.momentum, " weight_decay ", a.weight_decay, " nesterov ", a.nesterov);
    }
    case EDDL_OP_ADAM: {
      const auto a = As<eddl_adam_attrs>(op);
      return Text("beta1 ", a.beta1, " beta2 ", a.beta2, " epsilon ", a.epsilon, " weight_decay ", a.weight_decay,
                  " decoupled ", a.decoupled);
    }
    case EDDL_OP_STATISTICS_UPDATE:
      return Text("keep ", As<eddl_statistics_attrs>(op).keep);
    default:
      return Text(op.attrs.size(), " bytes");
  }
}

std::string List(const std::vector<eddl_tensor_desc>& tensors) {
  std::string text;
  for (const eddl_tensor_desc& tensor : tensors) text += (text.empty() ? "" : ", ") + NameOf(tensor);
  return text;
}

}  // namespace

std::string NameOf(const eddl_tensor_desc& desc) {
  constexpr const char* kDtypes[] = {"-", "f32", "f16", "bf16", "i32", "u8", "i64"};
  if (desc.dtype == 0) return "-";
  std::string text = desc.dtype < std::size(kDtypes) ? kDtypes[desc.dtype] : Text("dtype ", desc.dtype);
  text += "[";
  for (uint32_t d = 0; d < desc.rank && d < EDDL_RANK_MAX; ++d) text += Text(d == 0 ? "" : ",", desc.shape[d]);
  return text + "]";
}

std::string NameOf(const kernels::Op& op, std::span<const eddl_scalar> scalars) {
  const OpTraits* const traits = FindOpTraits(op.kind);
  std::string text = Text(traits == nullptr ? "?" : traits->name, "(", List(op.inputs), ") -> ", List(op.outputs));
  if (!op.attrs.empty()) text += " {" + NameOfAttrs(op) + "}";
  if (op.epilogue == EDDL_EPILOGUE_RELU) text += " relu";
  if (op.epilogue == EDDL_EPILOGUE_CLAMP) text += Text(" clamp [", op.epilogue_min, ", ", op.epilogue_max, "]");
  if (op.accumulate_mask != 0) text += Text(" accumulate ", op.accumulate_mask);
  for (size_t i = 0; i < scalars.size(); ++i) {
    const bool real = traits != nullptr && i < traits->scalar_count() && traits->scalars[i] == 'f';
    text += i == 0 ? " scalars " : ", ";
    text += real ? Text(scalars[i].f) : Text(scalars[i].u);
  }
  return text;
}

}  // namespace eddl::conformance
