// Every gradient reference is a formula of its own; here each is compared with the derivative of its forward reference.
#include <gtest/gtest.h>

#include "tests/kernels/fixtures.h"

namespace eddl::kernels {
namespace {

constexpr double kTolerance = 1e-7;  // of a derivative, in double
constexpr int kShapes = 25;

int64_t OutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pads, int64_t dilation = 1) {
  return (size + pads - dilation * (kernel - 1) - 1) / stride + 1;
}

std::string ShapesOf(const Op& op) {
  std::string text;
  for (const eddl_tensor_desc& tensor : op.inputs) {
    text += "[";
    for (uint32_t d = 0; d < tensor.rank; ++d) text += std::to_string(tensor.shape[d]) + " ";
    text.back() = ']';
  }
  return text;
}

Op RandomConv2d(Rng& rng) {
  const auto small = [&](int64_t low, int64_t high) { return static_cast<uint32_t>(Between(rng, low, high)); };
  const eddl_conv2d_attrs attrs = {.groups = small(1, 3),
                                   .stride_h = small(1, 3),
                                   .stride_w = small(1, 2),
                                   .pad_top = small(0, 2),
                                   .pad_left = small(0, 2),
                                   .pad_bottom = small(0, 2),
                                   .pad_right = small(0, 2),
                                   .dilation_h = small(1, 2),
                                   .dilation_w = small(1, 3)};
  const int64_t r = Between(rng, 1, 3), s = Between(rng, 1, 3), c = Between(rng, 1, 2), k = Between(rng, 1, 2);
  const int64_t h = Between(rng, attrs.dilation_h * (r - 1) + 1, 6);
  const int64_t w = Between(rng, attrs.dilation_w * (s - 1) + 1, 7);
  const int64_t n = Between(rng, 1, 2), groups = attrs.groups;
  const int64_t p = OutputSize(h, r, attrs.stride_h, attrs.pad_top + attrs.pad_bottom, attrs.dilation_h);
  const int64_t q = OutputSize(w, s, attrs.stride_w, attrs.pad_left + attrs.pad_right, attrs.dilation_w);
  return {EDDL_OP_CONV2D,
          {F32({n, h, w, c * groups}), F32({k * groups, r, s, c}), F32({k * groups})},
          {F32({n, p, q, k * groups})},
          attrs};
}

TEST(GradientTest, Conv2dGradientsAreDerivativesOfConv2d) {
  Rng rng(1);
  for (int round = 0; round < kShapes; ++round) {
    const Op conv = RandomConv2d(rng);
    const std::vector<Tensor> inputs = {Random(conv.inputs[0], rng), Random(conv.inputs[1], rng),
                                        Random(conv.inputs[2], rng)};
    const Tensor dy = Random(conv.outputs[0], rng);
    Op grad_input = conv, grad_weight = conv;
    grad_input.kind = EDDL_OP_CONV2D_GRAD_INPUT;
    grad_input.inputs = {conv.outputs[0], conv.inputs[1]};
    grad_input.outputs = {conv.inputs[0]};
    grad_weight.kind = EDDL_OP_CONV2D_GRAD_WEIGHT;
    grad_weight.inputs = {conv.inputs[0], conv.outputs[0]};
    grad_weight.outputs = {conv.inputs[1], conv.inputs[2]};
    const Tensor to_input[] = {dy, inputs[1]};
    const Tensor to_weight[] = {inputs[0], dy};
    const auto dx = RunReference({.desc = grad_input.desc(), .inputs = to_input});
    const auto dw = RunReference({.desc = grad_weight.desc(), .inputs = to_weight});
    EXPECT_LT(DerivativeError(conv, inputs, 0, dy, dx[0]), kTolerance) << ShapesOf(conv);
    EXPECT_LT(DerivativeError(conv, inputs, 1, dy, dw[0]), kTolerance) << ShapesOf(conv);
    EXPECT_LT(DerivativeError(conv, inputs, 2, dy, dw[1]), kTolerance) << ShapesOf(conv);
  }
}

// The gradients of a product are products: da = dy b^T, db = a^T dy.
TEST(GradientTest, MatmulOfTransposesIsTheDerivativeOfMatmul) {
  Rng rng(2);
  for (int round = 0; round < kShapes; ++round) {
    const int64_t batch = Between(rng, 1, 3), p = Between(rng, 1, 5), q = Between(rng, 1, 5), r = Between(rng, 1, 5);
    const Op matmul(EDDL_OP_MATMUL, {F32({batch, p, r}), F32({batch, r, q})}, {F32({batch, p, q})},
                    eddl_matmul_attrs{});
    const Op grad_a(EDDL_OP_MATMUL, {F32({batch, p, q}), F32({batch, r, q})}, {F32({batch, p, r})},
                    eddl_matmul_attrs{.transpose_b = 1});
    const Op grad_b(EDDL_OP_MATMUL, {F32({batch, p, r}), F32({batch, p, q})}, {F32({batch, r, q})},
                    eddl_matmul_attrs{.transpose_a = 1});
    const std::vector<Tensor> inputs = {Random(matmul.inputs[0], rng), Random(matmul.inputs[1], rng)};
    const Tensor dy = Random(matmul.outputs[0], rng);
    const Tensor to_a[] = {dy, inputs[1]};
    const Tensor to_b[] = {inputs[0], dy};
    const auto da = RunReference({.desc = grad_a.desc(), .inputs = to_a});
    const auto db = RunReference({.desc = grad_b.desc(), .inputs = to_b});
    EXPECT_LT(DerivativeError(matmul, inputs, 0, dy, da[0]), kTolerance) << ShapesOf(matmul);
    EXPECT_LT(DerivativeError(matmul, inputs, 1, dy, db[0]), kTolerance) << ShapesOf(matmul);
  }
}

TEST(GradientTest, SparseMatmulGradWeightIsTheDerivativeOfSparseMatmul) {
  Rng rng(3);
  for (int round = 0; round < kShapes; ++round) {
    const int64_t n = Between(rng, 1, 5), f = Between(rng, 1, 7), m = Between(rng, 1, 4);
    const Op matmul(EDDL_OP_SPARSE_MATMUL, {F32({n, f}), F32({f, m}), F32({m})}, {F32({n, m})});
    const Op grad(EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, {F32({n, f}), F32({n, m})}, {F32({f, m})});
    std::vector<Tensor> inputs = {Random(matmul.inputs[0], rng), Random(matmul.inputs[1], rng),
                                  Random(matmul.inputs[2], rng)};
    for (int64_t i = 0; i < inputs[0].size(); ++i) {
      if (rng.Below(4) != 0) inputs[0].At(i) = 0.0;
    }
    const Tensor dy = Random(matmul.outputs[0], rng);
    const Tensor to_weight[] = {inputs[0], dy};
    const auto dw = RunReference({.desc = grad.desc(), .inputs = to_weight});
    EXPECT_LT(DerivativeError(matmul, inputs, 1, dy, dw[0]), kTolerance) << ShapesOf(matmul);
  }
}

Op RandomPool2d(eddl_op_kind kind, Rng& rng) {
  const auto small = [&](int64_t low, int64_t high) { return static_cast<uint32_t>(Between(rng, low, high)); };
  eddl_pool2d_attrs attrs = {
      .kernel_h = small(1, 3), .kernel_w = small(1, 3), .stride_h = small(1, 3), .stride_w = small(1, 3)};
  attrs.pad_top = small(0, attrs.kernel_h - 1);
  attrs.pad_bottom = small(0, attrs.kernel_h - 1);
  attrs.pad_left = small(0, attrs.kernel_w - 1);
  attrs.pad_right = small(0, attrs.kernel_w - 1);
  attrs.ceil_mode = small(0, 1);
  attrs.count_include_pad = kind == EDDL_OP_AVG_POOL2D ? small(0, 1) : 0;
  const int64_t h = Between(rng, attrs.kernel_h, 7), w = Between(rng, attrs.kernel_w, 7);
  const auto size = [&](int64_t input, int64_t kernel, int64_t stride, int64_t pad_begin, int64_t pad_end) {
    int64_t count = OutputSize(input, kernel, stride, pad_begin + pad_end);
    const bool fits = (input + pad_begin + pad_end - kernel) % stride == 0;
    return attrs.ceil_mode && !fits && count * stride < input + pad_begin ? count + 1 : count;
  };
  const int64_t n = Between(rng, 1, 2), c = Between(rng, 1, 3);
  return {kind,
          {F32({n, h, w, c})},
          {F32({n, size(h, attrs.kernel_h, attrs.stride_h, attrs.pad_top, attrs.pad_bottom),
                size(w, attrs.kernel_w, attrs.stride_w, attrs.pad_left, attrs.pad_right), c})},
          attrs};
}

TEST(GradientTest, AvgPool2dGradIsTheDerivativeOfAvgPool2d) {
  Rng rng(4);
  for (int round = 0; round < 2 * kShapes; ++round) {
    const Op pool = RandomPool2d(EDDL_OP_AVG_POOL2D, rng);
    Op grad = pool;
    grad.kind = EDDL_OP_AVG_POOL2D_GRAD;
    std::swap(grad.inputs, grad.outputs);
    const std::vector<Tensor> inputs = {Random(pool.inputs[0], rng)};
    const Tensor dy[] = {Random(pool.outputs[0], rng)};
    const auto dx = RunReference({.desc = grad.desc(), .inputs = dy});
    EXPECT_LT(DerivativeError(pool, inputs, 0, dy[0], dx[0]), kTolerance) << ShapesOf(pool);
  }
}

TEST(GradientTest, MaxPool2dGradIsTheDerivativeOfMaxPool2d) {
  Rng rng(5);
  for (int round = 0; round < 2 * kShapes; ++round) {
    const Op pool = RandomPool2d(EDDL_OP_MAX_POOL2D, rng);
    Op grad = pool;
    grad.kind = EDDL_OP_MAX_POOL2D_GRAD;
    std::swap(grad.inputs, grad.outputs);
    const std::vector<Tensor> inputs = {Distinct(pool.inputs[0], rng)};
    const Tensor dy[] = {Random(pool.outputs[0], rng)};
    const auto dx = RunReference({.desc = grad.desc(), .inputs = dy, .forward_inputs = inputs});
    EXPECT_LT(DerivativeError(pool, inputs, 0, dy[0], dx[0]), kTolerance) << ShapesOf(pool);
  }
}

// With attrs.relu the op is the gradient of max pooling and of the relu before it, in one.
TEST(GradientTest, MaxPool2dGradWithReluIsTheDerivativeOfBoth) {
  Rng rng(6);
  for (int round = 0; round < kShapes; ++round) {
    const Op pool = RandomPool2d(EDDL_OP_MAX_POOL2D, rng);
    eddl_pool2d_attrs attrs;
    std::memcpy(&attrs, pool.attrs.data(), sizeof(attrs));
    attrs.relu = 1;
    const Op grad(EDDL_OP_MAX_POOL2D_GRAD, {pool.outputs[0], pool.outputs[0]}, {pool.inputs[0]}, attrs);
    const Op relu(EDDL_OP_RELU, {pool.inputs[0]}, {pool.inputs[0]});
    const Op relu_grad(EDDL_OP_RELU_GRAD, {pool.inputs[0], pool.inputs[0]}, {pool.inputs[0]});
    Op plain_grad = pool;
    plain_grad.kind = EDDL_OP_MAX_POOL2D_GRAD;
    std::swap(plain_grad.inputs, plain_grad.outputs);

    const std::vector<Tensor> z = {Distinct(pool.inputs[0], rng)};
    const auto x = RunReference({.desc = relu.desc(), .inputs = z});
    const auto y = RunReference({.desc = pool.desc(), .inputs = x});
    const Tensor dy = Random(pool.outputs[0], rng);
    const Tensor dy_and_y[] = {dy, y[0]};
    const auto fused = RunReference({.desc = grad.desc(), .inputs = dy_and_y, .forward_inputs = x});
    const Tensor only_dy[] = {dy};
    const auto dx = RunReference({.desc = plain_grad.desc(), .inputs = only_dy, .forward_inputs = x});
    const Tensor dx_and_x[] = {dx[0], x[0]};
    const auto apart = RunReference({.desc = relu_grad.desc(), .inputs = dx_and_x});
    EXPECT_EQ(Text(fused[0]), Text(apart[0])) << ShapesOf(pool);
  }
}

TEST(GradientTest, GlobalAvgPoolGradIsTheDerivativeOfGlobalAvgPool) {
  Rng rng(7);
  for (int round = 0; round < kShapes; ++round) {
    const int64_t n = Between(rng, 1, 3), h = Between(rng, 1, 5), w = Between(rng, 1, 5), c = Between(rng, 1, 4);
    const Op pool(EDDL_OP_GLOBAL_AVG_POOL, {F32({n, h, w, c})}, {F32({n, c})});
    const Op grad(EDDL_OP_GLOBAL_AVG_POOL_GRAD, {F32({n, c})}, {F32({n, h, w, c})});
    const Tensor dy[] = {Random(pool.outputs[0], rng)};
    const auto dx = RunReference({.desc = grad.desc(), .inputs = dy});
    EXPECT_LT(DerivativeError(pool, {Random(pool.inputs[0], rng)}, 0, dy[0], dx[0]), kTolerance) << ShapesOf(pool);
  }
}

// The smallest distance of an element from 0: derivatives near a relu's bend would be of neither side.
double DistanceFromZero(const Tensor& tensor) {
  double distance = 1;
  for (int64_t i = 0; i < tensor.size(); ++i) distance = std::min(distance, std::abs(tensor[i]));
  return distance;
}

void CheckBatchNorm(eddl_epilogue epilogue, uint64_t seed) {
  Rng rng(seed);
  for (int checked = 0; checked < kShapes;) {
    const int64_t n = Between(rng, 2, 4), h = Between(rng, 1, 3), w = Between(rng, 1, 3), c = Between(rng, 1, 3);
    Op norm(EDDL_OP_BATCH_NORM, {F32({n, h, w, c}), F32({c}), F32({c})}, {F32({n, h, w, c}), F32({c}), F32({c})},
            eddl_batch_norm_attrs{.epsilon = 1e-3f});
    Op grad(EDDL_OP_BATCH_NORM_GRAD, {F32({n, h, w, c}), F32({n, h, w, c}), F32({c})},
            {F32({n, h, w, c}), F32({c}), F32({c})}, eddl_batch_norm_attrs{.epsilon = 1e-3f});
    norm.epilogue = epilogue;
    const std::vector<Tensor> inputs = {Random(norm.inputs[0], rng, -3, 5), Random(norm.inputs[1], rng, 0.5, 2),
                                        Random(norm.inputs[2], rng)};
    Op before_epilogue = norm;
    before_epilogue.epilogue = EDDL_EPILOGUE_NONE;
    if (DistanceFromZero(RunReference({.desc = before_epilogue.desc(), .inputs = inputs})[0]) < 0.02) continue;
    ++checked;
    const auto y = RunReference({.desc = norm.desc(), .inputs = inputs});
    const Tensor dy = Random(norm.outputs[0], rng);
    std::vector<Tensor> grad_inputs = {dy, inputs[0], inputs[1]};
    if (epilogue == EDDL_EPILOGUE_RELU) {
      grad.inputs.push_back(norm.outputs[0]);
      grad_inputs.push_back(y[0]);
    }
    const auto gradients = RunReference({.desc = grad.desc(), .inputs = grad_inputs});
    EXPECT_LT(DerivativeError(norm, inputs, 0, dy, gradients[0]), kTolerance) << ShapesOf(norm);
    EXPECT_LT(DerivativeError(norm, inputs, 1, dy, gradients[1]), kTolerance) << ShapesOf(norm);
    EXPECT_LT(DerivativeError(norm, inputs, 2, dy, gradients[2]), kTolerance) << ShapesOf(norm);
  }
}

TEST(GradientTest, BatchNormGradIsTheDerivativeOfBatchNorm) { CheckBatchNorm(EDDL_EPILOGUE_NONE, 8); }
TEST(GradientTest, BatchNormGradWithYIsTheDerivativeOfBatchNormWithRelu) { CheckBatchNorm(EDDL_EPILOGUE_RELU, 9); }

template <typename Attrs>
void CheckElementwise(eddl_op_kind kind, eddl_op_kind grad_kind, const Attrs& attrs) {
  Rng rng(10);
  const Op op(kind, {F32({3, 11})}, {F32({3, 11})}, attrs);
  const Op grad(grad_kind, {F32({3, 11}), F32({3, 11})}, {F32({3, 11})}, attrs);
  const std::vector<Tensor> inputs = {Distinct(op.inputs[0], rng)};
  const Tensor dy = Random(op.outputs[0], rng);
  const auto y = RunReference({.desc = op.desc(), .inputs = inputs});
  const Tensor dy_and_y[] = {dy, y[0]};
  const auto dx = RunReference({.desc = grad.desc(), .inputs = dy_and_y});
  EXPECT_LT(DerivativeError(op, inputs, 0, dy, dx[0]), kTolerance);
}

TEST(GradientTest, ReluGradIsTheDerivativeOfRelu) {
  CheckElementwise(EDDL_OP_RELU, EDDL_OP_RELU_GRAD, eddl_clamp_attrs{});
}
TEST(GradientTest, SigmoidGradIsTheDerivativeOfSigmoid) {
  CheckElementwise(EDDL_OP_SIGMOID, EDDL_OP_SIGMOID_GRAD, eddl_clamp_attrs{});
}
TEST(GradientTest, TanhGradIsTheDerivativeOfTanh) {
  CheckElementwise(EDDL_OP_TANH, EDDL_OP_TANH_GRAD, eddl_clamp_attrs{});
}
TEST(GradientTest, ClampGradIsTheDerivativeOfClamp) {
  CheckElementwise(EDDL_OP_CLAMP, EDDL_OP_CLAMP_GRAD, eddl_clamp_attrs{.min = -0.5f, .max = 0.8f});
}

TEST(GradientTest, LeakyReluGradIsTheDerivativeOfLeakyRelu) {
  CheckElementwise(EDDL_OP_LEAKY_RELU, EDDL_OP_LEAKY_RELU_GRAD, eddl_leaky_relu_attrs{.slope = 0.2f});
}

TEST(GradientTest, GeluGradIsTheDerivativeOfGeluAtX) {
  Rng rng(14);
  const Op op(EDDL_OP_GELU, {F32({3, 11})}, {F32({3, 11})});
  const Op grad(EDDL_OP_GELU_GRAD, {F32({3, 11}), F32({3, 11})}, {F32({3, 11})});
  const std::vector<Tensor> inputs = {Random(op.inputs[0], rng, -3, 3)};
  const Tensor dy_and_x[] = {Random(op.outputs[0], rng), inputs[0]};
  const auto dx = RunReference({.desc = grad.desc(), .inputs = dy_and_x});
  EXPECT_LT(DerivativeError(op, inputs, 0, dy_and_x[0], dx[0]), kTolerance);
}

TEST(GradientTest, LayerNormGradIsTheDerivativeOfLayerNorm) {
  Rng rng(15);
  for (int round = 0; round < kShapes; ++round) {
    const int64_t n = Between(rng, 1, 4), h = Between(rng, 1, 3), c = Between(rng, 2, 5);
    constexpr eddl_layer_norm_attrs kAttrs = {.epsilon = 1e-3f};
    const Op norm(EDDL_OP_LAYER_NORM, {F32({n, h, c}), F32({c}), F32({c})}, {F32({n, h, c})}, kAttrs);
    const Op grad(EDDL_OP_LAYER_NORM_GRAD, {F32({n, h, c}), F32({n, h, c}), F32({c})},
                  {F32({n, h, c}), F32({c}), F32({c})}, kAttrs);
    const std::vector<Tensor> inputs = {Random(norm.inputs[0], rng, -3, 5), Random(norm.inputs[1], rng, 0.5, 2),
                                        Random(norm.inputs[2], rng)};
    const Tensor dy = Random(norm.outputs[0], rng);
    const Tensor grad_inputs[] = {dy, inputs[0], inputs[1]};
    const auto gradients = RunReference({.desc = grad.desc(), .inputs = grad_inputs});
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_LT(DerivativeError(norm, inputs, static_cast<int>(i), dy, gradients[i]), kTolerance) << ShapesOf(norm);
    }
  }
}

TEST(GradientTest, DxOfSigmoidBceAndOfMseIsTheDerivativeOfTheirLoss) {
  Rng rng(16);
  for (const eddl_op_kind kind : {EDDL_OP_SIGMOID_BCE, EDDL_OP_MSE}) {
    const Op loss(kind, {F32({3, 5}), F32({3, 5})}, {F32({1}), F32({3, 5})});
    const std::vector<Tensor> inputs = {Random(loss.inputs[0], rng, -4, 4), Random(loss.inputs[1], rng, 0, 1)};
    const auto outputs = RunReference({.desc = loss.desc(), .inputs = inputs});
    EXPECT_LT(DerivativeError(loss, inputs, 0, Values({1}, {1}), outputs[1]), kTolerance) << kind;
  }
}

TEST(GradientTest, SoftmaxXentsDxIsTheDerivativeOfItsLoss) {
  Rng rng(11);
  for (int round = 0; round < kShapes; ++round) {
    const int64_t n = Between(rng, 1, 6), k = Between(rng, 2, 9);
    const Op xent(EDDL_OP_SOFTMAX_XENT, {F32({n, k}), Describe(EDDL_I32, {n})}, {F32({1}), F32({1}), F32({n, k})});
    std::vector<Tensor> inputs = {Random(xent.inputs[0], rng, -4, 4), Tensor(xent.inputs[1])};
    for (int64_t i = 0; i < n; ++i) inputs[1].Integer(i) = Between(rng, -1, k - 1);
    const auto outputs = RunReference({.desc = xent.desc(), .inputs = inputs});
    EXPECT_LT(DerivativeError(xent, inputs, 0, Values({1}, {1}), outputs[2]), kTolerance) << n << " " << k;
  }
}

// The gradient of dropout is dropout: the op is linear, and its matrix is diagonal.
TEST(GradientTest, DropoutOfDyIsTheDerivativeOfDropout) {
  Rng rng(12);
  const Op dropout(EDDL_OP_DROPOUT, {F32({3, 7}), Describe(EDDL_I64, {3})}, {F32({3, 7})},
                   eddl_dropout_attrs{.layer = 2, .probability = 0.4f});
  const eddl_scalar scalars[] = {{.u = 123456789}, {.u = 3}};
  const std::vector<Tensor> inputs = {Random(dropout.inputs[0], rng), Integers(EDDL_I64, {3}, {5, 900, 17})};
  const Tensor dy = Random(dropout.outputs[0], rng);
  const Tensor dy_and_sample[] = {dy, inputs[1]};
  const auto dx = RunReference({.desc = dropout.desc(), .inputs = dy_and_sample, .scalars = scalars});
  EXPECT_LT(DerivativeError(dropout, inputs, 0, dy, dx[0], scalars), kTolerance);
}

// A gradient that is wrong in one element is seen: the comparison itself can fail.
TEST(GradientTest, AWrongGradientIsNoticed) {
  Rng rng(13);
  const Op tanh(EDDL_OP_TANH, {F32({4})}, {F32({4})});
  const std::vector<Tensor> inputs = {Random(tanh.inputs[0], rng)};
  const Tensor dy = Values({4}, {1, 1, 1, 1});
  Tensor gradient(tanh.inputs[0]);
  for (int64_t i = 0; i < 4; ++i) gradient.At(i) = 1 - std::tanh(inputs[0][i]) * std::tanh(inputs[0][i]);
  EXPECT_LT(DerivativeError(tanh, inputs, 0, dy, gradient), kTolerance);
  gradient.At(2) = gradient[2] + 1e-6;
  EXPECT_GT(DerivativeError(tanh, inputs, 0, dy, gradient), kTolerance);
}

}  // namespace
}  // namespace eddl::kernels
