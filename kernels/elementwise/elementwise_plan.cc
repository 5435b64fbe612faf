// Plans functions of one element, or of two at the same place.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

const char* KernelOf(const OpView& op) {
  switch (op.kind) {
    case EDDL_OP_RELU:
      return "elementwise_relu";
    case EDDL_OP_SIGMOID:
      return "elementwise_sigmoid";
    case EDDL_OP_TANH:
      return "elementwise_tanh";
    case EDDL_OP_CLAMP:
      return "elementwise_clamp";
    case EDDL_OP_RELU_GRAD:
      return "elementwise_relu_grad";
    case EDDL_OP_SIGMOID_GRAD:
      return "elementwise_sigmoid_grad";
    case EDDL_OP_TANH_GRAD:
      return "elementwise_tanh_grad";
    case EDDL_OP_CLAMP_GRAD:
      return "elementwise_clamp_grad";
    case EDDL_OP_GELU:
      return "elementwise_gelu";
    case EDDL_OP_LEAKY_RELU:
      return "elementwise_leaky_relu";
    case EDDL_OP_GELU_GRAD:
      return "elementwise_gelu_grad";
    case EDDL_OP_LEAKY_RELU_GRAD:
      return "elementwise_leaky_relu_grad";
    case EDDL_OP_MUL:
      return "elementwise_mul";
    default:
      if (op.epilogue == EDDL_EPILOGUE_RELU) return "elementwise_add_relu";
      return op.epilogue == EDDL_EPILOGUE_CLAMP ? "elementwise_add_clamp" : "elementwise_add";
  }
}

}  // namespace

Status PlanElementwise(Planner& planner) {
  const OpView& op = planner.op();
  for (uint32_t i = 1; i < op.input_count; ++i) {
    EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "input 1", op.in[i], op.in[0]));
  }
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "output", op.out[0], op.in[0]));
  eddl_clamp_attrs range = {.struct_size = sizeof(range), .min = op.epilogue_min, .max = op.epilogue_max};
  if (op.kind == EDDL_OP_CLAMP || op.kind == EDDL_OP_CLAMP_GRAD) {
    EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &range));
  }
  if (op.kind == EDDL_OP_LEAKY_RELU || op.kind == EDDL_OP_LEAKY_RELU_GRAD) {
    eddl_leaky_relu_attrs attrs;
    EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
    EDDL_KERNELS_REQUIRE(attrs.slope >= 0, "%s: slope %g is below 0", op.name, static_cast<double>(attrs.slope));
    range.min = attrs.slope;
  }
  const int64_t count = ElementCount(op.out[0]);
  LaunchWriter writer = planner.LaunchFlat(KernelOf(op), count);
  for (uint32_t i = 0; i < op.input_count; ++i) writer.Tensor(Input(i));
  writer.Tensor(Output(0)).Int(count).Float(static_cast<double>(range.min)).Float(static_cast<double>(range.max));
  return {};
}

}  // namespace eddl::kernels
