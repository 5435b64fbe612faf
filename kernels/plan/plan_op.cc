#include <limits>

#include "backends/sdk/op_table.h"
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

struct Family {
  eddl_op_kind kind;
  PlanFn plan;
};

constexpr Family kFamilies[] = {
    {EDDL_OP_MATMUL, PlanMatmul},
    {EDDL_OP_SPARSE_MATMUL, PlanSparseMatmul},
    {EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, PlanSparseMatmulGradWeight},
    {EDDL_OP_CONV2D, PlanConv2d},
    {EDDL_OP_CONV2D_GRAD_INPUT, PlanConv2dGradInput},
    {EDDL_OP_CONV2D_GRAD_WEIGHT, PlanConv2dGradWeight},
    {EDDL_OP_MAX_POOL2D, PlanMaxPool2d},
    {EDDL_OP_MAX_POOL2D_GRAD, PlanMaxPool2dGrad},
    {EDDL_OP_AVG_POOL2D, PlanAvgPool2d},
    {EDDL_OP_AVG_POOL2D_GRAD, PlanAvgPool2dGrad},
    {EDDL_OP_GLOBAL_AVG_POOL, PlanGlobalAvgPool},
    {EDDL_OP_GLOBAL_AVG_POOL_GRAD, PlanGlobalAvgPoolGrad},
    {EDDL_OP_BATCH_NORM, PlanBatchNorm},
    {EDDL_OP_BATCH_NORM_GRAD, PlanBatchNormGrad},
    {EDDL_OP_BATCH_NORM_INFERENCE, PlanBatchNormInference},
    {EDDL_OP_LAYER_NORM, PlanLayerNorm},
    {EDDL_OP_LAYER_NORM_GRAD, PlanLayerNormGrad},
    {EDDL_OP_RELU, PlanElementwise},
    {EDDL_OP_SIGMOID, PlanElementwise},
    {EDDL_OP_TANH, PlanElementwise},
    {EDDL_OP_CLAMP, PlanElementwise},
    {EDDL_OP_RELU_GRAD, PlanElementwise},
    {EDDL_OP_SIGMOID_GRAD, PlanElementwise},
    {EDDL_OP_TANH_GRAD, PlanElementwise},
    {EDDL_OP_CLAMP_GRAD, PlanElementwise},
    {EDDL_OP_GELU, PlanElementwise},
    {EDDL_OP_LEAKY_RELU, PlanElementwise},
    {EDDL_OP_ADD, PlanElementwise},
    {EDDL_OP_MUL, PlanElementwise},
    {EDDL_OP_GELU_GRAD, PlanElementwise},
    {EDDL_OP_LEAKY_RELU_GRAD, PlanElementwise},
    {EDDL_OP_CONCAT, PlanConcat},
    {EDDL_OP_SPLIT, PlanSplit},
    {EDDL_OP_SLICE, PlanSlice},
    {EDDL_OP_PAD, PlanPad},
    {EDDL_OP_TRANSPOSE, PlanTranspose},
    {EDDL_OP_BROADCAST, PlanBroadcast},
    {EDDL_OP_REDUCE, PlanReduce},
    {EDDL_OP_DROPOUT, PlanDropout},
    {EDDL_OP_SOFTMAX, PlanSoftmax},
    {EDDL_OP_SOFTMAX_XENT, PlanSoftmaxXent},
    {EDDL_OP_SIGMOID_BCE, PlanLoss},
    {EDDL_OP_MSE, PlanLoss},
    {EDDL_OP_NORMALIZE_U8, PlanNormalizeU8},
    {EDDL_OP_AXPY, PlanFlat},
    {EDDL_OP_SCALE, PlanFlat},
    {EDDL_OP_SUM_SQUARES, PlanFlat},
    {EDDL_OP_ABS_MAX, PlanFlat},
    {EDDL_OP_PACK_F16, PlanFlat},
    {EDDL_OP_UNPACK_F16, PlanFlat},
    {EDDL_OP_FIXED_ADD, PlanFlat},
    {EDDL_OP_FIXED_TO_FLOAT, PlanFlat},
    {EDDL_OP_SGD, PlanSgd},
    {EDDL_OP_ADAM, PlanAdam},
    {EDDL_OP_STATISTICS_UPDATE, PlanStatisticsUpdate},
};

PlanFn FindPlan(eddl_op_kind kind) {
  for (const Family& family : kFamilies) {
    if (family.kind == kind) return family.plan;
  }
  return nullptr;
}

// A shard of the flat vector may have no element.
bool MayBeEmpty(eddl_op_kind kind) { return kind >= EDDL_OP_AXPY; }

// Checks one tensor against its line in the table. wanted.dtype 0 stands for any.
Status CheckTensor(const OpView& op, const eddl_tensor_desc& tensor, const OpTensor& wanted) {
  if (!IsPresent(tensor)) {
    EDDL_KERNELS_REQUIRE(wanted.optional && tensor.rank == 0, "%s: %s is missing", op.name, wanted.name);
    return {};
  }
  EDDL_KERNELS_REQUIRE(tensor.rank >= 1 && tensor.rank <= EDDL_RANK_MAX, "%s: %s has rank %u, allowed are 1 to %d",
                       op.name, wanted.name, tensor.rank, EDDL_RANK_MAX);
  if (ElementBytes(tensor.dtype) == 0) {
    return Error(EDDL_UNIMPLEMENTED, "%s: %s has dtype %u, which the %s backend lacks", op.name, wanted.name,
                 tensor.dtype, op.backend);
  }
  constexpr int64_t kElementsMax = std::numeric_limits<int32_t>::max();
  int64_t elements = 1;
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    const int64_t size = tensor.shape[d];
    EDDL_KERNELS_REQUIRE(size >= (MayBeEmpty(op.kind) ? 0 : 1), "%s: %s is %s, dimension %u is too small", op.name,
                         wanted.name, ToString(tensor).c_str(), d);
    if (size > kElementsMax || elements * size > kElementsMax) {
      return Error(EDDL_UNIMPLEMENTED, "%s: %s is %s, the %s backend's tensors have fewer than 2^31 elements", op.name,
                   wanted.name, ToString(tensor).c_str(), op.backend);
    }
    elements *= size;
  }
  return wanted.dtype == 0 ? Status{} : ExpectDtype(op, wanted.name, tensor, wanted.dtype);
}

// What the table says of every kind and can be checked before shapes are looked at.
Status CheckGeneral(const OpTraits& traits, const eddl_op_desc& source, const char* backend) {
  const char* name = traits.name;
  EDDL_KERNELS_REQUIRE(source.input_count >= traits.input_min() && source.input_count <= traits.input_max(),
                       "%s takes %u to %u inputs, got %u", name, traits.input_min(), traits.input_max(),
                       source.input_count);
  EDDL_KERNELS_REQUIRE(source.output_count >= traits.output_min() && source.output_count <= traits.output_max(),
                       "%s takes %u to %u outputs, got %u", name, traits.output_min(), traits.output_max(),
                       source.output_count);
  EDDL_KERNELS_REQUIRE(source.inputs != nullptr && source.outputs != nullptr, "%s: the tensor arrays are NULL", name);
  EDDL_KERNELS_REQUIRE((source.accumulate_mask & ~traits.accumulate_mask()) == 0,
                       "%s: accumulate_mask is %#x, but only the outputs in %#x accumulate", name,
                       source.accumulate_mask, traits.accumulate_mask());
  EDDL_KERNELS_REQUIRE(source.epilogue == EDDL_EPILOGUE_NONE || traits.epilogue, "%s takes no epilogue, got %u", name,
                       source.epilogue);
  if (source.epilogue > EDDL_EPILOGUE_CLAMP) {
    return Error(EDDL_UNIMPLEMENTED, "%s: epilogue %u is not known to the %s backend", name, source.epilogue, backend);
  }
  return {};
}

}  // namespace

Status PlanOp(const eddl_op_desc& source, const DeviceTraits& device, DevicePlan* plan) {
  *plan = {};
  const OpTraits* traits = FindOpTraits(source.kind);
  const PlanFn plan_family = FindPlan(source.kind);
  if (traits == nullptr || plan_family == nullptr) {
    return Error(EDDL_UNIMPLEMENTED, "op kind %u is not known to the %s backend", source.kind, device.backend);
  }
  EDDL_KERNELS_RETURN_IF_ERROR(CheckGeneral(*traits, source, device.backend));
  OpView op = {.name = traits->name,
               .backend = device.backend,
               .kind = source.kind,
               .input_count = source.input_count,
               .output_count = source.output_count,
               .attrs = source.attrs,
               .attrs_size = source.attrs_size,
               .epilogue = source.epilogue,
               .accumulate_mask = source.accumulate_mask,
               .epilogue_min = source.epilogue_min,
               .epilogue_max = source.epilogue_max};
  for (uint32_t i = 0; i < source.input_count; ++i) {
    op.in[i] = source.inputs[i];
    EDDL_KERNELS_RETURN_IF_ERROR(CheckTensor(op, op.in[i], traits->input(i)));
  }
  for (uint32_t i = 0; i < source.output_count; ++i) {
    op.out[i] = source.outputs[i];
    EDDL_KERNELS_RETURN_IF_ERROR(CheckTensor(op, op.out[i], traits->output(i)));
  }
  plan->scalar_count = traits->scalar_count();
  plan->implementation = "kernel";
  Planner planner(op, device, *plan);
  return plan_family(planner);
}

}  // namespace eddl::kernels
