#include "net/sim/device.h"

#include <gtest/gtest.h>

#include <cmath>

namespace eddl::net::sim {
namespace {

TEST(DeviceTest, WithoutNoiseALeaseTakesItsFixedPartAndItsSamples) {
  Device device({.fixed_seconds = 0.08, .seconds_per_sample = 0.01}, /*speed=*/1, /*seed=*/1);
  EXPECT_EQ(device.Compute(Instant{}, 32).ns, 400'000'000);
  Device twice({.fixed_seconds = 0.08, .seconds_per_sample = 0.01}, /*speed=*/2, /*seed=*/1);
  EXPECT_EQ(twice.Compute(Instant{}, 32).ns, 200'000'000);
}

TEST(DeviceTest, NoiseHasTheMeanAndTheVariationAskedFor) {
  Device device({.seconds_per_sample = 0.01, .variation = 0.3}, 1, 7);
  double sum = 0, squares = 0;
  constexpr int kCount = 20'000;
  for (int i = 0; i < kCount; ++i) {
    const double seconds = device.Compute(Instant{}, 100).seconds();
    sum += seconds;
    squares += seconds * seconds;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 1, 0.01);
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean) / mean, 0.3, 0.015);
}

// The share of time in bursts is busy / (busy + idle): 1/4, each twice as slow, so work takes 1 / (3/4 + 1/4 · 1/2) as
// long.
TEST(DeviceTest, BurstsSlowDownTheirShareOfTime) {
  Device device(
      {.seconds_per_sample = 1, .bursts = {.idle_seconds = 3, .busy_seconds = 1, .factor_min = 2, .factor_max = 2}}, 1,
      3);
  const double seconds = device.Compute(Instant{}, 40'000).seconds();
  EXPECT_NEAR(seconds / 40'000, 1 / (0.75 + 0.25 / 2), 0.01);
}

// A lease that was given up half-way does not bring the future forward: what follows is as if it had been short.
TEST(DeviceTest, LookingAheadDoesNotChangeTheLoad) {
  const DeviceSpec spec{.seconds_per_sample = 1, .bursts = {.idle_seconds = 2, .busy_seconds = 1}};
  Device looked(spec, 1, 11), plain(spec, 1, 11);
  looked.Compute(Instant{}, 1000);
  for (int64_t s = 0; s < 100; ++s) {
    const Instant at{s * 1'000'000'000};
    EXPECT_EQ(looked.Load(at), plain.Load(at)) << s << " s";
  }
}

TEST(DeviceTest, SlowLastsUntilItsEnd) {
  Device device({.seconds_per_sample = 1}, 1, 1);
  device.Slow(Instant{10}, 3);
  EXPECT_EQ(device.Compute(Instant{9}, 1).seconds(), 3);
  EXPECT_EQ(device.Compute(Instant{10}, 1).seconds(), 1);
}

}  // namespace
}  // namespace eddl::net::sim
