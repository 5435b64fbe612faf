#include <cinttypes>
#include <cstdio>
#include <iterator>

#include "backends/cpu/op.h"
#include "backends/sdk/op_table.h"

namespace eddl::cpu {
namespace {

struct Family {
  eddl_op_kind kind;
  PrepareFn prepare;
};

constexpr Family kFamilies[] = {
    {EDDL_OP_MATMUL, PrepareMatmul},
    {EDDL_OP_SPARSE_MATMUL, PrepareSparseMatmul},
    {EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, PrepareSparseMatmulGradWeight},
    {EDDL_OP_CONV2D, PrepareConv2d},
    {EDDL_OP_CONV2D_GRAD_INPUT, PrepareConv2dGradInput},
    {EDDL_OP_CONV2D_GRAD_WEIGHT, PrepareConv2dGradWeight},
    {EDDL_OP_MAX_POOL2D, PrepareMaxPool2d},
    {EDDL_OP_MAX_POOL2D_GRAD, PrepareMaxPool2dGrad},
    {EDDL_OP_AVG_POOL2D, PrepareAvgPool2d},
    {EDDL_OP_AVG_POOL2D_GRAD, PrepareAvgPool2dGrad},
    {EDDL_OP_GLOBAL_AVG_POOL, PrepareGlobalAvgPool},
    {EDDL_OP_GLOBAL_AVG_POOL_GRAD, PrepareGlobalAvgPoolGrad},
    {EDDL_OP_BATCH_NORM, PrepareBatchNorm},
    {EDDL_OP_BATCH_NORM_GRAD, PrepareBatchNormGrad},
    {EDDL_OP_BATCH_NORM_INFERENCE, PrepareBatchNormInference},
    {EDDL_OP_LAYER_NORM, PrepareLayerNorm},
    {EDDL_OP_LAYER_NORM_GRAD, PrepareLayerNormGrad},
    {EDDL_OP_RELU, PrepareUnary},
    {EDDL_OP_SIGMOID, PrepareUnary},
    {EDDL_OP_TANH, PrepareUnary},
    {EDDL_OP_CLAMP, PrepareUnary},
    {EDDL_OP_RELU_GRAD, PrepareUnaryGrad},
    {EDDL_OP_SIGMOID_GRAD, PrepareUnaryGrad},
    {EDDL_OP_TANH_GRAD, PrepareUnaryGrad},
    {EDDL_OP_CLAMP_GRAD, PrepareUnaryGrad},
    {EDDL_OP_GELU, PrepareUnary},
    {EDDL_OP_LEAKY_RELU, PrepareUnary},
    {EDDL_OP_ADD, PrepareAdd},
    {EDDL_OP_MUL, PrepareMul},
    {EDDL_OP_GELU_GRAD, PrepareUnaryGrad},
    {EDDL_OP_LEAKY_RELU_GRAD, PrepareUnaryGrad},
    {EDDL_OP_CONCAT, PrepareConcat},
    {EDDL_OP_SPLIT, PrepareSplit},
    {EDDL_OP_SLICE, PrepareSlice},
    {EDDL_OP_PAD, PreparePad},
    {EDDL_OP_TRANSPOSE, PrepareTranspose},
    {EDDL_OP_BROADCAST, PrepareBroadcast},
    {EDDL_OP_REDUCE, PrepareReduce},
    {EDDL_OP_DROPOUT, PrepareDropout},
    {EDDL_OP_SOFTMAX, PrepareSoftmax},
    {EDDL_OP_SOFTMAX_XENT, PrepareSoftmaxXent},
    {EDDL_OP_SIGMOID_BCE, PrepareSigmoidBce},
    {EDDL_OP_MSE, PrepareMse},
    {EDDL_OP_NORMALIZE_U8, PrepareNormalizeU8},
    {EDDL_OP_AXPY, PrepareAxpy},
    {EDDL_OP_SCALE, PrepareScale},
    {EDDL_OP_SUM_SQUARES, PrepareSumSquares},
    {EDDL_OP_ABS_MAX, PrepareAbsMax},
    {EDDL_OP_PACK_F16, PreparePackF16},
    {EDDL_OP_UNPACK_F16, PrepareUnpackF16},
    {EDDL_OP_FIXED_ADD, PrepareFixedAdd},
    {EDDL_OP_FIXED_TO_FLOAT, PrepareFixedToFloat},
    {EDDL_OP_SGD, PrepareSgd},
    {EDDL_OP_ADAM, PrepareAdam},
    {EDDL_OP_STATISTICS_UPDATE, PrepareStatisticsUpdate},
};

PrepareFn FindPrepare(eddl_op_kind kind) {
  for (const Family& family : kFamilies) {
    if (family.kind == kind) return family.prepare;
  }
  return nullptr;
}

// A shard of the flat vector may have no element.
bool MayBeEmpty(eddl_op_kind kind) { return kind >= EDDL_OP_AXPY; }

// Checks one tensor against its line in the table. wanted.dtype 0 stands for any.
Status CheckTensor(const OpDesc& desc, const eddl_tensor_desc& tensor, const OpTensor& wanted) {
  if (!IsPresent(tensor)) {
    EDDL_CPU_REQUIRE(wanted.optional && tensor.rank == 0, "%s: %s is missing", desc.name, wanted.name);
    return {};
  }
  EDDL_CPU_REQUIRE(tensor.rank >= 1 && tensor.rank <= EDDL_RANK_MAX, "%s: %s has rank %u, allowed are 1 to %d",
                   desc.name, wanted.name, tensor.rank, EDDL_RANK_MAX);
  if (ElementBytes(tensor.dtype) == 0) {
    return Error(EDDL_UNIMPLEMENTED, "%s: %s has dtype %u, which the cpu backend lacks", desc.name, wanted.name,
                 tensor.dtype);
  }
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    EDDL_CPU_REQUIRE(tensor.shape[d] >= (MayBeEmpty(desc.kind) ? 0 : 1), "%s: %s is %s, dimension %u is too small",
                     desc.name, wanted.name, ToString(tensor).c_str(), d);
  }
  return wanted.dtype == 0 ? Status{} : ExpectDtype(desc, wanted.name, tensor, wanted.dtype);
}

// What the table says of every kind and can be checked before shapes are looked at.
Status CheckGeneral(const OpTraits& traits, const eddl_op_desc& source) {
  const char* name = traits.name;
  EDDL_CPU_REQUIRE(source.input_count >= traits.input_min() && source.input_count <= traits.input_max(),
                   "%s takes %u to %u inputs, got %u", name, traits.input_min(), traits.input_max(),
                   source.input_count);
  EDDL_CPU_REQUIRE(source.output_count >= traits.output_min() && source.output_count <= traits.output_max(),
                   "%s takes %u to %u outputs, got %u", name, traits.output_min(), traits.output_max(),
                   source.output_count);
  EDDL_CPU_REQUIRE(source.inputs != nullptr && source.outputs != nullptr, "%s: the tensor arrays are NULL", name);
  EDDL_CPU_REQUIRE((source.accumulate_mask & ~traits.accumulate_mask()) == 0,
                   "%s: accumulate_mask is %#x, but only the outputs in %#x accumulate", name, source.accumulate_mask,
                   traits.accumulate_mask());
  EDDL_CPU_REQUIRE(source.epilogue == EDDL_EPILOGUE_NONE || traits.epilogue, "%s takes no epilogue, got %u", name,
                   source.epilogue);
  if (source.epilogue > EDDL_EPILOGUE_CLAMP) {
    return Error(EDDL_UNIMPLEMENTED, "%s: epilogue %u is not known to the cpu backend", name, source.epilogue);
  }
  return {};
}

}  // namespace

Status PrepareOp(const eddl_op_desc& source, const Context& context, PreparedOp* op) {
  const OpTraits* traits = FindOpTraits(source.kind);
  const PrepareFn prepare = FindPrepare(source.kind);
  if (traits == nullptr || prepare == nullptr) {
    return Error(EDDL_UNIMPLEMENTED, "op kind %u is not known to the cpu backend", source.kind);
  }
  EDDL_CPU_RETURN_IF_ERROR(CheckGeneral(*traits, source));
  OpDesc desc = {.name = traits->name,
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
    desc.in[i] = source.inputs[i];
    EDDL_CPU_RETURN_IF_ERROR(CheckTensor(desc, desc.in[i], traits->input(i)));
  }
  for (uint32_t i = 0; i < source.output_count; ++i) {
    desc.out[i] = source.outputs[i];
    EDDL_CPU_RETURN_IF_ERROR(CheckTensor(desc, desc.out[i], traits->output(i)));
  }
  op->scalar_count = traits->scalar_count();
  return prepare(desc, context, op);
}

int64_t ElementCount(const eddl_tensor_desc& tensor) {
  int64_t count = IsPresent(tensor) ? 1 : 0;
  for (uint32_t d = 0; d < tensor.rank; ++d) count *= tensor.shape[d];
  return count;
}

uint64_t ByteCount(const eddl_tensor_desc& tensor) {
  return static_cast<uint64_t>(ElementCount(tensor)) * ElementBytes(tensor.dtype);
}

uint64_t ElementBytes(eddl_dtype dtype) {
  switch (dtype) {
    case EDDL_F32:
    case EDDL_I32:
      return 4;
    case EDDL_F16:
      return 2;
    case EDDL_U8:
      return 1;
    case EDDL_I64:
      return 8;
    default:
      return 0;
  }
}

std::string ToString(const eddl_tensor_desc& tensor) {
  const char* names[] = {"none", "f32", "f16", "bf16", "i32", "u8", "i64"};
  std::string text = tensor.dtype < std::size(names) ? names[tensor.dtype] : "dtype?";
  text += " [";
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    if (d > 0) text += ", ";
    text += std::to_string(tensor.shape[d]);
  }
  return text + "]";
}

Status ExpectDtype(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype) {
  if (tensor.dtype == dtype) return {};
  eddl_tensor_desc wanted = tensor;
  wanted.dtype = dtype;
  return Error(EDDL_UNIMPLEMENTED, "%s: %s is %s, the cpu backend computes it as %s only", desc.name, role,
               ToString(tensor).c_str(), ToString(wanted).c_str());
}

Status ExpectRank(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, uint32_t rank) {
  EDDL_CPU_REQUIRE(tensor.rank == rank, "%s: %s is %s, expected rank %u", desc.name, role, ToString(tensor).c_str(),
                   rank);
  return {};
}

Status ExpectLike(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, const eddl_tensor_desc& model) {
  bool same = tensor.rank == model.rank && tensor.dtype == model.dtype;
  for (uint32_t d = 0; same && d < tensor.rank; ++d) same = tensor.shape[d] == model.shape[d];
  EDDL_CPU_REQUIRE(same, "%s: %s is %s, expected %s", desc.name, role, ToString(tensor).c_str(),
                   ToString(model).c_str());
  return {};
}

Status Expect(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype,
              std::initializer_list<int64_t> shape) {
  EDDL_CPU_RETURN_IF_ERROR(ExpectDtype(desc, role, tensor, dtype));
  eddl_tensor_desc model = {};
  model.dtype = dtype;
  for (const int64_t size : shape) model.shape[model.rank++] = size;
  return ExpectLike(desc, role, tensor, model);
}

}  // namespace eddl::cpu
