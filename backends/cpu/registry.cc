#include <cinttypes>
#include <cstdio>

#include "backends/cpu/op.h"

namespace eddl::cpu {
namespace {

// What eddl_ops.h says of every kind and can be checked before shapes are looked at.
struct Kind {
  eddl_op_kind kind;
  const char* name;
  uint32_t inputs_max;
  uint32_t outputs_max;
  uint32_t optional_inputs;   // bit i: input i may be absent
  uint32_t optional_outputs;  // bit i: output i may be absent
  uint32_t accumulate;        // bit i: output i may accumulate
  bool epilogue;
  PrepareFn prepare;
};

constexpr uint32_t kVariadic = 0xfffeu;  // all but the first

constexpr Kind kKinds[] = {
    {EDDL_OP_MATMUL, "matmul", 3, 1, 4, 0, 1, true, PrepareMatmul},
    {EDDL_OP_SPARSE_MATMUL, "sparse_matmul", 3, 1, 4, 0, 0, true, PrepareSparseMatmul},
    {EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, "sparse_matmul_grad_weight", 2, 1, 0, 0, 1, false,
     PrepareSparseMatmulGradWeight},
    {EDDL_OP_CONV2D, "conv2d", 3, 1, 4, 0, 0, true, PrepareConv2d},
    {EDDL_OP_CONV2D_GRAD_INPUT, "conv2d_grad_input", 2, 1, 0, 0, 0, false, PrepareConv2dGradInput},
    {EDDL_OP_CONV2D_GRAD_WEIGHT, "conv2d_grad_weight", 2, 2, 0, 2, 3, false, PrepareConv2dGradWeight},
    {EDDL_OP_MAX_POOL2D, "max_pool2d", 1, 1, 0, 0, 0, false, PrepareMaxPool2d},
    {EDDL_OP_MAX_POOL2D_GRAD, "max_pool2d_grad", 2, 1, 2, 0, 0, false, PrepareMaxPool2dGrad},
    {EDDL_OP_AVG_POOL2D, "avg_pool2d", 1, 1, 0, 0, 0, false, PrepareAvgPool2d},
    {EDDL_OP_AVG_POOL2D_GRAD, "avg_pool2d_grad", 1, 1, 0, 0, 0, false, PrepareAvgPool2dGrad},
    {EDDL_OP_GLOBAL_AVG_POOL, "global_avg_pool", 1, 1, 0, 0, 0, false, PrepareGlobalAvgPool},
    {EDDL_OP_GLOBAL_AVG_POOL_GRAD, "global_avg_pool_grad", 1, 1, 0, 0, 0, false, PrepareGlobalAvgPoolGrad},
    {EDDL_OP_BATCH_NORM, "batch_norm", 3, 3, 0, 0, 6, true, PrepareBatchNorm},
    {EDDL_OP_BATCH_NORM_GRAD, "batch_norm_grad", 4, 3, 8, 0, 6, false, PrepareBatchNormGrad},
    {EDDL_OP_BATCH_NORM_INFERENCE, "batch_norm_inference", 5, 1, 0, 0, 0, true, PrepareBatchNormInference},
    {EDDL_OP_RELU, "relu", 1, 1, 0, 0, 0, false, PrepareUnary},
    {EDDL_OP_SIGMOID, "sigmoid", 1, 1, 0, 0, 0, false, PrepareUnary},
    {EDDL_OP_TANH, "tanh", 1, 1, 0, 0, 0, false, PrepareUnary},
    {EDDL_OP_CLAMP, "clamp", 1, 1, 0, 0, 0, false, PrepareUnary},
    {EDDL_OP_RELU_GRAD, "relu_grad", 2, 1, 0, 0, 0, false, PrepareUnaryGrad},
    {EDDL_OP_SIGMOID_GRAD, "sigmoid_grad", 2, 1, 0, 0, 0, false, PrepareUnaryGrad},
    {EDDL_OP_TANH_GRAD, "tanh_grad", 2, 1, 0, 0, 0, false, PrepareUnaryGrad},
    {EDDL_OP_CLAMP_GRAD, "clamp_grad", 2, 1, 0, 0, 0, false, PrepareUnaryGrad},
    {EDDL_OP_ADD, "add", 2, 1, 0, 0, 0, true, PrepareAdd},
    {EDDL_OP_MUL, "mul", 2, 1, 0, 0, 0, false, PrepareMul},
    {EDDL_OP_CONCAT, "concat", EDDL_CONCAT_MAX, 1, kVariadic, 0, 0, false, PrepareConcat},
    {EDDL_OP_SPLIT, "split", 1, EDDL_CONCAT_MAX, 0, kVariadic, 0, false, PrepareSplit},
    {EDDL_OP_SLICE, "slice", 1, 1, 0, 0, 0, false, PrepareSlice},
    {EDDL_OP_PAD, "pad", 1, 1, 0, 0, 0, false, PreparePad},
    {EDDL_OP_TRANSPOSE, "transpose", 1, 1, 0, 0, 0, false, PrepareTranspose},
    {EDDL_OP_BROADCAST, "broadcast", 1, 1, 0, 0, 0, false, PrepareBroadcast},
    {EDDL_OP_REDUCE, "reduce", 1, 1, 0, 0, 1, false, PrepareReduce},
    {EDDL_OP_DROPOUT, "dropout", 2, 1, 0, 0, 0, false, PrepareDropout},
    {EDDL_OP_SOFTMAX, "softmax", 1, 1, 0, 0, 0, false, PrepareSoftmax},
    {EDDL_OP_SOFTMAX_XENT, "softmax_xent", 2, 3, 0, 4, 3, false, PrepareSoftmaxXent},
    {EDDL_OP_NORMALIZE_U8, "normalize_u8", 3, 1, 0, 0, 0, false, PrepareNormalizeU8},
    {EDDL_OP_AXPY, "axpy", 2, 1, 0, 0, 0, false, PrepareAxpy},
    {EDDL_OP_SCALE, "scale", 1, 1, 0, 0, 0, false, PrepareScale},
    {EDDL_OP_SUM_SQUARES, "sum_squares", 1, 1, 0, 0, 1, false, PrepareSumSquares},
    {EDDL_OP_ABS_MAX, "abs_max", 1, 1, 0, 0, 0, false, PrepareAbsMax},
    {EDDL_OP_PACK_F16, "pack_f16", 1, 1, 0, 0, 0, false, PreparePackF16},
    {EDDL_OP_UNPACK_F16, "unpack_f16", 1, 1, 0, 0, 0, false, PrepareUnpackF16},
    {EDDL_OP_FIXED_ADD, "fixed_add", 2, 1, 0, 0, 0, false, PrepareFixedAdd},
    {EDDL_OP_FIXED_TO_FLOAT, "fixed_to_float", 1, 1, 0, 0, 0, false, PrepareFixedToFloat},
    {EDDL_OP_SGD, "sgd", 3, 2, 4, 2, 0, false, PrepareSgd},
    {EDDL_OP_ADAM, "adam", 4, 3, 0, 0, 0, false, PrepareAdam},
    {EDDL_OP_STATISTICS_UPDATE, "statistics_update", 2, 1, 0, 0, 0, false, PrepareStatisticsUpdate},
};

const Kind* FindKind(eddl_op_kind kind) {
  for (const Kind& known : kKinds) {
    if (known.kind == kind) return &known;
  }
  return nullptr;
}

Status CheckTensor(const char* op, const char* side, uint32_t index, const eddl_tensor_desc& tensor, bool optional,
                   bool may_be_empty) {
  if (!IsPresent(tensor)) {
    EDDL_CPU_REQUIRE(optional && tensor.rank == 0, "%s: %s %u is missing", op, side, index);
    return {};
  }
  EDDL_CPU_REQUIRE(tensor.rank >= 1 && tensor.rank <= EDDL_RANK_MAX, "%s: %s %u has rank %u, allowed are 1 to %d", op,
                   side, index, tensor.rank, EDDL_RANK_MAX);
  if (ElementBytes(tensor.dtype) == 0) {
    return Error(EDDL_UNIMPLEMENTED, "%s: %s %u has dtype %u, which the cpu backend lacks", op, side, index,
                 tensor.dtype);
  }
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    EDDL_CPU_REQUIRE(tensor.shape[d] >= (may_be_empty ? 0 : 1), "%s: %s %u has size %" PRId64 " in dimension %u", op,
                     side, index, tensor.shape[d], d);
  }
  return {};
}

Status CheckGeneral(const Kind& kind, const eddl_op_desc& source) {
  const char* name = kind.name;
  EDDL_CPU_REQUIRE(source.input_count <= kind.inputs_max && source.output_count <= kind.outputs_max,
                   "%s takes at most %u inputs and %u outputs, got %u and %u", name, kind.inputs_max, kind.outputs_max,
                   source.input_count, source.output_count);
  EDDL_CPU_REQUIRE(
      (source.input_count == 0 || source.inputs != nullptr) && (source.output_count == 0 || source.outputs != nullptr),
      "%s: the tensor arrays are NULL", name);
  EDDL_CPU_REQUIRE((source.accumulate_mask & ~kind.accumulate) == 0,
                   "%s: accumulate_mask is %#x, but only the outputs in %#x accumulate", name, source.accumulate_mask,
                   kind.accumulate);
  EDDL_CPU_REQUIRE(source.epilogue == EDDL_EPILOGUE_NONE || kind.epilogue, "%s takes no epilogue, got %u", name,
                   source.epilogue);
  if (source.epilogue > EDDL_EPILOGUE_CLAMP) {
    return Error(EDDL_UNIMPLEMENTED, "%s: epilogue %u is not known to the cpu backend", name, source.epilogue);
  }
  return {};
}

}  // namespace

Status PrepareOp(const eddl_op_desc& source, const Context& context, PreparedOp* op) {
  const Kind* kind = FindKind(source.kind);
  if (kind == nullptr) return Error(EDDL_UNIMPLEMENTED, "op kind %u is not known to the cpu backend", source.kind);
  EDDL_CPU_RETURN_IF_ERROR(CheckGeneral(*kind, source));
  OpDesc desc = {.name = kind->name,
                 .kind = source.kind,
                 .input_count = source.input_count,
                 .output_count = source.output_count,
                 .attrs = source.attrs,
                 .attrs_size = source.attrs_size,
                 .epilogue = source.epilogue,
                 .accumulate_mask = source.accumulate_mask,
                 .epilogue_min = source.epilogue_min,
                 .epilogue_max = source.epilogue_max};
  const bool may_be_empty = source.kind >= EDDL_OP_AXPY;  // a shard of the flat vector may have no element
  for (uint32_t i = 0; i < kind->inputs_max; ++i) {
    if (i < source.input_count) desc.in[i] = source.inputs[i];
    EDDL_CPU_RETURN_IF_ERROR(
        CheckTensor(kind->name, "input", i, desc.in[i], (kind->optional_inputs >> i) & 1u, may_be_empty));
  }
  for (uint32_t i = 0; i < kind->outputs_max; ++i) {
    if (i < source.output_count) desc.out[i] = source.outputs[i];
    EDDL_CPU_RETURN_IF_ERROR(
        CheckTensor(kind->name, "output", i, desc.out[i], (kind->optional_outputs >> i) & 1u, may_be_empty));
  }
  return kind->prepare(desc, context, op);
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
