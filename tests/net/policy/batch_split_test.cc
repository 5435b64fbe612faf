#include "net/policy/batch_split.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

// The least time over all splits of `left` items among workers [i, end).
double BruteForce(std::span<const SplitWorker> workers, size_t i, int64_t left, double latest) {
  if (i == workers.size()) return left == 0 ? latest : std::numeric_limits<double>::infinity();
  double best = std::numeric_limits<double>::infinity();
  for (int64_t items = 0; items <= std::min(left, workers[i].items_max); ++items) {
    const double finish =
        items == 0 ? 0 : workers[i].fixed_seconds + workers[i].seconds_per_item * static_cast<double>(items);
    best = std::min(best, BruteForce(workers, i + 1, left - items, std::max(latest, finish)));
  }
  return best;
}

TEST(BatchSplitTest, NoSplitIsFaster) {
  Rng rng(1);
  int solved = 0;
  for (int trial = 0; trial < 600; ++trial) {
    std::vector<SplitWorker> workers;
    for (uint64_t i = 2 + rng.Below(3); i > 0; --i) {
      workers.push_back({.fixed_seconds = rng.Uniform(0, 2),
                         .seconds_per_item = rng.Uniform(0.1, 1.5),
                         .items_max = 2 + static_cast<int64_t>(rng.Below(20))});
    }
    const auto items = static_cast<int64_t>(1 + rng.Below(24));
    const auto split = SplitBatch(workers, items);
    const double best = BruteForce(workers, 0, items, 0);
    ASSERT_EQ(split.ok(), std::isfinite(best)) << split.status();
    if (!split.ok()) continue;
    ++solved;
    EXPECT_NEAR(split->seconds, best, 1e-12) << "trial " << trial;
    EXPECT_EQ(std::accumulate(split->items.begin(), split->items.end(), int64_t{0}), items);
    for (size_t i = 0; i < workers.size(); ++i) EXPECT_LE(split->items[i], workers[i].items_max);
  }
  EXPECT_GT(solved, 500);
}

TEST(BatchSplitTest, LargeBatchesApproachTheSplitOfRealNumbers) {
  // T = (B + Σ a/c) / Σ 1/c.
  const std::vector<SplitWorker> workers = {{0.1, 0.001}, {0.2, 0.002}, {0, 0.004}};
  const auto split = SplitBatch(workers, 1'000'000).value();
  EXPECT_NEAR(split.seconds, (1e6 + 0.1 / 0.001 + 0.2 / 0.002) / (1000 + 500 + 250), 0.004);
}

TEST(BatchSplitTest, LeavesOutWhoWouldOnlyBeLate) {
  const std::vector<SplitWorker> workers = {{0, 1}, {100, 1}};
  EXPECT_EQ(SplitBatch(workers, 50).value().items, (std::vector<int64_t>{50, 0}));
}

TEST(BatchSplitTest, TiesGoToTheEarlierWorker) {
  const std::vector<SplitWorker> workers = {{0, 1}, {0, 1}, {0, 1}};
  EXPECT_EQ(SplitBatch(workers, 4).value().items, (std::vector<int64_t>{2, 1, 1}));
}

TEST(BatchSplitTest, RefusesTimesThatAreNone) {
  for (const double odd : {std::nan(""), std::numeric_limits<double>::infinity(), -1.0, 0.0}) {
    EXPECT_EQ(SplitBatch(std::vector<SplitWorker>{{0, 1}, {0, odd}}, 4).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(SplitBatch(std::vector<SplitWorker>{{0, 1, 3}}, 4).status().message(),
            "batch split: 4 items for 1 workers with room for 3.000000; make the batch smaller");
}

}  // namespace
}  // namespace eddl::net
