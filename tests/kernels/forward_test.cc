// The forward references on examples small enough to be worked by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backends/sdk/op_table.h"
#include "tests/kernels/fixtures.h"

namespace eddl::kernels {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The outputs as text, joined by " | ".
std::string EvaluateToText(const Op& op, std::vector<Tensor> inputs, std::vector<eddl_scalar> scalars = {},
                           std::vector<Tensor> previous = {}) {
  std::string text;
  for (const Tensor& output : RunReference({.desc = op.desc(), .inputs = inputs, .scalars = scalars}, previous)) {
    text += (text.empty() ? "" : " | ") + Text(output);
  }
  return text;
}

TEST(MatmulReferenceTest, MultipliesTransposesAndAddsTheBias) {
  const Tensor a = Values({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor a_transposed = Values({3, 2}, {1, 4, 2, 5, 3, 6});
  const Tensor b = Values({3, 2}, {7, 8, 9, 10, 11, 12});
  const Tensor b_transposed = Values({2, 3}, {7, 9, 11, 8, 10, 12});
  const Tensor bias = Values({2}, {1000, 2000});
  const auto multiply = [&](const Tensor& left, const Tensor& right, eddl_matmul_attrs attrs) {
    return EvaluateToText({EDDL_OP_MATMUL, {left.desc(), right.desc(), bias.desc()}, {F32({2, 2})}, attrs},
                          {left, right, bias});
  };
  EXPECT_EQ(multiply(a, b, {}), "1058 2064 1139 2154");
  EXPECT_EQ(multiply(a_transposed, b, {.transpose_a = 1}), "1058 2064 1139 2154");
  EXPECT_EQ(multiply(a, b_transposed, {.transpose_b = 1}), "1058 2064 1139 2154");
  EXPECT_EQ(multiply(a_transposed, b_transposed, {.transpose_a = 1, .transpose_b = 1}), "1058 2064 1139 2154");
}

TEST(MatmulReferenceTest, MultipliesEachPairOfABatch) {
  const Op op(EDDL_OP_MATMUL, {F32({2, 1, 2}), F32({2, 2, 1})}, {F32({2, 1, 1})}, eddl_matmul_attrs{});
  EXPECT_EQ(EvaluateToText(op, {Values({2, 1, 2}, {1, 2, 3, 4}), Values({2, 2, 1}, {5, 6, 7, 8})}), "17 53");
}

TEST(MatmulReferenceTest, AppliesTheEpilogueBeforeItAccumulates) {
  Op op(EDDL_OP_MATMUL, {F32({1, 1}), F32({1, 2})}, {F32({1, 2})}, eddl_matmul_attrs{});
  op.epilogue = EDDL_EPILOGUE_RELU;
  op.accumulate_mask = 1;
  EXPECT_EQ(EvaluateToText(op, {Values({1, 1}, {2}), Values({1, 2}, {-3, 4})}, {}, {Values({1, 2}, {10, 20})}),
            "10 28");
}

TEST(MatmulReferenceTest, KnowsTheSizeOfWhatItAdds) {
  const Op op(EDDL_OP_MATMUL, {F32({1, 2}), F32({2, 1}), F32({1})}, {F32({1, 1})}, eddl_matmul_attrs{});
  const Tensor inputs[] = {Values({1, 2}, {3, -4}), Values({2, 1}, {5, 6}), Values({1}, {-2})};
  const auto outputs = RunReference({.desc = op.desc(), .inputs = inputs});
  EXPECT_EQ(outputs[0][0], 15 - 24 - 2);
  EXPECT_EQ(outputs[0].At(0).scale, 15 + 24 + 2);
}

TEST(SparseMatmulReferenceTest, SkipsZerosAlsoWhereTheWeightIsNotFinite) {
  const Op op(EDDL_OP_SPARSE_MATMUL, {F32({1, 3}), F32({3, 1})}, {F32({1, 1})});
  EXPECT_EQ(EvaluateToText(op, {Values({1, 3}, {2, 0, 3}), Values({3, 1}, {5, kInfinity, 7})}), "31");
  EXPECT_EQ(EvaluateToText(op, {Values({1, 3}, {2, kNan, 3}), Values({3, 1}, {5, 1, 7})}), "nan");
}

TEST(Conv2dReferenceTest, CorrelatesWithPadsStridesAndDilation) {
  const Tensor x = Values({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Tensor w = Values({1, 2, 2, 1}, {1, 10, 100, 1000});
  const auto convolve = [&](int64_t p, int64_t q, const eddl_conv2d_attrs& attrs) {
    return EvaluateToText({EDDL_OP_CONV2D, {x.desc(), w.desc()}, {F32({1, p, q, 1})}, attrs}, {x, w});
  };
  eddl_conv2d_attrs attrs = {.groups = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
  EXPECT_EQ(convolve(2, 2, attrs), "5421 6532 8754 9865");
  attrs.pad_top = attrs.pad_right = 1;
  EXPECT_EQ(convolve(3, 3, attrs), "2100 3200 300 5421 6532 603 8754 9865 906");
  attrs.stride_h = attrs.stride_w = 2;
  EXPECT_EQ(convolve(2, 2, attrs), "2100 300 8754 906");
  attrs = {.groups = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 2, .dilation_w = 2};
  EXPECT_EQ(convolve(1, 1, attrs), "9731");
}

TEST(Conv2dReferenceTest, KeepsGroupsApart) {
  const Op op(EDDL_OP_CONV2D, {F32({1, 1, 1, 4}), F32({2, 1, 1, 2}), F32({2})}, {F32({1, 1, 1, 2})},
              eddl_conv2d_attrs{.groups = 2, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1});
  EXPECT_EQ(EvaluateToText(op, {Values({1, 1, 1, 4}, {1, 2, 3, 4}), Values({2, 1, 1, 2}, {1, 10, 100, 1000}),
                                Values({2}, {0.5, 0.25})}),
            "21.5 4300.25");
}

TEST(MaxPool2dReferenceTest, PadsNeverWinAndNanDoes) {
  const Op op(EDDL_OP_MAX_POOL2D, {F32({1, 2, 2, 1})}, {F32({1, 2, 2, 1})},
              eddl_pool2d_attrs{.kernel_h = 2,
                                .kernel_w = 2,
                                .stride_h = 2,
                                .stride_w = 2,
                                .pad_top = 1,
                                .pad_left = 1,
                                .pad_bottom = 1,
                                .pad_right = 1});
  EXPECT_EQ(EvaluateToText(op, {Values({1, 2, 2, 1}, {-1, -2, kNan, -4})}), "-1 -2 nan -4");
}

TEST(MaxPool2dReferenceTest, SendsTheGradientOfATieToTheFirst) {
  const Op op(EDDL_OP_MAX_POOL2D_GRAD, {F32({1, 1, 1, 1})}, {F32({1, 2, 2, 1})},
              eddl_pool2d_attrs{.kernel_h = 2, .kernel_w = 2, .stride_h = 1, .stride_w = 1});
  const Tensor x[] = {Values({1, 2, 2, 1}, {1, 5, 5, 5})};
  const Tensor dy[] = {Values({1, 1, 1, 1}, {7})};
  EXPECT_EQ(Text(RunReference({.desc = op.desc(), .inputs = dy, .forward_inputs = x})[0]), "0 7 0 0");
}

// Five columns, windows of two, stride two: in ceil_mode a third window hangs over the end by one column.
TEST(AvgPool2dReferenceTest, CountsPaddingOnRequestAndOverhangNever) {
  const Tensor x = Values({1, 1, 5, 1}, {1, 2, 3, 4, 5});
  const auto pool = [&](int64_t q, const eddl_pool2d_attrs& attrs) {
    return EvaluateToText({EDDL_OP_AVG_POOL2D, {x.desc()}, {F32({1, 1, q, 1})}, attrs}, {x});
  };
  eddl_pool2d_attrs attrs = {.kernel_h = 1, .kernel_w = 2, .stride_h = 1, .stride_w = 2};
  EXPECT_EQ(pool(2, attrs), "1.5 3.5");
  attrs.ceil_mode = 1;
  EXPECT_EQ(pool(3, attrs), "1.5 3.5 5");
  attrs.count_include_pad = 1;
  EXPECT_EQ(pool(3, attrs), "1.5 3.5 5");
  attrs.pad_left = 1;
  EXPECT_EQ(pool(3, attrs), "0.5 2.5 4.5");
  attrs.count_include_pad = 0;
  EXPECT_EQ(pool(3, attrs), "1 2.5 4.5");
}

TEST(GlobalAvgPoolReferenceTest, IsTheMeanOverThePlane) {
  const Op op(EDDL_OP_GLOBAL_AVG_POOL, {F32({1, 2, 2, 2})}, {F32({1, 2})});
  EXPECT_EQ(EvaluateToText(op, {Values({1, 2, 2, 2}, {1, 10, 2, 20, 3, 30, 6, 60})}), "3 30");
}

TEST(BatchNormReferenceTest, NormalisesAndLeavesSumsOverSamples) {
  const Op op(EDDL_OP_BATCH_NORM, {F32({2, 2, 1}), F32({1}), F32({1})}, {F32({2, 2, 1}), F32({1}), F32({1})},
              eddl_batch_norm_attrs{.epsilon = 0});
  // mean 4, variance 36 / 4 = 9; unbiased 36 / 3 = 12; two samples.
  EXPECT_EQ(EvaluateToText(op, {Values({2, 2, 1}, {1, 7, 1, 7}), Values({1}, {2}), Values({1}, {10})}),
            "8 12 8 12 | 8 | 24");
}

TEST(BatchNormReferenceTest, OfOneElementLeavesItsOwnVariance) {
  const Op op(EDDL_OP_BATCH_NORM, {F32({1, 1}), F32({1}), F32({1})}, {F32({1, 1}), F32({1}), F32({1})},
              eddl_batch_norm_attrs{.epsilon = 1});
  EXPECT_EQ(EvaluateToText(op, {Values({1, 1}, {5}), Values({1}, {2}), Values({1}, {3})}), "3 | 5 | 0");
}

TEST(BatchNormReferenceTest, InfersWithGivenStatistics) {
  Op op(EDDL_OP_BATCH_NORM_INFERENCE, {F32({2, 1}), F32({1}), F32({1}), F32({1}), F32({1})}, {F32({2, 1})},
        eddl_batch_norm_attrs{.epsilon = 0.25f});
  op.epilogue = EDDL_EPILOGUE_CLAMP;
  op.epilogue_max = 8;
  EXPECT_EQ(EvaluateToText(op, {Values({2, 1}, {1, 9}), Values({1}, {2}), Values({1}, {3}), Values({1}, {2}),
                                Values({1}, {3.75})}),
            "2 8");
}

TEST(ElementwiseReferenceTest, NanStaysNan) {
  const Tensor x = Values({4}, {-1, 0.25, 3, kNan});
  const auto apply = [&](eddl_op_kind kind) {
    return EvaluateToText({kind, {x.desc()}, {x.desc()}, eddl_clamp_attrs{.min = 0, .max = 2}}, {x});
  };
  EXPECT_EQ(apply(EDDL_OP_RELU), "0 0.25 3 nan");
  EXPECT_EQ(apply(EDDL_OP_CLAMP), "0 0.25 2 nan");
  EXPECT_THAT(apply(EDDL_OP_SIGMOID), testing::EndsWith("nan"));
  EXPECT_THAT(apply(EDDL_OP_TANH), testing::EndsWith("nan"));
}

TEST(ElementwiseReferenceTest, LeakyReluKeepsAPartBelowZero) {
  const Tensor x = Values({4}, {-2, 0, 3, kNan});
  const Op op(EDDL_OP_LEAKY_RELU, {x.desc()}, {x.desc()}, eddl_leaky_relu_attrs{.slope = 0.25f});
  EXPECT_EQ(EvaluateToText(op, {x}), "-0.5 0 3 nan");
}

// Phi(1) = 0.8413447460685429 in every table of the normal distribution.
TEST(ElementwiseReferenceTest, GeluIsXTimesItsNormalProbability) {
  const Op op(EDDL_OP_GELU, {F32({3})}, {F32({3})});
  const Tensor x[] = {Values({3}, {1, -1, 0})};
  const Tensor y = RunReference({.desc = op.desc(), .inputs = x})[0];
  EXPECT_NEAR(y[0], 0.8413447460685429, 1e-15);
  EXPECT_NEAR(y[1], -0.1586552539314571, 1e-15);
  EXPECT_EQ(y[2], 0);
}

TEST(LayerNormReferenceTest, NormalizesEachRowByItself) {
  const Op op(EDDL_OP_LAYER_NORM, {F32({2, 2}), F32({2}), F32({2})}, {F32({2, 2})},
              eddl_layer_norm_attrs{.epsilon = 0});
  EXPECT_EQ(EvaluateToText(op, {Values({2, 2}, {1, 3, 50, 10}), Values({2}, {1, 2}), Values({2}, {10, 20})}),
            "9 22 11 18");
}

TEST(LossReferenceTest, MseAddsUpSquares) {
  const Op op(EDDL_OP_MSE, {F32({3}), F32({3})}, {F32({1}), F32({3})});
  EXPECT_EQ(EvaluateToText(op, {Values({3}, {1, 2, 3}), Values({3}, {1, 4, 0})}), "13 | 0 -4 6");
}

// At x = 0 both outcomes have probability 1/2; far from 0 the loss is |x| where the sign is wrong, and 0 where not.
TEST(LossReferenceTest, SigmoidBceIsMinusTheLogOfTheTargetsProbability) {
  const auto loss = [](double x, double target) {
    const Op op(EDDL_OP_SIGMOID_BCE, {F32({1}), F32({1})}, {F32({1})});
    const Tensor inputs[] = {Values({1}, {x}), Values({1}, {target})};
    return RunReference({.desc = op.desc(), .inputs = inputs})[0][0];
  };
  EXPECT_NEAR(loss(0, 0.25), std::log(2.0), 1e-15);
  EXPECT_EQ(loss(1000, 0), 1000);
  EXPECT_EQ(loss(1000, 1), 0);
  EXPECT_EQ(loss(-1000, 1), 1000);
}

TEST(ElementwiseReferenceTest, AddsAndMultiplies) {
  const Op add(EDDL_OP_ADD, {F32({2}), F32({2})}, {F32({2})});
  const Op mul(EDDL_OP_MUL, {F32({2}), F32({2})}, {F32({2})});
  EXPECT_EQ(EvaluateToText(add, {Values({2}, {1, 2}), Values({2}, {10, 20})}), "11 22");
  EXPECT_EQ(EvaluateToText(mul, {Values({2}, {3, 2}), Values({2}, {10, 20})}), "30 40");
}

TEST(LayoutReferenceTest, ConcatAndSplitAreInverse) {
  const Tensor joined = Values({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor left = Values({2, 1}, {1, 4});
  const Tensor right = Values({2, 2}, {2, 3, 5, 6});
  const Op concat(EDDL_OP_CONCAT, {left.desc(), right.desc()}, {joined.desc()}, eddl_axis_attrs{.axis = 1});
  const Op split(EDDL_OP_SPLIT, {joined.desc()}, {left.desc(), right.desc()}, eddl_axis_attrs{.axis = 1});
  EXPECT_EQ(EvaluateToText(concat, {left, right}), Text(joined));
  EXPECT_EQ(EvaluateToText(split, {joined}), Text(left) + " | " + Text(right));
}

TEST(LayoutReferenceTest, PadAndSliceAreInverse) {
  const Tensor inner = Integers(EDDL_U8, {1, 2}, {1, 2});
  const Tensor outer = Integers(EDDL_U8, {2, 4}, {0, 0, 0, 0, 0, 1, 2, 0});
  const eddl_slice_attrs attrs = {.begin = {1, 1}};
  EXPECT_EQ(EvaluateToText({EDDL_OP_PAD, {inner.desc()}, {outer.desc()}, attrs}, {inner}), Text(outer));
  EXPECT_EQ(EvaluateToText({EDDL_OP_SLICE, {outer.desc()}, {inner.desc()}, attrs}, {outer}), Text(inner));
}

TEST(LayoutReferenceTest, TransposeTakesDimensionsInTheOrderOfThePermutation) {
  const Tensor x = Integers(EDDL_I64, {1, 2, 3}, {0, 1, 2, 3, 4, 5});
  const Op op(EDDL_OP_TRANSPOSE, {x.desc()}, {Describe(EDDL_I64, {3, 1, 2})},
              eddl_transpose_attrs{.permutation = {2, 0, 1}});
  EXPECT_EQ(EvaluateToText(op, {x}), "0 3 1 4 2 5");
}

TEST(LayoutReferenceTest, BroadcastRepeatsWhatReduceRemoves) {
  const Tensor x = Values({2}, {1, 2});
  const auto broadcast = [&](const eddl_tensor_desc& y, uint32_t axis_mask) {
    return EvaluateToText({EDDL_OP_BROADCAST, {x.desc()}, {y}, eddl_reduce_attrs{.axis_mask = axis_mask}}, {x});
  };
  EXPECT_EQ(broadcast(F32({2, 3}), 0b10), "1 1 1 2 2 2");
  EXPECT_EQ(broadcast(F32({3, 2}), 0b01), "1 2 1 2 1 2");
}

TEST(ReduceReferenceTest, SumsAveragesAndFindsTheMaximum) {
  const Tensor x = Values({2, 3}, {1, 2, 6, -4, -5, -9});
  const auto reduce = [&](eddl_reduce_kind kind, uint32_t axis_mask, const eddl_tensor_desc& y) {
    return EvaluateToText({EDDL_OP_REDUCE, {x.desc()}, {y}, eddl_reduce_attrs{.kind = kind, .axis_mask = axis_mask}},
                          {x});
  };
  EXPECT_EQ(reduce(EDDL_REDUCE_SUM, 0b01, F32({3})), "-3 -3 -3");
  EXPECT_EQ(reduce(EDDL_REDUCE_MEAN, 0b10, F32({2, 1})), "3 -6");
  EXPECT_EQ(reduce(EDDL_REDUCE_MAX, 0b10, F32({2})), "6 -4");
  EXPECT_EQ(reduce(EDDL_REDUCE_SUM, 0b11, F32({1})), "-9");
}

TEST(SoftmaxReferenceTest, RowsSumToOneAlsoWhereExpWouldOverflow) {
  const Op op(EDDL_OP_SOFTMAX, {F32({1, 4})}, {F32({1, 4})});
  EXPECT_EQ(EvaluateToText(op, {Values({1, 4}, {2000, 2000, 2000, 2000})}), "0.25 0.25 0.25 0.25");
}

TEST(SoftmaxXentReferenceTest, SumsTheLossAndSkipsNegativeLabels) {
  const Op op(EDDL_OP_SOFTMAX_XENT, {F32({3, 2}), Describe(EDDL_I32, {3})}, {F32({1}), F32({1}), F32({3, 2})});
  const Tensor x = Values({3, 2}, {0, 0, 3, 1, kNan, kNan});
  // Row 0: a tie, won by the first; loss log 2. The other rows are masked.
  EXPECT_EQ(EvaluateToText(op, {x, Integers(EDDL_I32, {3}, {0, -1, -7})}), "0.693147 | 1 | -0.5 0.5 0 0 0 0");
  EXPECT_EQ(EvaluateToText(op, {x, Integers(EDDL_I32, {3}, {1, -1, -7})}), "0.693147 | 0 | 0.5 -0.5 0 0 0 0");
}

TEST(SoftmaxXentReferenceTest, NanInARowMakesTheLossNan) {
  const Op op(EDDL_OP_SOFTMAX_XENT, {F32({2, 2}), Describe(EDDL_I32, {2})}, {F32({1}), F32({1})});
  EXPECT_THAT(EvaluateToText(op, {Values({2, 2}, {0, 0, 1, kNan}), Integers(EDDL_I32, {2}, {0, 0})}),
              testing::StartsWith("nan"));
}

TEST(NormalizeU8ReferenceTest, TakesOneFactorForAllOrOnePerChannel) {
  const Tensor x = Integers(EDDL_U8, {2, 2}, {0, 1, 10, 255});
  const Op op(EDDL_OP_NORMALIZE_U8, {x.desc(), F32({2}), F32({1})}, {F32({2, 2})});
  EXPECT_EQ(EvaluateToText(op, {x, Values({2}, {0.5, 2}), Values({1}, {-1})}), "-1 1 4 509");
}

TEST(FlatReferenceTest, AddsScalesAndMeasures) {
  const Tensor x = Values({3}, {1, -2, 3});
  const Tensor y = Values({3}, {10, 20, 30});
  EXPECT_EQ(EvaluateToText({EDDL_OP_AXPY, {x.desc(), y.desc()}, {y.desc()}}, {x, y}, {{.f = 2}}), "12 16 36");
  EXPECT_EQ(EvaluateToText({EDDL_OP_SCALE, {x.desc()}, {x.desc()}}, {x}, {{.f = -2}}), "-2 4 -6");
  EXPECT_EQ(EvaluateToText({EDDL_OP_SUM_SQUARES, {x.desc()}, {F32({1})}}, {x}), "14");
  EXPECT_EQ(EvaluateToText({EDDL_OP_ABS_MAX, {x.desc()}, {F32({1})}}, {x}), "3");
  const Tensor with_nan = Values({3}, {kNan, -2, 3});
  EXPECT_EQ(EvaluateToText({EDDL_OP_ABS_MAX, {x.desc()}, {F32({1})}}, {with_nan}), "nan");
}

TEST(ReferenceTest, KnowsEveryKindAndNoOther) {
  for (const OpTraits& traits : kOpTable) EXPECT_NE(FindReference(traits.kind), nullptr) << traits.name;
  EXPECT_EQ(FindReference(0), nullptr);
  EXPECT_EQ(FindReference(EDDL_OP_STATISTICS_UPDATE + 1), nullptr);
}

}  // namespace
}  // namespace eddl::kernels
