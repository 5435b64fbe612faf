#include "net/policy/noise_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

// Sums of gradients g = signal + noise with tr Σ = dimension · noise²; a lease of b samples is one draw of their sum.
class Gradients {
 public:
  Gradients(double signal, double noise, uint64_t seed) : signal_(signal), noise_(noise), rng_(seed) {}

  void Round(NoiseScale& scale, const std::vector<double>& leases) {
    std::vector<double> sum(kDimension, 0);
    double samples = 0;
    for (const double lease : leases) {
      double norm2 = 0;
      for (double& element : sum) {
        const double part = signal_ * lease + noise_ * std::sqrt(lease) * rng_.Normal();
        norm2 += part * part;
        element += part;
      }
      scale.AddPart(norm2, lease);
      samples += lease;
    }
    double norm2 = 0;
    for (const double element : sum) norm2 += element * element;
    scale.AddWhole(norm2, samples);
  }

  double noise_scale() const { return noise_ * noise_ / (signal_ * signal_); }

 private:
  static constexpr size_t kDimension = 200;
  double signal_;
  double noise_;
  Rng rng_;
};

TEST(NoiseScaleTest, FindsTheRatioOfNoiseToSignal) {
  for (const double noise : {3.0, 10.0, 30.0}) {
    Gradients gradients(1, noise, 1);
    NoiseScale scale;
    for (int round = 0; round < 200; ++round) gradients.Round(scale, std::vector<double>(16, 32));
    EXPECT_NEAR(scale.Get() / gradients.noise_scale(), 1, 0.15) << "noise " << noise;
  }
}

TEST(NoiseScaleTest, LeasesOfDifferentSizesTellTheSame) {
  Gradients gradients(1, 10, 2);
  NoiseScale scale;
  for (int round = 0; round < 200; ++round) gradients.Round(scale, {8, 8, 16, 32, 32, 64, 128, 256});
  EXPECT_NEAR(scale.Get(), 100, 15);
}

TEST(NoiseScaleTest, FollowsNoiseThatGrowsDuringTraining) {
  NoiseScale scale;
  Gradients early(1, 5, 3);
  for (int round = 0; round < 100; ++round) early.Round(scale, std::vector<double>(8, 32));
  Gradients late(1, 30, 4);
  for (int round = 0; round < 300; ++round) late.Round(scale, std::vector<double>(8, 32));
  EXPECT_NEAR(scale.Get() / late.noise_scale(), 1, 0.25);
}

// How many rounds it takes to say something.
int CountSilentRounds(Gradients gradients, const std::vector<double>& leases) {
  NoiseScale scale;
  for (int round = 1; round <= 100; ++round) {
    gradients.Round(scale, leases);
    if (scale.Get() > 0) return round;
  }
  return 0;
}

// A strong signal, and many leases: all rounds say the same. Two small leases beside much noise: no two rounds do.
TEST(NoiseScaleTest, SaysWhatItKnowsAsSoonAsRoundsAgree) {
  EXPECT_EQ(CountSilentRounds(Gradients(1, 3, 5), std::vector<double>(16, 32)), 6);
  EXPECT_EQ(CountSilentRounds(Gradients(1, 100, 5), {8, 8}), 20);
}

TEST(NoiseScaleTest, WhatItSaysFirstIsRoughlyRight) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Gradients gradients(1, 20, seed);
    NoiseScale scale;
    while (!(scale.Get() > 0)) gradients.Round(scale, std::vector<double>(8, 16));
    EXPECT_GT(scale.Get(), gradients.noise_scale() / 2) << "seed " << seed;
    EXPECT_LT(scale.Get(), gradients.noise_scale() * 2) << "seed " << seed;
  }
}

TEST(NoiseScaleTest, ARoundOfOneLeaseSaysNothing) {
  Gradients gradients(1, 10, 6);
  NoiseScale scale;
  for (int round = 0; round < 100; ++round) gradients.Round(scale, {64});
  EXPECT_EQ(scale.Get(), 0);
}

TEST(NoiseScaleTest, BadNormsDoNotStick) {
  Gradients gradients(1, 10, 7);
  NoiseScale clean;
  NoiseScale dirty;
  for (int round = 0; round < 100; ++round) gradients.Round(clean, {32, 32, 32, 32});
  gradients = Gradients(1, 10, 7);
  for (int round = 0; round < 100; ++round) {
    dirty.AddPart(std::nan(""), 32);
    dirty.AddPart(INFINITY, 32);
    gradients.Round(dirty, {32, 32, 32, 32});
    dirty.AddWhole(std::nan(""), 128);
  }
  EXPECT_EQ(dirty.Get(), clean.Get());
}

TEST(NoiseScaleTest, IsALargeNumberWhenThereIsNoSignalAndOneWhenThereIsNoNoise) {
  NoiseScale pure_noise;
  NoiseScale pure_signal;
  for (int round = 0; round < 30; ++round) {
    for (int lease = 0; lease < 4; ++lease) pure_noise.AddPart(32 * 1.0, 32);
    EXPECT_LT(*pure_noise.AddWhole(100, 128), 0);  // less than noise alone makes on average
    for (int lease = 0; lease < 4; ++lease) pure_signal.AddPart(32 * 32, 32);
    EXPECT_NEAR(*pure_signal.AddWhole(128 * 128, 128), 1, 1e-9);
  }
  EXPECT_EQ(pure_noise.Get(), 1e9);
  EXPECT_EQ(pure_signal.Get(), 1);
}

TEST(LearningRateGainTest, GrowsWithTheBatchWhileNoiseDominates) {
  EXPECT_NEAR(LearningRateGain(1e9, 128, 2048, OptimizerKind::kSgd), 16, 1e-3);
  EXPECT_NEAR(LearningRateGain(1e9, 128, 2048, OptimizerKind::kAdam), 4, 1e-3);
  EXPECT_NEAR(LearningRateGain(128, 128, 384, OptimizerKind::kSgd), 1.5, 1e-12);
  EXPECT_NEAR(LearningRateGain(1, 128, 2048, OptimizerKind::kSgd), 1, 0.01);
  EXPECT_EQ(LearningRateGain(0, 128, 2048, OptimizerKind::kSgd), 1);
}

}  // namespace
}  // namespace eddl::net
