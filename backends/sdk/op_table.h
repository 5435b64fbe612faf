// The facts of eddl_ops.h as a table: each kind's name, tensors, scalars, state, and what it may overwrite or add to.
//
// For code that treats all ops alike: the checked decorator, the conformance suite, planners. It adds nothing to the
// contract; shapes, formulas and tolerances stay in eddl_ops.h. Constants only; C++20; needs only the SDK's C headers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "eddl_ops.h"

namespace eddl {

// One input or output. Most are f32 tensors that must be there, do not accumulate and overlap nothing.
struct OpTensor {
  const char* name = nullptr;   // as in eddl_ops.h
  eddl_dtype dtype = EDDL_F32;  // 0: any, the same for all tensors of the op
  bool optional = false;
  bool accumulate = false;     // outputs: its bit in accumulate_mask may be set
  uint32_t in_place_mask = 0;  // outputs: bit i: may be the same binding as input i
};

// What an op does with args.state.
enum class OpState : uint8_t { kNone, kLeaves, kTakes };

struct OpTraits {
  static constexpr uint32_t kTensorMax = 5;  // listed by name; concat and split repeat their last one

  eddl_op_kind kind = 0;
  const char* name = nullptr;  // "conv2d_grad_weight"
  std::array<OpTensor, kTensorMax> inputs;
  std::array<OpTensor, kTensorMax> outputs;
  uint64_t attrs_size = 0;   // of the kind's struct; 0: no attributes
  const char* scalars = "";  // in order: 'f' for eddl_scalar.f, 'u' for .u
  OpState state = OpState::kNone;
  bool epilogue = false;        // relu and clamp are allowed
  bool repeats_input = false;   // concat: 1 to EDDL_CONCAT_MAX inputs
  bool repeats_output = false;  // split: as many outputs

  // Counts that op_prepare accepts. Optional tensors at the end may be left out.
  constexpr uint32_t input_min() const { return Required(inputs); }
  constexpr uint32_t input_max() const { return repeats_input ? EDDL_CONCAT_MAX : Listed(inputs); }
  constexpr uint32_t output_min() const { return Required(outputs); }
  constexpr uint32_t output_max() const { return repeats_output ? EDDL_CONCAT_MAX : Listed(outputs); }
  // REQUIRES: i < input_max(), i < output_max().
  constexpr const OpTensor& input(uint32_t i) const { return inputs[repeats_input ? 0 : i]; }
  constexpr const OpTensor& output(uint32_t i) const { return outputs[repeats_output ? 0 : i]; }
  // Bit i: output i may accumulate.
  constexpr uint32_t accumulate_mask() const {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < kTensorMax; ++i) mask |= outputs[i].accumulate ? 1u << i : 0u;
    return mask;
  }
  constexpr uint32_t scalar_count() const {
    uint32_t count = 0;
    while (scalars[count] != '\0') ++count;
    return count;
  }

 private:
  static constexpr uint32_t Listed(const std::array<OpTensor, kTensorMax>& tensors) {
    uint32_t count = 0;
    while (count < kTensorMax && tensors[count].name != nullptr) ++count;
    return count;
  }
  static constexpr uint32_t Required(const std::array<OpTensor, kTensorMax>& tensors) {
    uint32_t count = Listed(tensors);
    while (count > 0 && tensors[count - 1].optional) --count;
    return count;
  }
};

namespace op_table {

// The words in which the table is written.
constexpr OpTensor T(const char* name, eddl_dtype dtype = EDDL_F32) { return {.name = name, .dtype = dtype}; }
constexpr OpTensor Any(const char* name) { return {.name = name, .dtype = 0}; }
constexpr OpTensor Optional(OpTensor tensor) {
  tensor.optional = true;
  return tensor;
}
constexpr OpTensor Acc(OpTensor tensor) {
  tensor.accumulate = true;
  return tensor;
}
constexpr OpTensor Over(OpTensor tensor, uint32_t in_place_mask) {
  tensor.in_place_mask = in_place_mask;
  return tensor;
}
constexpr uint32_t kInput0 = 1u << 0, kInput1 = 1u << 1, kInput2 = 1u << 2, kInput3 = 1u << 3;

// y from x.
constexpr OpTraits Unary(eddl_op_kind kind, const char* name, uint64_t attrs_size = 0) {
  return {.kind = kind, .name = name, .inputs = {T("x")}, .outputs = {Over(T("y"), kInput0)}, .attrs_size = attrs_size};
}
// dx from dy and the forward op's result.
constexpr OpTraits UnaryGrad(eddl_op_kind kind, const char* name, uint64_t attrs_size = 0) {
  return {.kind = kind,
          .name = name,
          .inputs = {T("dy"), T("y")},
          .outputs = {Over(T("dx"), kInput0 | kInput1)},
          .attrs_size = attrs_size};
}
// y from a and b.
constexpr OpTraits Binary(eddl_op_kind kind, const char* name, bool epilogue) {
  return {.kind = kind,
          .name = name,
          .inputs = {T("a"), T("b")},
          .outputs = {Over(T("y"), kInput0 | kInput1)},
          .epilogue = epilogue};
}
// y holds what x does, elsewhere.
constexpr OpTraits Move(eddl_op_kind kind, const char* name, uint64_t attrs_size) {
  return {.kind = kind, .name = name, .inputs = {Any("x")}, .outputs = {Any("y")}, .attrs_size = attrs_size};
}

}  // namespace op_table

// Every kind of eddl_ops.h, in its order.
// clang-format off
inline constexpr auto kOpTable = [] {
  using namespace op_table;
  return std::to_array<OpTraits>({
      {.kind = EDDL_OP_MATMUL, .name = "matmul", .inputs = {T("a"), T("b"), Optional(T("bias"))},
       .outputs = {Acc(T("y"))}, .attrs_size = sizeof(eddl_matmul_attrs), .epilogue = true},
      {.kind = EDDL_OP_SPARSE_MATMUL, .name = "sparse_matmul", .inputs = {T("x"), T("w"), Optional(T("bias"))},
       .outputs = {T("y")}, .epilogue = true},
      {.kind = EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, .name = "sparse_matmul_grad_weight", .inputs = {T("x"), T("dy")},
       .outputs = {Acc(T("dw"))}},

      {.kind = EDDL_OP_CONV2D, .name = "conv2d", .inputs = {T("x"), T("w"), Optional(T("bias"))},
       .outputs = {T("y")}, .attrs_size = sizeof(eddl_conv2d_attrs), .epilogue = true},
      {.kind = EDDL_OP_CONV2D_GRAD_INPUT, .name = "conv2d_grad_input", .inputs = {T("dy"), T("w")},
       .outputs = {T("dx")}, .attrs_size = sizeof(eddl_conv2d_attrs)},
      {.kind = EDDL_OP_CONV2D_GRAD_WEIGHT, .name = "conv2d_grad_weight", .inputs = {T("x"), T("dy")},
       .outputs = {Acc(T("dw")), Acc(Optional(T("dbias")))}, .attrs_size = sizeof(eddl_conv2d_attrs)},

      {.kind = EDDL_OP_MAX_POOL2D, .name = "max_pool2d", .inputs = {T("x")}, .outputs = {T("y")},
       .attrs_size = sizeof(eddl_pool2d_attrs), .state = OpState::kLeaves},
      {.kind = EDDL_OP_MAX_POOL2D_GRAD, .name = "max_pool2d_grad", .inputs = {T("dy"), Optional(T("y"))},
       .outputs = {T("dx")}, .attrs_size = sizeof(eddl_pool2d_attrs), .state = OpState::kTakes},
      {.kind = EDDL_OP_AVG_POOL2D, .name = "avg_pool2d", .inputs = {T("x")}, .outputs = {T("y")},
       .attrs_size = sizeof(eddl_pool2d_attrs)},
      {.kind = EDDL_OP_AVG_POOL2D_GRAD, .name = "avg_pool2d_grad", .inputs = {T("dy")}, .outputs = {T("dx")},
       .attrs_size = sizeof(eddl_pool2d_attrs)},
      {.kind = EDDL_OP_GLOBAL_AVG_POOL, .name = "global_avg_pool", .inputs = {T("x")}, .outputs = {T("y")}},
      {.kind = EDDL_OP_GLOBAL_AVG_POOL_GRAD, .name = "global_avg_pool_grad", .inputs = {T("dy")},
       .outputs = {T("dx")}},

      {.kind = EDDL_OP_BATCH_NORM, .name = "batch_norm", .inputs = {T("x"), T("gamma"), T("beta")},
       .outputs = {T("y"), Acc(Optional(T("mean_sum"))), Acc(Optional(T("var_sum")))},
       .attrs_size = sizeof(eddl_batch_norm_attrs), .state = OpState::kLeaves, .epilogue = true},
      {.kind = EDDL_OP_BATCH_NORM_GRAD, .name = "batch_norm_grad",
       .inputs = {T("dy"), T("x"), T("gamma"), Optional(T("y"))},
       .outputs = {Over(T("dx"), kInput0), Acc(T("dgamma")), Acc(T("dbeta"))},
       .attrs_size = sizeof(eddl_batch_norm_attrs), .state = OpState::kTakes},
      {.kind = EDDL_OP_BATCH_NORM_INFERENCE, .name = "batch_norm_inference",
       .inputs = {T("x"), T("gamma"), T("beta"), T("mean"), T("var")}, .outputs = {Over(T("y"), kInput0)},
       .attrs_size = sizeof(eddl_batch_norm_attrs), .epilogue = true},

      {.kind = EDDL_OP_LAYER_NORM, .name = "layer_norm", .inputs = {T("x"), T("gamma"), T("beta")},
       .outputs = {T("y")}, .attrs_size = sizeof(eddl_layer_norm_attrs)},
      {.kind = EDDL_OP_LAYER_NORM_GRAD, .name = "layer_norm_grad", .inputs = {T("dy"), T("x"), T("gamma")},
       .outputs = {Over(T("dx"), kInput0), Acc(T("dgamma")), Acc(T("dbeta"))},
       .attrs_size = sizeof(eddl_layer_norm_attrs)},

      Unary(EDDL_OP_RELU, "relu"),
      Unary(EDDL_OP_SIGMOID, "sigmoid"),
      Unary(EDDL_OP_TANH, "tanh"),
      Unary(EDDL_OP_CLAMP, "clamp", sizeof(eddl_clamp_attrs)),
      UnaryGrad(EDDL_OP_RELU_GRAD, "relu_grad"),
      UnaryGrad(EDDL_OP_SIGMOID_GRAD, "sigmoid_grad"),
      UnaryGrad(EDDL_OP_TANH_GRAD, "tanh_grad"),
      UnaryGrad(EDDL_OP_CLAMP_GRAD, "clamp_grad", sizeof(eddl_clamp_attrs)),
      Unary(EDDL_OP_GELU, "gelu"),
      Unary(EDDL_OP_LEAKY_RELU, "leaky_relu", sizeof(eddl_leaky_relu_attrs)),
      Binary(EDDL_OP_ADD, "add", /*epilogue=*/true),
      Binary(EDDL_OP_MUL, "mul", /*epilogue=*/false),
      {.kind = EDDL_OP_GELU_GRAD, .name = "gelu_grad", .inputs = {T("dy"), T("x")},
       .outputs = {Over(T("dx"), kInput0 | kInput1)}},
      UnaryGrad(EDDL_OP_LEAKY_RELU_GRAD, "leaky_relu_grad", sizeof(eddl_leaky_relu_attrs)),

      {.kind = EDDL_OP_CONCAT, .name = "concat", .inputs = {Any("x")}, .outputs = {Any("y")},
       .attrs_size = sizeof(eddl_axis_attrs), .repeats_input = true},
      {.kind = EDDL_OP_SPLIT, .name = "split", .inputs = {Any("x")}, .outputs = {Any("y")},
       .attrs_size = sizeof(eddl_axis_attrs), .repeats_output = true},
      Move(EDDL_OP_SLICE, "slice", sizeof(eddl_slice_attrs)),
      Move(EDDL_OP_PAD, "pad", sizeof(eddl_slice_attrs)),
      Move(EDDL_OP_TRANSPOSE, "transpose", sizeof(eddl_transpose_attrs)),
      {.kind = EDDL_OP_BROADCAST, .name = "broadcast", .inputs = {T("x")}, .outputs = {T("y")},
       .attrs_size = sizeof(eddl_reduce_attrs)},
      {.kind = EDDL_OP_REDUCE, .name = "reduce", .inputs = {T("x")}, .outputs = {Acc(T("y"))},
       .attrs_size = sizeof(eddl_reduce_attrs)},

      {.kind = EDDL_OP_DROPOUT, .name = "dropout", .inputs = {T("x"), T("sample", EDDL_I64)},
       .outputs = {Over(T("y"), kInput0)}, .attrs_size = sizeof(eddl_dropout_attrs), .scalars = "uu"},

      Unary(EDDL_OP_SOFTMAX, "softmax"),
      {.kind = EDDL_OP_SOFTMAX_XENT, .name = "softmax_xent", .inputs = {T("x"), T("label", EDDL_I32)},
       .outputs = {Acc(T("loss")), Acc(T("correct")), Optional(T("dx"))}},

      {.kind = EDDL_OP_SIGMOID_BCE, .name = "sigmoid_bce", .inputs = {T("x"), T("target")},
       .outputs = {Acc(T("loss")), Optional(T("dx"))}},
      {.kind = EDDL_OP_MSE, .name = "mse", .inputs = {T("x"), T("target")},
       .outputs = {Acc(T("loss")), Optional(T("dx"))}},

      {.kind = EDDL_OP_NORMALIZE_U8, .name = "normalize_u8", .inputs = {T("x", EDDL_U8), T("scale"), T("shift")},
       .outputs = {T("y")}},

      {.kind = EDDL_OP_AXPY, .name = "axpy", .inputs = {T("x"), T("y")}, .outputs = {Over(T("y"), kInput1)},
       .scalars = "f"},
      {.kind = EDDL_OP_SCALE, .name = "scale", .inputs = {T("x")}, .outputs = {Over(T("x"), kInput0)},
       .scalars = "f"},
      {.kind = EDDL_OP_SUM_SQUARES, .name = "sum_squares", .inputs = {T("x")}, .outputs = {Acc(T("y"))}},
      {.kind = EDDL_OP_ABS_MAX, .name = "abs_max", .inputs = {T("x")}, .outputs = {T("y")}},
      {.kind = EDDL_OP_PACK_F16, .name = "pack_f16", .inputs = {T("x")}, .outputs = {T("y", EDDL_F16)}},
      {.kind = EDDL_OP_UNPACK_F16, .name = "unpack_f16", .inputs = {T("x", EDDL_F16)}, .outputs = {T("y")}},
      {.kind = EDDL_OP_FIXED_ADD, .name = "fixed_add", .inputs = {T("x"), T("acc", EDDL_I64)},
       .outputs = {Over(T("acc", EDDL_I64), kInput1)}, .scalars = "f"},
      {.kind = EDDL_OP_FIXED_TO_FLOAT, .name = "fixed_to_float", .inputs = {T("acc", EDDL_I64)},
       .outputs = {T("y")}, .scalars = "f"},

      {.kind = EDDL_OP_SGD, .name = "sgd", .inputs = {T("grad"), T("param"), Optional(T("velocity"))},
       .outputs = {Over(T("param"), kInput1), Over(Optional(T("velocity")), kInput2)},
       .attrs_size = sizeof(eddl_sgd_attrs), .scalars = "ff"},
      {.kind = EDDL_OP_ADAM, .name = "adam", .inputs = {T("grad"), T("param"), T("m"), T("v")},
       .outputs = {Over(T("param"), kInput1), Over(T("m"), kInput2), Over(T("v"), kInput3)},
       .attrs_size = sizeof(eddl_adam_attrs), .scalars = "ffu"},
      {.kind = EDDL_OP_STATISTICS_UPDATE, .name = "statistics_update", .inputs = {T("sum"), T("running")},
       .outputs = {Over(T("running"), kInput1)}, .attrs_size = sizeof(eddl_statistics_attrs), .scalars = "f"},
  });
}();
// clang-format on

// nullptr for a kind that this version does not know.
constexpr const OpTraits* FindOpTraits(eddl_op_kind kind) {
  for (const OpTraits& traits : kOpTable) {
    if (traits.kind == kind) return &traits;
  }
  return nullptr;
}

}  // namespace eddl
