#include <cstring>
#include <utility>

#include "tests/backends/conformance/mutations.h"

namespace eddl {
namespace {

using kernels::Op;

// Changes the attributes of one kind.
template <typename Attrs, typename Change>
std::function<void(Op&)> InAttributes(eddl_op_kind kind, Change change) {
  return [=](Op& op) {
    if (op.kind != kind || op.attrs.size() < sizeof(Attrs)) return;
    Attrs attrs;
    std::memcpy(&attrs, op.attrs.data(), sizeof(attrs));
    change(attrs);
    std::memcpy(op.attrs.data(), &attrs, sizeof(attrs));
  };
}

void DropBias(Op& op) {
  if (op.inputs.size() > 2) op.inputs[2] = {};
}

bool IsSquare(const eddl_tensor_desc& tensor) {
  return tensor.rank >= 2 && tensor.shape[tensor.rank - 1] == tensor.shape[tensor.rank - 2];
}

void TransposeSquares(Op& op) {
  if (op.inputs.size() < 2 || !IsSquare(op.inputs[1])) return;
  InAttributes<eddl_matmul_attrs>(EDDL_OP_MATMUL, [](auto& attrs) { attrs.transpose_b ^= 1; })(op);
}

void ForgetY(Op& op) {
  if (op.kind == EDDL_OP_BATCH_NORM_GRAD && op.inputs.size() > 3) op.inputs[3] = {};
}

std::function<void(Op&)> SwapPads(eddl_op_kind kind) {
  if (kind == EDDL_OP_AVG_POOL2D) {
    return InAttributes<eddl_pool2d_attrs>(kind, [](auto& attrs) { std::swap(attrs.pad_top, attrs.pad_bottom); });
  }
  return InAttributes<eddl_conv2d_attrs>(kind, [](auto& attrs) { std::swap(attrs.pad_left, attrs.pad_right); });
}

// Slices one place too early.
void BeginEarly(eddl_slice_attrs& attrs) {
  for (int64_t& begin : attrs.begin) begin -= begin > 0 ? 1 : 0;
}

}  // namespace

std::vector<Mutation> DescriptionMutations() {
  return {
      {.name = "drops_the_bias_of_matmul", .filter = "matmul", .describe = DropBias},
      {.name = "drops_the_bias_of_sparse_matmul", .filter = "sparse_matmul/", .describe = DropBias},
      {.name = "drops_the_bias_of_conv2d", .filter = "conv2d/", .describe = DropBias},
      {.name = "ignores_accumulate_in_matmul", .filter = "matmul", .describe = [](Op& op) { op.accumulate_mask = 0; }},
      {.name = "ignores_accumulate_in_reduce", .filter = "reduce", .describe = [](Op& op) { op.accumulate_mask = 0; }},
      {.name = "ignores_accumulate_of_dbias",
       .filter = "conv2d_grad_weight",
       .describe = [](Op& op) { op.accumulate_mask &= ~2u; }},
      {.name = "ignores_accumulate_of_var_sum",
       .filter = "batch_norm/",
       .describe = [](Op& op) { op.accumulate_mask &= ~4u; }},
      {.name = "accumulates_unasked", .filter = "matmul", .describe = [](Op& op) { op.accumulate_mask = 1; }},
      {.name = "ignores_the_epilogue_of_conv2d",
       .filter = "conv2d/",
       .describe = [](Op& op) { op.epilogue = EDDL_EPILOGUE_NONE; }},
      {.name = "takes_clamp_for_relu",
       .filter = "add",
       .describe =
           [](Op& op) {
             if (op.epilogue == EDDL_EPILOGUE_CLAMP) op.epilogue = EDDL_EPILOGUE_RELU;
           }},
      {.name = "forgets_the_upper_end_of_clamp",
       .filter = "batch_norm/",
       .describe = [](Op& op) { op.epilogue_max = 1e9f; }},
      {.name = "transposes_squares", .filter = "matmul", .describe = TransposeSquares},
      {.name = "takes_the_mean_for_the_sum",
       .filter = "reduce",
       .describe = InAttributes<eddl_reduce_attrs>(EDDL_OP_REDUCE,
                                                   [](auto& attrs) {
                                                     if (attrs.kind == EDDL_REDUCE_SUM) attrs.kind = EDDL_REDUCE_MEAN;
                                                   })},
      {.name = "swaps_the_pads_of_conv2d", .filter = "conv2d/", .describe = SwapPads(EDDL_OP_CONV2D)},
      {.name = "swaps_the_pads_of_its_input_gradient",
       .filter = "conv2d_grad_input",
       .describe = SwapPads(EDDL_OP_CONV2D_GRAD_INPUT)},
      {.name = "swaps_the_pads_of_its_weight_gradient",
       .filter = "conv2d_grad_weight",
       .describe = SwapPads(EDDL_OP_CONV2D_GRAD_WEIGHT)},
      {.name = "swaps_the_pads_of_avg_pool2d", .filter = "avg_pool2d/", .describe = SwapPads(EDDL_OP_AVG_POOL2D)},
      {.name = "counts_the_padding",
       .filter = "avg_pool2d/",
       .describe =
           InAttributes<eddl_pool2d_attrs>(EDDL_OP_AVG_POOL2D, [](auto& attrs) { attrs.count_include_pad = 1; })},
      {.name = "counts_no_padding_in_the_gradient",
       .filter = "avg_pool2d_grad",
       .describe =
           InAttributes<eddl_pool2d_attrs>(EDDL_OP_AVG_POOL2D_GRAD, [](auto& attrs) { attrs.count_include_pad = 0; })},
      {.name = "takes_another_epsilon",
       .filter = "batch_norm_inference",
       .describe = InAttributes<eddl_batch_norm_attrs>(EDDL_OP_BATCH_NORM_INFERENCE,
                                                       [](auto& attrs) { attrs.epsilon = 0.01f; })},
      {.name = "forgets_the_relu_of_batch_norm", .filter = "batch_norm_grad", .describe = ForgetY},
      {.name = "slices_one_too_early",
       .filter = "slice",
       .describe = InAttributes<eddl_slice_attrs>(EDDL_OP_SLICE, BeginEarly)},
      {.name = "drops_with_the_bits_of_layer_0",
       .filter = "dropout",
       .describe = InAttributes<eddl_dropout_attrs>(EDDL_OP_DROPOUT, [](auto& attrs) { attrs.layer = 0; })},
      {.name = "takes_nesterov_for_plain_momentum",
       .filter = "sgd",
       .describe = InAttributes<eddl_sgd_attrs>(EDDL_OP_SGD, [](auto& attrs) { attrs.nesterov = 0; })},
      {.name = "forgets_weight_decay",
       .filter = "sgd",
       .describe = InAttributes<eddl_sgd_attrs>(EDDL_OP_SGD, [](auto& attrs) { attrs.weight_decay = 0; })},
      {.name = "takes_adam_for_adamw",
       .filter = "adam",
       .describe = InAttributes<eddl_adam_attrs>(EDDL_OP_ADAM, [](auto& attrs) { attrs.decoupled = 0; })},
      {.name = "keeps_another_fraction",
       .filter = "statistics_update",
       .describe = InAttributes<eddl_statistics_attrs>(EDDL_OP_STATISTICS_UPDATE,
                                                       [](auto& attrs) { attrs.keep = 1 - attrs.keep; })},
  };
}

}  // namespace eddl
