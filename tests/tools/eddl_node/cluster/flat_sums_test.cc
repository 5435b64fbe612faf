#include "tools/eddl_node/cluster/flat_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl::cluster {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Of all magnitudes that a float within the limit has.
std::vector<float> Numbers(size_t count) {
  Rng rng(3);
  std::vector<float> values(count);
  for (float& value : values) {
    const auto exponent = static_cast<int>(rng.Below(70)) - 48;
    value = std::ldexp(static_cast<float>(rng.Uniform(-1, 1)), exponent);
  }
  return values;
}

TEST(FlatSumsTest, RoundsHalfToEvenInFixedPoint) {
  std::vector<float> from = {0.0f, -0.0f, 1.0f, -1.0f};
  for (const float k : {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0.49f, 0.51f, 8388607.5f, -8388606.5f}) {
    from.push_back(std::ldexp(k, -40));
  }
  std::vector<int64_t> to(from.size(), 0);
  EXPECT_TRUE(AddRounded(to, from));
  const std::vector<int64_t> expected = {0, 0,       int64_t{1} << 40, -(int64_t{1} << 40), 0, 2, 2, 0, -2, -2, 0,
                                         1, 8388608, -8388606};
  EXPECT_EQ(to, expected);
}

TEST(FlatSumsTest, FixedPointIsThatOfTheProcessorForEveryMagnitude) {
  for (const size_t count : {1u, 7u, 64u, 1001u}) {
    const std::vector<float> from = Numbers(count);
    std::vector<int64_t> to(count, 5);
    EXPECT_TRUE(AddRounded(to, from));
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(to[i], 5 + std::llrint(static_cast<double>(from[i]) * kFixedScale)) << from[i];
    }
  }
}

TEST(FlatSumsTest, FixedPointTellsWhatIsBeyondItsLimit) {
  const auto is_within = [](int64_t before, float from) {
    std::vector<float> terms(33, 0.0f);
    std::vector<int64_t> sums(33, 0);
    terms[17] = from;
    sums[17] = before;
    return AddRounded(sums, terms);
  };
  const float below = std::nextafter(4194304.0f, 0.0f);
  EXPECT_TRUE(is_within(0, below));
  EXPECT_TRUE(is_within(0, -below));
  for (const float bad : {4194304.0f, -4194304.0f, 1e30f, kInfinity, -kInfinity, kNan, -kNan}) {
    EXPECT_FALSE(is_within(0, bad)) << bad;
  }
  EXPECT_FALSE(is_within(kFixedLimit - 1, 1.0f));
  EXPECT_FALSE(is_within(-kFixedLimit, -1.0f));
  EXPECT_TRUE(is_within(-kFixedLimit, 1.0f));
}

TEST(FlatSumsTest, SumsOfFixedPointAreExactWithinTheirLimit) {
  const auto is_within = [](int64_t to, int64_t from) {
    std::vector<int64_t> sums(19, 1);
    std::vector<int64_t> terms(19, 1);
    sums[18] = to;
    terms[18] = from;
    return AddFixed(sums, terms) && sums[18] == to + from && sums[0] == 2;
  };
  EXPECT_TRUE(is_within(kFixedLimit - 3, 2));
  EXPECT_TRUE(is_within(-kFixedLimit + 2, -2));
  EXPECT_FALSE(is_within(kFixedLimit - 2, 2));
  EXPECT_FALSE(is_within(-kFixedLimit, -1));
  EXPECT_FALSE(is_within(kFixedLimit - 1, kFixedLimit - 1));
  EXPECT_FALSE(is_within(0, std::numeric_limits<int64_t>::min()));
  EXPECT_FALSE(is_within(0, kFixedLimit));
  EXPECT_FALSE(is_within(-1, kFixedLimit)) << "a sum within the limit of a term beyond it";
}

TEST(FlatSumsTest, FixedPointBecomesFloatsRoundedOnce) {
  std::vector<int64_t> from = {0, 1, -1, (int64_t{1} << 40), kFixedLimit - 1, -kFixedLimit};
  // Half between two floats, just above it, and just below it.
  const int64_t tie = (int64_t{1} << 60) + (int64_t{1} << 36);
  for (const int64_t more : {-1, 0, 1}) from.push_back(tie + more);
  Rng rng(4);
  for (int i = 0; i < 500; ++i) from.push_back(static_cast<int64_t>(rng.Next()) >> (2 + rng.Below(60)));
  std::vector<float> to(from.size());
  FixedToFloats(from, to);
  for (size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(to[i], static_cast<float>(static_cast<long double>(from[i]) / static_cast<long double>(kFixedScale)))
        << from[i];
  }
}

TEST(FlatSumsTest, FindsEveryNumberThatIsNotFinite) {
  for (const size_t count : {1u, 16u, 65u}) {
    std::vector<float> values(count, std::numeric_limits<float>::max());
    EXPECT_TRUE(AllFinite(values));
    for (size_t i = 0; i < count; ++i) {
      for (const float bad : {kInfinity, -kInfinity, kNan, -kNan}) {
        values[i] = bad;
        EXPECT_FALSE(AllFinite(values)) << bad << " at " << i << " of " << count;
      }
      values[i] = -1.0f;
    }
  }
  EXPECT_TRUE(AllFinite({}));
}

TEST(FlatSumsTest, SumsSquaresInDoublePrecision) {
  for (const size_t count : {0u, 1u, 15u, 16u, 17u, 1000u}) {
    std::vector<float> values = Numbers(count);
    std::vector<int64_t> fixed(count, 0);
    double expected = 0;
    double expected_fixed = 0;
    EXPECT_TRUE(AddRounded(fixed, values));
    for (size_t i = 0; i < count; ++i) {
      expected += static_cast<double>(values[i]) * values[i];
      const double value = static_cast<double>(fixed[i]) / kFixedScale;
      expected_fixed += value * value;
    }
    EXPECT_NEAR(SumSquares(std::span<const float>(values)), expected, 1e-13 * expected) << count;
    EXPECT_NEAR(SumSquares(std::span<const int64_t>(fixed)), expected_fixed, 1e-13 * expected_fixed) << count;
  }
  // Beyond what a float holds.
  EXPECT_NEAR(SumSquares(std::vector<float>(100, 1e30f)) / 1e62, 1.0, 1e-6);
  EXPECT_TRUE(std::isnan(SumSquares(std::vector<float>{1.0f, kNan})));
}

TEST(FlatSumsTest, AddsFloats) {
  const std::vector<float> from = Numbers(77);
  std::vector<float> to(77, 0.25f);
  AddFloats(to, from);
  for (size_t i = 0; i < to.size(); ++i) EXPECT_EQ(to[i], 0.25f + from[i]);
}

}  // namespace
}  // namespace eddl::cluster
