// Numbers on the wire: halves and fixed point, where every bit counts.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/flat/half.h"
#include "tests/kernels/fixtures.h"

namespace eddl::kernels {
namespace {

TEST(HalfTest, EveryHalfSurvivesTheWayThere) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double value = HalfToDouble(half);
    const bool is_nan = (half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0;
    ASSERT_EQ(std::isnan(value), is_nan) << bits;
    if (is_nan) {
      ASSERT_TRUE(std::isnan(HalfToDouble(DoubleToHalf(value)))) << bits;
    } else {
      ASSERT_EQ(DoubleToHalf(value), half) << bits;
    }
  }
}

TEST(HalfTest, DecodesTheLandmarks) {
  EXPECT_EQ(HalfToDouble(0x3c00), 1);
  EXPECT_EQ(HalfToDouble(0xc000), -2);
  EXPECT_EQ(HalfToDouble(0x7bff), 65504);
  EXPECT_EQ(HalfToDouble(0x0400), 0x1p-14);  // smallest normal
  EXPECT_EQ(HalfToDouble(0x0001), 0x1p-24);  // smallest subnormal
  EXPECT_EQ(HalfToDouble(0x3555), 0.333251953125);
  EXPECT_EQ(HalfToDouble(0x7c00), std::numeric_limits<double>::infinity());
}

// Between each two neighbours: the middle goes to the even one, and what is just beside it to its own side.
TEST(HalfTest, RoundsToNearestAndTiesToEvenAtEveryBoundary) {
  for (uint16_t low = 0; low < 0x7bff; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const double middle = (HalfToDouble(low) + HalfToDouble(high)) / 2;
    const uint16_t even = low % 2 == 0 ? low : high;
    ASSERT_EQ(DoubleToHalf(middle), even) << low;
    ASSERT_EQ(DoubleToHalf(std::nextafter(middle, 0.0)), low) << low;
    ASSERT_EQ(DoubleToHalf(std::nextafter(middle, 1e9)), high) << low;
    ASSERT_EQ(DoubleToHalf(-middle), even | 0x8000) << low;
  }
}

TEST(HalfTest, OverflowsToInfinityFromTheMiddleAbove65504) {
  EXPECT_EQ(DoubleToHalf(std::nextafter(65520.0, 0.0)), 0x7bff);
  EXPECT_EQ(DoubleToHalf(65520), 0x7c00);
  EXPECT_EQ(DoubleToHalf(-1e300), 0xfc00);
}

std::string FixedAddOf(double x, int64_t acc, double scale) {
  const Op op(EDDL_OP_FIXED_ADD, {F32({1}), Describe(EDDL_I64, {1})}, {Describe(EDDL_I64, {1})});
  const Tensor inputs[] = {Values({1}, {x}), Integers(EDDL_I64, {1}, {acc})};
  const eddl_scalar scalars[] = {{.f = scale}};
  return Text(RunReference({.desc = op.desc(), .inputs = inputs, .scalars = scalars})[0]);
}

TEST(FixedPointTest, RoundsHalfToEven) {
  EXPECT_EQ(FixedAddOf(0.5, 100, 1), "100");
  EXPECT_EQ(FixedAddOf(1.5, 100, 1), "102");
  EXPECT_EQ(FixedAddOf(2.5, 100, 1), "102");
  EXPECT_EQ(FixedAddOf(-0.5, 100, 1), "100");
  EXPECT_EQ(FixedAddOf(-1.5, 100, 1), "98");
  EXPECT_EQ(FixedAddOf(0.0625, 0, 1024), "64");
}

TEST(FixedPointTest, WrapsAround) {
  EXPECT_EQ(FixedAddOf(1, std::numeric_limits<int64_t>::max(), 1), "-9223372036854775808");
}

TEST(FixedPointTest, SumsDoNotDependOnTheOrder) {
  Rng rng(1);
  std::vector<double> terms;
  for (int i = 0; i < 100; ++i) terms.push_back(static_cast<float>(rng.Uniform(-1, 1)));
  const auto sum = [&] {
    int64_t acc = 0;
    for (double term : terms) acc = std::stoll(FixedAddOf(term, acc, 0x1p32));
    return acc;
  };
  const int64_t in_order = sum();
  Shuffle(terms, rng);
  EXPECT_EQ(sum(), in_order);
}

// 2^24 + 1 lies between two floats, and 2^54 + 2^30 + 1 would round twice on its way through double.
TEST(FixedPointTest, ConvertsToFloatWithOneRounding) {
  const Op op(EDDL_OP_FIXED_TO_FLOAT, {Describe(EDDL_I64, {3})}, {F32({3})});
  const int64_t big = (int64_t{1} << 54) + (int64_t{1} << 30);
  const Tensor inputs[] = {Integers(EDDL_I64, {3}, {-48, (1 << 24) + 1, big + 1})};
  const eddl_scalar scalars[] = {{.f = 16}};
  const Tensor y = RunReference({.desc = op.desc(), .inputs = inputs, .scalars = scalars})[0];
  EXPECT_EQ(y[0], -3);
  EXPECT_EQ(y[1], 0x1p20);
  EXPECT_EQ(y[2], 0x1p50 + 0x1p27);
}

}  // namespace
}  // namespace eddl::kernels
