#include "runtime/data/order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "runtime/base/rng.h"

namespace eddl {
namespace {

std::vector<int64_t> Identity(int64_t count) {
  std::vector<int64_t> positions(static_cast<size_t>(count));
  std::iota(positions.begin(), positions.end(), int64_t{0});
  return positions;
}

TEST(OrderTest, IsAPermutationForEveryCountAndWindowing) {
  for (int64_t count : {0, 1, 2, 7, 100, 1001}) {
    for (int64_t windows : {1, 2, 3, 13}) {
      std::vector<int64_t> order = EpochOrder(3, 0, count, {.first_epoch_windows = windows});
      std::sort(order.begin(), order.end());
      EXPECT_EQ(order, Identity(count)) << count << " in " << windows;
    }
  }
}

TEST(OrderTest, DependsOnSeedAndEpochAlone) {
  EXPECT_EQ(EpochOrder(1, 2, 50, {}), EpochOrder(1, 2, 50, {}));
  std::set<std::vector<int64_t>> orders;
  for (uint64_t seed : {1, 2, 3}) {
    for (int64_t epoch : {0, 1, 2}) orders.insert(EpochOrder(seed, epoch, 50, {}));
  }
  EXPECT_EQ(orders.size(), 9u);
}

TEST(OrderTest, IsTheShuffleOfTheSeedOfTheEpoch) {
  std::vector<int64_t> expected = Identity(20);
  Rng rng(DeriveSeed(5, 4));
  Shuffle(expected, rng);
  EXPECT_EQ(EpochOrder(5, 4, 20, {}), expected);
}

TEST(OrderTest, FirstEpochStaysInsideItsWindows) {
  const std::vector<int64_t> order = EpochOrder(1, 0, 1000, {.first_epoch_windows = 4});
  for (int64_t window = 0; window < 4; ++window) {
    std::vector<int64_t> rows(order.begin() + window * 250, order.begin() + (window + 1) * 250);
    EXPECT_FALSE(std::is_sorted(rows.begin(), rows.end())) << window;
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows.front(), window * 250);
    EXPECT_EQ(rows.back(), window * 250 + 249);
  }
}

TEST(OrderTest, LaterEpochsShuffleAll) {
  EXPECT_EQ(EpochOrder(1, 1, 1000, {.first_epoch_windows = 4}), EpochOrder(1, 1, 1000, {}));
}

// Over many epochs each row comes first about as often as any other.
TEST(OrderTest, FavoursNoRow) {
  std::vector<int> first(8);
  for (int64_t epoch = 0; epoch < 8000; ++epoch) ++first[static_cast<size_t>(EpochOrder(1, epoch, 8, {})[0])];
  for (int count : first) EXPECT_NEAR(count, 1000, 150);
}

TEST(OrderTest, ShuffledLabelsGetWindows) {
  std::vector<int32_t> labels;
  Rng rng(1);
  for (int i = 0; i < 60'000; ++i) labels.push_back(static_cast<int32_t>(rng.Below(10)));
  EXPECT_EQ(RepresentativeWindows(labels, 10), 7);
}

TEST(OrderTest, SortedLabelsFallBackToAFullShuffle) {
  std::vector<int32_t> labels;
  for (int i = 0; i < 60'000; ++i) labels.push_back(i / 6'000);
  EXPECT_EQ(RepresentativeWindows(labels, 10), 1);
}

// A drift in one window alone is enough.
TEST(OrderTest, OneOddWindowFallsBackToAFullShuffle) {
  std::vector<int32_t> labels;
  for (int i = 0; i < 32'768; ++i) labels.push_back(i % 2);
  EXPECT_EQ(RepresentativeWindows(labels, 2), 4);
  std::fill(labels.end() - 4'000, labels.end(), 1);
  EXPECT_EQ(RepresentativeWindows(labels, 2), 1);
}

TEST(OrderTest, SmallSetsHaveOneWindow) { EXPECT_EQ(RepresentativeWindows(std::vector<int32_t>(8191), 1), 1); }

}  // namespace
}  // namespace eddl
