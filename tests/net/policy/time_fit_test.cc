#include "net/policy/time_fit.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

constexpr double kSizes[] = {64, 96, 128, 160};

// Mean 1, standard deviation about `spread`.
double Noise(Rng& rng, double spread) { return std::exp(spread * rng.Normal() - spread * spread / 2); }

// A device that takes 80 ms and 0.6 s for 128 samples, `factor` times as long.
double Device(double samples, double factor) { return (0.08 + 0.6 * samples / 128) * factor; }

TEST(TimeFitTest, FindsFixedAndPerSampleTimeThroughNoise) {
  double fixed = 0;
  double per_128 = 0;
  double variation = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    TimeFit fit;
    for (int i = 0; i < 60; ++i) {
      const double samples = kSizes[rng.Below(4)];
      fit.Add(samples, Device(samples, Noise(rng, 0.1)));
    }
    fixed += fit.line().fixed_seconds / 50;
    per_128 += fit.line().seconds_per_sample * 128 / 50;
    variation += fit.line().variation / 50;
    EXPECT_NEAR(fit.Predict(128), 0.68, 0.05) << "seed " << seed;
  }
  EXPECT_NEAR(fixed, 0.08, 0.02);
  EXPECT_NEAR(per_128, 0.6, 0.02);
  EXPECT_NEAR(variation, 0.1, 0.02);
}

// Solves the weighted normal equations from all measurements at once.
std::array<double, 2> LeastSquares(const std::vector<std::array<double, 2>>& measured) {
  double w = 0, x = 0, y = 0, xx = 0, xy = 0, weight = 1;
  for (auto it = measured.rbegin(); it != measured.rend(); ++it, weight *= 0.95) {
    const auto [samples, seconds] = *it;
    w += weight;
    x += weight * samples;
    y += weight * seconds;
    xx += weight * samples * samples;
    xy += weight * samples * seconds;
  }
  const double slope = (w * xy - x * y) / (w * xx - x * x);
  return {(y - slope * x) / w, slope};
}

TEST(TimeFitTest, IsTheLeastSquaresLineWithForgetting) {
  Rng rng(3);
  TimeFit fit;
  std::vector<std::array<double, 2>> measured;
  for (int i = 0; i < 100; ++i) {
    const double samples = kSizes[rng.Below(4)] * (1 + static_cast<double>(rng.Below(4)));
    measured.push_back({samples, Device(samples, 1) + 0.01 * rng.Uniform()});
    fit.Add(measured.back()[0], measured.back()[1]);
  }
  const auto [fixed, slope] = LeastSquares(measured);
  EXPECT_NEAR(fit.line().seconds_per_sample, slope, 1e-3 * slope);
  EXPECT_NEAR(fit.line().fixed_seconds, fixed, 2e-3);
}

TEST(TimeFitTest, TakesTimeAsProportionalWhileSizesNeverVary) {
  TimeFit fit;
  for (int i = 0; i < 20; ++i) fit.Add(32, 0.5);
  EXPECT_NEAR(fit.Predict(64), 1.0, 1e-9);
  EXPECT_NEAR(fit.line().fixed_seconds, 0, 1e-9);
}

TEST(TimeFitTest, StaysPutThroughThousandsOfMeasurementsOfOneSize) {
  Rng rng(5);
  TimeFit fit;
  for (const double samples : kSizes) fit.Add(samples, Device(samples, 1));
  for (int i = 0; i < 10'000; ++i) fit.Add(128, Device(128, Noise(rng, 0.1)));
  EXPECT_NEAR(fit.Predict(128), 0.68, 0.05);
  EXPECT_GT(fit.Predict(64), 0.3);
  EXPECT_LT(fit.Predict(256), 1.5);
}

TEST(TimeFitTest, HoldsBackOneWildMeasurement) {
  TimeFit fit;
  for (int i = 0; i < 20; ++i) fit.Add(32, 0.5 + 0.01 * (i % 3));
  const double before = fit.Predict(32);
  fit.Add(32, 5);
  EXPECT_EQ(fit.Predict(32), before);
  fit.Add(32, 0.5);
  EXPECT_NEAR(fit.Predict(32), 0.51, 0.01);
}

TEST(TimeFitTest, BelievesTheSecondWildMeasurementInARow) {
  TimeFit fit;
  for (int i = 0; i < 50; ++i) fit.Add(32, 0.5);
  fit.Add(32, 1.5);
  fit.Add(32, 1.6);
  EXPECT_NEAR(fit.Predict(32), 1.6, 1e-9);
  fit.Add(32, 0.5);  // back again: quickly
  fit.Add(32, 0.5);
  fit.Add(32, 0.5);
  EXPECT_LT(fit.Predict(32), 0.9);
}

TEST(TimeFitTest, TwoOppositeWildMeasurementsAreNoChange) {
  TimeFit fit;
  for (int i = 0; i < 50; ++i) fit.Add(32, 0.5);
  fit.Add(32, 5);
  fit.Add(32, 0.05);
  EXPECT_NEAR(fit.Predict(32), 0.5, 1e-9);
}

TEST(TimeFitTest, NeverSaysThatASampleIsFreeOrTheFixedPartNegative) {
  TimeFit falling;
  TimeFit steep;
  for (int i = 0; i < 20; ++i) {
    falling.Add(32 + 32 * (i % 2), 1.0 - 0.2 * (i % 2));
    steep.Add(32 + 32 * (i % 2), 0.1 + 0.5 * (i % 2));
  }
  EXPECT_GT(falling.line().seconds_per_sample, 0);
  EXPECT_GE(falling.line().fixed_seconds, 0);
  EXPECT_GE(steep.line().fixed_seconds, 0);
}

TEST(TimeFitTest, IgnoresWhatIsNoMeasurement) {
  TimeFit fit;
  for (const double odd : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    fit.Add(32, odd);
    fit.Add(odd, 1);
  }
  EXPECT_TRUE(fit.empty());
  EXPECT_EQ(fit.Predict(32), 0);
}

}  // namespace
}  // namespace eddl::net
