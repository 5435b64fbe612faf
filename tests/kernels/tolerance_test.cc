#include "kernels/tolerance.h"

#include <gtest/gtest.h>

#include <limits>

#include "backends/sdk/op_table.h"

namespace eddl::kernels {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ToleranceTest, MeasuresErrorsAgainstTheTermsNotTheResult) {
  const Tolerance tolerance = {.rtol = 0.25, .atol = 0.5};
  EXPECT_EQ(ErrorFraction(3, Sum(1, 6), EDDL_F32, tolerance), 1);  // allowed: 0.5 + 0.25 * 6
  EXPECT_EQ(ErrorFraction(-3, Sum(1, 6), EDDL_F32, tolerance), 2);
  EXPECT_EQ(ErrorFraction(1, Sum(1, 6), EDDL_F32, tolerance), 0);
}

TEST(ToleranceTest, NanPassesOnlyForNan) {
  const Tolerance tolerance = {.rtol = 1};
  EXPECT_EQ(ErrorFraction(kNan, Sum(1), EDDL_F32, tolerance), kInfinity);
  EXPECT_EQ(ErrorFraction(1, Sum(kNan), EDDL_F32, tolerance), kInfinity);
  EXPECT_EQ(ErrorFraction(kNan, Sum(kNan), EDDL_F32, tolerance), 0);
}

TEST(ToleranceTest, InfinityPassesOnlyForTheSameInfinity) {
  const Tolerance tolerance = {.rtol = 1};
  EXPECT_EQ(ErrorFraction(kInfinity, Sum(kInfinity), EDDL_F32, tolerance), 0);
  EXPECT_EQ(ErrorFraction(-kInfinity, Sum(kInfinity), EDDL_F32, tolerance), kInfinity);
  EXPECT_EQ(ErrorFraction(kInfinity, Sum(1), EDDL_F32, tolerance), kInfinity);
  EXPECT_EQ(ErrorFraction(kNan, Sum(kInfinity), EDDL_F32, tolerance), kInfinity);
  EXPECT_EQ(ErrorFraction(kNan, Sum(kInfinity), EDDL_F32, {.rtol = 1, .any_not_finite = true}), 0);
  EXPECT_EQ(ErrorFraction(1e38, Sum(kInfinity), EDDL_F32, {.rtol = 1, .any_not_finite = true}), kInfinity);
}

TEST(ToleranceTest, WhatOverflowsTheDtypeIsInfinite) {
  EXPECT_EQ(ErrorFraction(kInfinity, Sum(1e39), EDDL_F32, {.rtol = 1}), 0);
  EXPECT_EQ(ErrorFraction(kInfinity, Sum(70000), EDDL_F16, {.exact = true}), 0);
}

TEST(ToleranceTest, ExactMeansRoundedOnce) {
  const Tolerance exact = {.exact = true};
  EXPECT_EQ(ErrorFraction(0.1f, Sum(0.1), EDDL_F32, exact), 0);
  EXPECT_EQ(ErrorFraction(std::nextafter(0.1f, 1.0f), Sum(0.1), EDDL_F32, exact), kInfinity);
}

TEST(ToleranceTest, IsStrictEnoughToSeeAMissingTerm) {
  for (const OpTraits& traits : kOpTable) {
    for (uint32_t output = 0; output < traits.output_max(); ++output) {
      const Tolerance tolerance = ToleranceOf(traits.kind, output);
      EXPECT_LE(tolerance.rtol, 1e-4) << traits.name;
      EXPECT_LE(tolerance.atol, 1e-6) << traits.name;
    }
  }
}

}  // namespace
}  // namespace eddl::kernels
