#include "kernels/reference.h"

#include <algorithm>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/flat/flat.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/layout/layout.h"
#include "kernels/loss/loss.h"
#include "kernels/matmul/matmul.h"
#include "kernels/normalize/normalize.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool2d/pool2d.h"
#include "kernels/reduce/reduce.h"
#include "kernels/softmax/softmax.h"
#include "kernels/sparse_matmul/sparse_matmul.h"

namespace eddl::kernels {
namespace {

struct Entry {
  eddl_op_kind kind;
  Reference reference;
};

constexpr Entry kReferences[] = {
    {EDDL_OP_MATMUL, Matmul},
    {EDDL_OP_SPARSE_MATMUL, SparseMatmul},
    {EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, SparseMatmulGradWeight},
    {EDDL_OP_CONV2D, Conv2d},
    {EDDL_OP_CONV2D_GRAD_INPUT, Conv2dGradInput},
    {EDDL_OP_CONV2D_GRAD_WEIGHT, Conv2dGradWeight},
    {EDDL_OP_MAX_POOL2D, MaxPool2d},
    {EDDL_OP_MAX_POOL2D_GRAD, MaxPool2dGrad},
    {EDDL_OP_AVG_POOL2D, AvgPool2d},
    {EDDL_OP_AVG_POOL2D_GRAD, AvgPool2dGrad},
    {EDDL_OP_GLOBAL_AVG_POOL, GlobalAvgPool},
    {EDDL_OP_GLOBAL_AVG_POOL_GRAD, GlobalAvgPoolGrad},
    {EDDL_OP_BATCH_NORM, BatchNorm},
    {EDDL_OP_BATCH_NORM_GRAD, BatchNormGrad},
    {EDDL_OP_BATCH_NORM_INFERENCE, BatchNormInference},
    {EDDL_OP_LAYER_NORM, LayerNorm},
    {EDDL_OP_LAYER_NORM_GRAD, LayerNormGrad},
    {EDDL_OP_RELU, Relu},
    {EDDL_OP_SIGMOID, Sigmoid},
    {EDDL_OP_TANH, Tanh},
    {EDDL_OP_CLAMP, Clamp},
    {EDDL_OP_RELU_GRAD, ReluGrad},
    {EDDL_OP_SIGMOID_GRAD, SigmoidGrad},
    {EDDL_OP_TANH_GRAD, TanhGrad},
    {EDDL_OP_CLAMP_GRAD, ClampGrad},
    {EDDL_OP_GELU, Gelu},
    {EDDL_OP_LEAKY_RELU, LeakyRelu},
    {EDDL_OP_ADD, Add},
    {EDDL_OP_MUL, Mul},
    {EDDL_OP_GELU_GRAD, GeluGrad},
    {EDDL_OP_LEAKY_RELU_GRAD, LeakyReluGrad},
    {EDDL_OP_CONCAT, Concat},
    {EDDL_OP_SPLIT, Split},
    {EDDL_OP_SLICE, Slice},
    {EDDL_OP_PAD, Pad},
    {EDDL_OP_TRANSPOSE, Transpose},
    {EDDL_OP_BROADCAST, Broadcast},
    {EDDL_OP_REDUCE, Reduce},
    {EDDL_OP_DROPOUT, Dropout},
    {EDDL_OP_SOFTMAX, Softmax},
    {EDDL_OP_SOFTMAX_XENT, SoftmaxXent},
    {EDDL_OP_SIGMOID_BCE, SigmoidBce},
    {EDDL_OP_MSE, Mse},
    {EDDL_OP_NORMALIZE_U8, NormalizeU8},
    {EDDL_OP_AXPY, Axpy},
    {EDDL_OP_SCALE, Scale},
    {EDDL_OP_SUM_SQUARES, SumSquares},
    {EDDL_OP_ABS_MAX, AbsMax},
    {EDDL_OP_PACK_F16, PackF16},
    {EDDL_OP_UNPACK_F16, UnpackF16},
    {EDDL_OP_FIXED_ADD, FixedAdd},
    {EDDL_OP_FIXED_TO_FLOAT, FixedToFloat},
    {EDDL_OP_SGD, Sgd},
    {EDDL_OP_ADAM, Adam},
    {EDDL_OP_STATISTICS_UPDATE, StatisticsUpdate},
};

void ApplyEpilogue(const eddl_op_desc& desc, Tensor& y) {
  if (desc.epilogue == EDDL_EPILOGUE_NONE) return;
  for (int64_t i = 0; i < y.size(); ++i) {
    double& value = y.At(i).value;
    value = desc.epilogue == EDDL_EPILOGUE_RELU
                ? MaxKeepingNan(value, 0)
                : MinKeepingNan(MaxKeepingNan(value, desc.epilogue_min), desc.epilogue_max);
  }
}

}  // namespace

const Tensor& Call::input(size_t i) const {
  static const Tensor absent;
  return i < inputs.size() ? inputs[i] : absent;
}

Reference FindReference(eddl_op_kind kind) {
  const auto* entry = std::find_if(std::begin(kReferences), std::end(kReferences),
                                   [kind](const Entry& candidate) { return candidate.kind == kind; });
  return entry == std::end(kReferences) ? nullptr : entry->reference;
}

std::vector<Tensor> RunReference(const Call& call, std::span<const Tensor> previous) {
  const eddl_op_desc& desc = call.desc;
  std::vector<Tensor> outputs;
  for (uint32_t i = 0; i < desc.output_count; ++i) {
    outputs.push_back(desc.outputs[i].dtype == 0 ? Tensor() : Tensor(desc.outputs[i]));
  }
  FindReference(desc.kind)(call, outputs);
  ApplyEpilogue(desc, outputs[0]);
  for (uint32_t i = 0; i < desc.output_count; ++i) {
    if (((desc.accumulate_mask >> i) & 1u) == 0) continue;
    for (int64_t j = 0; j < outputs[i].size(); ++j) outputs[i].At(j) += Sum(previous[i][j]);
  }
  return outputs;
}

}  // namespace eddl::kernels
