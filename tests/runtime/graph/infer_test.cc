#include "runtime/graph/infer.h"

#include <gtest/gtest.h>

#include "runtime/base/status.h"

namespace eddl {
namespace {

std::string Infer(eddl_op_kind kind, std::vector<TensorDesc> inputs, const OpAttrs& attrs = {}) {
  const absl::StatusOr<std::vector<TensorDesc>> outputs = InferOutputs(kind, inputs, attrs);
  if (!outputs.ok()) return MessageOf(outputs.status());
  std::string text;
  for (const TensorDesc& output : *outputs) text += (text.empty() ? "" : " ") + output.ToString();
  return text;
}

TensorDesc F32(Shape shape) { return {shape, DType::kF32}; }

eddl_conv2d_attrs Conv(uint32_t stride, uint32_t pad, uint32_t dilation = 1, uint32_t groups = 1) {
  return {.struct_size = sizeof(eddl_conv2d_attrs),
          .groups = groups,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = pad,
          .pad_left = pad,
          .pad_bottom = pad,
          .pad_right = pad,
          .dilation_h = dilation,
          .dilation_w = dilation};
}

TEST(InferTest, MatmulFollowsTransposes) {
  const auto attrs = [](uint32_t a, uint32_t b) {
    return Attributes(eddl_matmul_attrs{.transpose_a = a, .transpose_b = b});
  };
  EXPECT_EQ(Infer(EDDL_OP_MATMUL, {F32({3, 4}), F32({4, 5})}, attrs(0, 0)), "f32[3, 5]");
  EXPECT_EQ(Infer(EDDL_OP_MATMUL, {F32({4, 3}), F32({5, 4}), F32({5})}, attrs(1, 1)), "f32[3, 5]");
  EXPECT_EQ(Infer(EDDL_OP_MATMUL, {F32({2, 3, 4}), F32({2, 4, 5})}, attrs(0, 0)), "f32[2, 3, 5]");
}

TEST(InferTest, MatmulNamesWhatDoesNotFit) {
  const OpAttrs plain = Attributes(eddl_matmul_attrs{});
  EXPECT_EQ(Infer(EDDL_OP_MATMUL, {F32({3, 4}), F32({5, 4})}, plain),
            "matmul of f32[3, 4] f32[5, 4]: inner dimensions differ");
  EXPECT_EQ(Infer(EDDL_OP_MATMUL, {F32({3, 4}), F32({4, 5}), F32({4})}, plain),
            "matmul of f32[3, 4] f32[4, 5] f32[4]: the bias does not fit");
  EXPECT_EQ(Infer(EDDL_OP_MATMUL, {F32({3, 4})}, plain), "matmul needs input 1");
}

TEST(InferTest, ConvolutionSizesFollowPadStrideAndDilation) {
  EXPECT_EQ(Infer(EDDL_OP_CONV2D, {F32({2, 28, 28, 1}), F32({6, 5, 5, 1})}, Conv(1, 2)), "f32[2, 28, 28, 6]");
  EXPECT_EQ(Infer(EDDL_OP_CONV2D, {F32({2, 9, 7, 4}), F32({6, 3, 3, 2})}, Conv(2, 0, 2, 2)), "f32[2, 3, 2, 6]");
  EXPECT_EQ(Infer(EDDL_OP_CONV2D, {F32({2, 2, 2, 1}), F32({6, 5, 5, 1})}, Conv(1, 0)),
            "conv2d of f32[2, 2, 2, 1] f32[6, 5, 5, 1]: the kernel is larger than the padded input");
  EXPECT_EQ(Infer(EDDL_OP_CONV2D, {F32({2, 8, 8, 3}), F32({6, 5, 5, 2})}, Conv(1, 0)),
            "conv2d of f32[2, 8, 8, 3] f32[6, 5, 5, 2]: channels do not fit 1 groups");
}

TEST(InferTest, CeilModeAddsAWindowThatBeginsInsideTheInput) {
  EXPECT_EQ(WindowOutputSize(5, 2, 2, 0, 0, 1, false), 2);
  EXPECT_EQ(WindowOutputSize(5, 2, 2, 0, 0, 1, true), 3);
  // The third window would begin in the padding on the right: dropped.
  EXPECT_EQ(WindowOutputSize(3, 2, 2, 0, 1, 1, true), 2);
  EXPECT_EQ(WindowOutputSize(3, 1, 3, 0, 1, 1, true), 1);
}

TEST(InferTest, ReduceDropsTheMaskedDimensions) {
  const auto mask = [](uint32_t bits) { return Attributes(eddl_reduce_attrs{.axis_mask = bits}); };
  EXPECT_EQ(Infer(EDDL_OP_REDUCE, {F32({2, 3, 4})}, mask(0b011)), "f32[4]");
  EXPECT_EQ(Infer(EDDL_OP_REDUCE, {F32({2, 3, 4})}, mask(0b111)), "f32[1]");
  EXPECT_EQ(Infer(EDDL_OP_REDUCE, {F32({2, 3})}, mask(0b100)), "reduce of f32[2, 3]: axis mask 4");
}

TEST(InferTest, ConcatAddsUpAlongItsAxis) {
  const OpAttrs axis = Attributes(eddl_axis_attrs{.axis = 3});
  EXPECT_EQ(Infer(EDDL_OP_CONCAT, {F32({1, 2, 2, 3}), F32({1, 2, 2, 4})}, axis), "f32[1, 2, 2, 7]");
  EXPECT_EQ(Infer(EDDL_OP_CONCAT, {F32({1, 2, 2, 3}), F32({1, 3, 2, 4})}, axis),
            "concat of f32[1, 2, 2, 3] f32[1, 3, 2, 4]: shapes differ off the axis");
}

TEST(InferTest, TransposeMovesDimensions) {
  EXPECT_EQ(Infer(EDDL_OP_TRANSPOSE, {F32({2, 3, 4})}, Attributes(eddl_transpose_attrs{.permutation = {2, 0, 1}})),
            "f32[4, 2, 3]");
  EXPECT_EQ(Infer(EDDL_OP_TRANSPOSE, {F32({2, 3})}, Attributes(eddl_transpose_attrs{.permutation = {1, 1}})),
            "transpose of f32[2, 3]: the permutation is none");
}

TEST(InferTest, LossNeedsOneLabelPerRow) {
  EXPECT_EQ(Infer(EDDL_OP_SOFTMAX_XENT, {F32({4, 10}), {{4}, DType::kI32}}), "f32[1] f32[1] f32[4, 10]");
  EXPECT_EQ(Infer(EDDL_OP_SOFTMAX_XENT, {F32({4, 10}), {{5}, DType::kI32}}),
            "softmax_xent of f32[4, 10] i32[5]: labels must be i32[4]");
}

TEST(InferTest, GradientsAreNotInferred) {
  EXPECT_EQ(Infer(EDDL_OP_SLICE, {F32({4})}, Attributes(eddl_slice_attrs{})),
            "outputs of slice do not follow from its inputs; use AddShaped");
}

}  // namespace
}  // namespace eddl
