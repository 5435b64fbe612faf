#include <gtest/gtest.h>

#include "tests/kernels/fixtures.h"

namespace eddl::kernels {
namespace {

std::string SgdStep(const eddl_sgd_attrs& attrs, double grad, double param, double velocity, double lr, double scale) {
  const bool moves = attrs.momentum > 0;
  const std::vector<eddl_tensor_desc> state(moves ? 2 : 1, F32({1}));
  std::vector<eddl_tensor_desc> inputs = state;
  inputs.push_back(F32({1}));
  std::vector<Tensor> values = {Values({1}, {grad}), Values({1}, {param})};
  if (moves) values.push_back(Values({1}, {velocity}));
  const Op op(EDDL_OP_SGD, inputs, state, attrs);
  const eddl_scalar scalars[] = {{.f = lr}, {.f = scale}};
  std::string text;
  for (const Tensor& output : RunReference({.desc = op.desc(), .inputs = values, .scalars = scalars}))
    text += Text(output) + " ";
  return text;
}

// grad 8, scaled to g = 2; param 10; velocity 4; lr 0.5.
TEST(SgdReferenceTest, StepsAsWorkedByHand) {
  EXPECT_EQ(SgdStep({}, 8, 10, 4, 0.5, 0.25), "9 ");
  EXPECT_EQ(SgdStep({.weight_decay = 0.125f}, 8, 10, 4, 0.5, 0.25), "8.375 ");              // g = 2 + 1.25
  EXPECT_EQ(SgdStep({.momentum = 0.5f}, 8, 10, 4, 0.5, 0.25), "8 4 ");                      // velocity = 2 + 2
  EXPECT_EQ(SgdStep({.momentum = 0.5f, .nesterov = 1}, 8, 10, 4, 0.5, 0.25), "8 4 ");       // step = 2 + 0.5 * 4
  EXPECT_EQ(SgdStep({.momentum = 0.25f, .nesterov = 1}, 8, 10, 4, 0.5, 0.25), "8.625 3 ");  // step = 2 + 0.25 * 3
}

std::string AdamStep(const eddl_adam_attrs& attrs, double grad, double param, double m, double v, uint64_t step) {
  const Op op(EDDL_OP_ADAM, {F32({1}), F32({1}), F32({1}), F32({1})}, {F32({1}), F32({1}), F32({1})}, attrs);
  const Tensor values[] = {Values({1}, {grad}), Values({1}, {param}), Values({1}, {m}), Values({1}, {v})};
  const eddl_scalar scalars[] = {{.f = 0.5}, {.f = 0.5}, {.u = step}};
  std::string text;
  for (const Tensor& output : RunReference({.desc = op.desc(), .inputs = values, .scalars = scalars}))
    text += Text(output) + " ";
  return text;
}

// lr 0.5; grad 8, scaled to g = 4; beta1 0.5 and beta2 0.75, so that at step 1 the corrections give back g and g^2.
TEST(AdamReferenceTest, StepsAsWorkedByHand) {
  const eddl_adam_attrs adam = {.beta1 = 0.5f, .beta2 = 0.75f};
  EXPECT_EQ(AdamStep(adam, 8, 10, 0, 0, 1), "9.5 2 4 ");  // lr g / sqrt(g^2)
  eddl_adam_attrs with_epsilon = adam;
  with_epsilon.epsilon = 4;
  EXPECT_EQ(AdamStep(with_epsilon, 8, 10, 0, 0, 1), "9.75 2 4 ");  // lr 4 / (4 + 4)
  // Step 2 from m = 2, v = 4: m = 1 + 2, v = 3 + 4; corrected 3 / 0.75 = 4, 7 / 0.4375 = 16.
  EXPECT_EQ(AdamStep(adam, 8, 10, 2, 4, 2), "9.5 3 7 ");
}

TEST(AdamReferenceTest, DecaysTheGradientOrTheParameterItself) {
  eddl_adam_attrs attrs = {.beta1 = 0.5f, .beta2 = 0.75f, .weight_decay = 0.5f};
  EXPECT_EQ(AdamStep(attrs, 8, 8, 0, 0, 1), "7.5 4 16 ");  // Adam: g = 4 + 4
  attrs.decoupled = 1;
  EXPECT_EQ(AdamStep(attrs, 8, 8, 0, 0, 1), "5.5 2 4 ");  // AdamW: 8 - 0.5 * 0.5 * 8, then as without
}

TEST(StatisticsUpdateReferenceTest, KeepsAFraction) {
  const Op op(EDDL_OP_STATISTICS_UPDATE, {F32({2}), F32({2})}, {F32({2})}, eddl_statistics_attrs{.keep = 0.75f});
  const Tensor values[] = {Values({2}, {32, 64}), Values({2}, {4, 8})};
  const eddl_scalar scalars[] = {{.f = 0.125}};
  EXPECT_EQ(Text(RunReference({.desc = op.desc(), .inputs = values, .scalars = scalars})[0]), "4 8");
}

}  // namespace
}  // namespace eddl::kernels
