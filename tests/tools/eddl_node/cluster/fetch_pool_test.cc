#include "tools/eddl_node/cluster/fetch_pool.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tools/eddl_node/cluster/sample_cache.h"

namespace eddl::cluster {
namespace {

using Need = FetchPool::Need;

// Who had a turn, in order; a client's turn may be held.
class Turns {
 public:
  // A client called `name` that wants no more turns than it is woken for.
  FetchPool::Fetch Of(char name, absl::Notification* until = nullptr) {
    return [this, name, until]() -> FetchPool::Turn {
      {
        const absl::MutexLock lock(&mutex_);
        names_ += name;
      }
      if (until != nullptr) until->WaitForNotification();
      return {};
    };
  }
  // Once there are so many.
  std::string Await(size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return names_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30));
    return names_;
  }

 private:
  absl::Mutex mutex_;
  std::string names_ ABSL_GUARDED_BY(mutex_);
};

TEST(FetchPoolTest, WhatALeaseWaitsForGoesFirstThenWhatLeasesWillNeed) {
  Turns turns;
  absl::Notification go;
  FetchPool pool(1, 1);
  const auto busy = pool.Add(turns.Of('x', &go));
  const auto rest = pool.Add(turns.Of('r')), soon = pool.Add(turns.Of('s')), leased = pool.Add(turns.Of('l'));
  pool.Wake(busy, Need::kRest);
  EXPECT_EQ(turns.Await(1), "x");
  pool.Wake(rest, Need::kRest);
  pool.Wake(soon, Need::kSoon);
  pool.Wake(leased, Need::kLeased);
  go.Notify();
  EXPECT_EQ(turns.Await(4), "xlsr");
  for (const auto id : {busy, rest, soon, leased}) pool.Remove(id);
}

TEST(FetchPoolTest, WhatIsFetchedAheadLeavesAThreadToLeases) {
  Turns turns;
  absl::Notification go;
  FetchPool pool(2, 1);
  const auto first = pool.Add(turns.Of('a', &go)), second = pool.Add(turns.Of('b')), leased = pool.Add(turns.Of('l'));
  pool.Wake(first, Need::kSoon);
  EXPECT_EQ(turns.Await(1), "a");
  pool.Wake(second, Need::kSoon);
  pool.Wake(leased, Need::kLeased);
  EXPECT_EQ(turns.Await(2), "al") << "the other one that fetches ahead has to wait";
  go.Notify();
  EXPECT_EQ(turns.Await(3), "alb");
  for (const auto id : {first, second, leased}) pool.Remove(id);
}

TEST(FetchPoolTest, AClientHasOneTurnAtATimeAndThatForWhichItWasWokenMeanwhile) {
  Turns turns;
  absl::Notification go;
  FetchPool pool(2, 2);
  const auto id = pool.Add(turns.Of('a', &go));
  pool.Wake(id, Need::kRest);
  EXPECT_EQ(turns.Await(1), "a");
  pool.Wake(id, Need::kLeased);
  const auto other = pool.Add(turns.Of('b'));
  pool.Wake(other, Need::kRest);
  EXPECT_EQ(turns.Await(2), "ab");
  go.Notify();
  EXPECT_EQ(turns.Await(3), "aba");
  pool.Remove(id);
  pool.Remove(other);
}

TEST(FetchPoolTest, ATurnThatAClientAskedForComesInItsTime) {
  FetchPool pool(1, 1);
  absl::Notification done;
  absl::Time wanted = absl::InfinitePast();
  const auto id = pool.Add([&]() -> FetchPool::Turn {
    if (wanted == absl::InfinitePast()) return {.at = wanted = absl::Now() + absl::Milliseconds(20)};
    EXPECT_GE(absl::Now(), wanted);
    done.Notify();
    return {};
  });
  pool.Wake(id, Need::kRest);
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  pool.Remove(id);
}

TEST(FetchPoolTest, ACacheForEachOfManyContributionsTakesNoThreadOfItsOwn) {
  const auto count_threads = [] {
    const std::filesystem::directory_iterator threads("/proc/self/task");
    return std::distance(begin(threads), end(threads));
  };
  const auto before = count_threads();
  const auto pool = std::make_shared<FetchPool>(4, 2);
  std::vector<std::unique_ptr<SampleCache>> caches;
  for (int i = 0; i < 256; ++i) {
    const SampleCacheOptions options = {
        .fingerprint = "contributed-" + std::to_string(i), .sample_count = 3, .row_bytes = 1};
    const auto fetch = [i](std::span<const int64_t> samples, FetchKind, const SampleSink& sink) {
      const std::vector<std::byte> rows(samples.size(), static_cast<std::byte>(i));
      return sink(samples, rows, std::vector<int32_t>(samples.size(), i));
    };
    auto cache = SampleCache::Open(options, fetch, pool);
    ASSERT_TRUE(cache.ok()) << cache.status();
    caches.push_back(*std::move(cache));
  }
  for (int i = 0; i < 256; ++i) {
    std::vector<std::byte> rows;
    std::vector<int32_t> labels;
    ASSERT_TRUE(
        caches[static_cast<size_t>(i)]->Read(std::vector<int64_t>{2, 0}, rows, labels, [] { return false; }).ok());
    EXPECT_EQ(labels, (std::vector<int32_t>{i, i}));
  }
  EXPECT_LE(count_threads(), before + 4);
}

}  // namespace
}  // namespace eddl::cluster
