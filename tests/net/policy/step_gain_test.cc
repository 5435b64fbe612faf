#include "net/policy/step_gain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

// Steps of a part `s` of the best rate on f(x) = x² / 2, whose best rate is 1; losses are seen with noise.
double PartOf(double s, int rounds, double noise = 0) {
  StepGain gain;
  Rng rng(7);
  double x = 1;
  for (int i = 0; i < rounds; ++i) {
    gain.AddRound(x * x / 2 + noise * rng.Normal(), s * x * x);
    x -= s * x;
  }
  return gain.RatePart();
}

TEST(StepGainTest, SaysHowLargeTheRateIsBesideTheBest) {
  EXPECT_NEAR(PartOf(0.01, 200), 0.01, 0.01);
  EXPECT_NEAR(PartOf(0.05, 60), 0.05, 0.06);
  // A step that gains nothing is twice the best.
  EXPECT_EQ(PartOf(2, 60), 1);
}

TEST(StepGainTest, ALossThatFallsLessThanGradientsSayMeansALargeRate) {
  StepGain half;
  for (int i = 0; i < 60; ++i) half.AddRound(10 - 0.075 * i, 0.1);
  EXPECT_NEAR(half.RatePart(), 0.5, 1e-9);
  StepGain rising;
  for (int i = 0; i < 60; ++i) rising.AddRound(1 + i, 0.1);
  EXPECT_EQ(rising.RatePart(), 1);
}

TEST(StepGainTest, IsNotLedAstrayByTheNoiseOfLosses) { EXPECT_NEAR(PartOf(0.02, 200, 0.02), 0.02, 0.1); }

TEST(StepGainTest, TakesTheWorstUntilItKnowsAndForWhatIsNotANumber) {
  EXPECT_EQ(PartOf(0.01, 10), 1);
  StepGain gain;
  for (int i = 0; i < 100; ++i) {
    gain.AddRound(std::nan(""), 1);
    gain.AddRound(1, std::numeric_limits<double>::infinity());
  }
  EXPECT_EQ(gain.RatePart(), 1);
  StepGain flat;  // a job that only models time has neither losses nor gains
  for (int i = 0; i < 100; ++i) flat.AddRound(0, 0);
  EXPECT_EQ(flat.RatePart(), 1);
}

}  // namespace
}  // namespace eddl::net
