#include "runtime/base/rng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <vector>

namespace eddl {
namespace {

using ::testing::ElementsAre;

// Pearson's statistic of counts that should be equal; the limits below are its 0.999 quantiles.
double ChiSquare(const std::vector<int>& counts) {
  const double expected = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  double sum = 0;
  for (int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

template <typename Function>
auto Take(int count, Function next) {
  std::vector<decltype(next())> values;
  for (int i = 0; i < count; ++i) values.push_back(next());
  return values;
}

// From the authors' C code, as other libraries' tests have them too.
TEST(RngTest, IsXoshiro256StarStar) {
  Rng rng(Rng::State{1, 2, 3, 4});
  EXPECT_THAT(Take(6, [&] { return rng.Next(); }),
              ElementsAre(11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u, 607988272756665600u));
}

TEST(RngTest, MixIsSplitMix64) { EXPECT_EQ(Mix(0), 0xe220a8397b1dcdafu); }

// What checkpoints and peers rely on: a seed gives these numbers for good.
TEST(RngTest, SequenceOfASeedNeverChanges) {
  Rng bits(42), below(42), uniform(42);
  EXPECT_THAT(Take(4, [&] { return bits.Next(); }),
              ElementsAre(0x15780b2e0c2ec716u, 0x6104d9866d113a7eu, 0xae17533239e499a1u, 0xecb8ad4703b360a1u));
  EXPECT_THAT(Take(8, [&] { return below.Below(10); }), ElementsAre(0u, 3u, 6u, 9u, 9u, 7u, 7u, 8u));
  EXPECT_THAT(Take(3, [&] { return uniform.Uniform(); }),
              ElementsAre(0.08386297105988216, 0.3789802506626686, 0.6800434110281394));
}

TEST(RngTest, StateResumesTheSequence) {
  Rng rng(7);
  rng.Next();
  Rng resumed(rng.state());
  EXPECT_EQ(Take(5, [&] { return resumed.Next(); }), Take(5, [&] { return rng.Next(); }));
}

TEST(RngTest, BelowReachesItsBoundsAndStaysWithin) {
  Rng rng(1);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(rng.Below(5));
  EXPECT_THAT(seen, ElementsAre(0u, 1u, 2u, 3u, 4u));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.Below(1), 0u);
}

// Without rejection, a third of the values would come twice as often for this bound.
TEST(RngTest, BelowHasNoBiasForLargeBounds) {
  Rng rng(2);
  std::vector<int> counts(3);
  for (int i = 0; i < 30000; ++i) ++counts[rng.Below(uint64_t{3} << 62) % 3];
  EXPECT_LT(ChiSquare(counts), 13.8);
}

TEST(RngTest, UniformFillsItsRange) {
  Rng rng(3);
  std::vector<int> counts(16);
  for (int i = 0; i < 32000; ++i) {
    const double value = rng.Uniform(-2.0, 6.0);
    ASSERT_GE(value, -2.0);
    ASSERT_LT(value, 6.0);
    ++counts[static_cast<size_t>((value + 2.0) * 2.0)];
  }
  EXPECT_LT(ChiSquare(counts), 37.7);
}

// Shares of a normal distribution between its quantiles, not only its moments.
TEST(RngTest, NormalHasTheShapeOfANormal) {
  constexpr std::array kQuartiles = {-0.6744897501960817, 0.0, 0.6744897501960817};
  Rng rng(4);
  std::vector<int> counts(4);
  double sum = 0, squares = 0;
  constexpr int kCount = 40000;
  for (int i = 0; i < kCount; ++i) {
    const double value = rng.Normal();
    ++counts[static_cast<size_t>(std::upper_bound(kQuartiles.begin(), kQuartiles.end(), value) - kQuartiles.begin())];
    sum += value;
    squares += value * value;
  }
  EXPECT_LT(ChiSquare(counts), 16.3);
  EXPECT_NEAR(sum / kCount, 0.0, 0.02);
  EXPECT_NEAR(squares / kCount, 1.0, 0.03);
}

TEST(RngTest, ShuffleMakesEveryOrderEquallyLikely) {
  Rng rng(5);
  std::map<std::vector<int>, int> orders;
  for (int i = 0; i < 24000; ++i) {
    std::vector<int> items = {0, 1, 2, 3};
    Shuffle(items, rng);
    ++orders[items];
  }
  EXPECT_EQ(orders.size(), 24u);
  std::vector<int> counts;
  for (const auto& [order, count] : orders) counts.push_back(count);
  EXPECT_LT(ChiSquare(counts), 49.7);
}

TEST(RngTest, ShuffleOfNothingAndOfOneUsesNoNumbers) {
  Rng rng(6);
  const Rng::State before = rng.state();
  std::vector<int> none, one = {1};
  Shuffle(none, rng);
  Shuffle(one, rng);
  EXPECT_EQ(rng.state(), before);
}

TEST(RngTest, DerivedSeedsDiffer) {
  std::set<uint64_t> seeds;
  for (uint64_t a = 0; a < 20; ++a) {
    for (uint64_t b = 0; b < 20; ++b) seeds.insert(DeriveSeed(1, a, b));
  }
  seeds.insert(DeriveSeed(2, 0));
  EXPECT_EQ(seeds.size(), 401u);
  static_assert(DeriveSeed(1, 2) == DeriveSeed(1, 2, 0));
}

}  // namespace
}  // namespace eddl
