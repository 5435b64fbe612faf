#include "net/policy/round.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr Incarnation kLife{View{1}, 1};

std::vector<MicroBatch> Ids(std::initializer_list<uint64_t> ids) {
  std::vector<MicroBatch> mbs;
  for (const uint64_t id : ids) mbs.push_back(MicroBatch{id});
  return mbs;
}
bool Any(MicroBatch) { return true; }

// "A0: 2 leased 1 finished last; B0: …"
std::string Parts(const Round& round) {
  std::string text;
  for (const auto& [key, contribution] : round.contributions()) {
    text += std::string(1, static_cast<char>('A' + ToInt(key.first) - 1)) + std::to_string(ToInt(key.second)) + ": " +
            std::to_string(contribution.leased) + " leased " + std::to_string(contribution.finished) + " finished" +
            (contribution.last ? " last; " : "; ");
  }
  return text;
}

TEST(RoundTest, IsWholeWhenAllThatWasDealtIsFinished) {
  Round round(Version{3}, Version{3}, {}, Ids({10, 11, 12}));
  const auto a = round.Lease(kA, kLife, Part{0}, 2, Any);
  const auto b = round.Lease(kB, kLife, Part{0}, 2, Any);
  EXPECT_EQ(a, Ids({10, 11}));
  EXPECT_EQ(b, Ids({12}));
  EXPECT_EQ(round.free_count(), 0);
  round.Finish(kA, Part{0}, a, 64);
  EXPECT_FALSE(round.whole());
  round.Finish(kB, Part{0}, b, 20);
  EXPECT_TRUE(round.whole());
  EXPECT_EQ(round.samples(), 84);
  EXPECT_EQ(round.cover(), CoverHash(Ids({10, 11, 12})));
}

TEST(RoundTest, WhatAGoneNodeHadFinishedIsFreeAgainToo) {
  Round round(Version{0}, Version{0}, {}, Ids({0, 1, 2}));
  round.Finish(kA, Part{0}, round.Lease(kA, kLife, Part{0}, 1, Any), 32);
  round.Lease(kB, kLife, Part{0}, 1, Any);
  round.Lease(kA, kLife, Part{0}, 1, Any);
  EXPECT_TRUE(round.Remove(kA));
  EXPECT_EQ(Parts(round), "B0: 1 leased 0 finished; ");
  EXPECT_EQ(round.FreeOnes(), Ids({0, 2}));
  EXPECT_FALSE(round.Remove(kA));
}

TEST(RoundTest, ADuplicateTakesOverOnlyWhatItsOwnerGaveUp) {
  Round round(Version{0}, Version{0}, {}, Ids({0, 1}));
  const auto slow = round.Lease(kA, kLife, Part{0}, 1, Any);
  round.Finish(kB, Part{0}, round.Lease(kB, kLife, Part{0}, 1, Any), 32);
  EXPECT_DEATH(round.Replace(kB, kLife, Part{1}, slow, 32), "still has an owner");
  round.GiveUp(kA, Part{0}, slow);
  round.Replace(kB, kLife, Part{1}, slow, 32);
  EXPECT_EQ(Parts(round), "B0: 0 leased 1 finished; B1: 0 leased 1 finished last; ");
  EXPECT_TRUE(round.whole());
}

TEST(RoundTest, ANodeGetsOnlyWhatItMayHave) {
  Round round(Version{0}, Version{0}, {}, Ids({0, 1, 2}));
  EXPECT_EQ(round.Lease(kA, kLife, Part{0}, 2, [](MicroBatch mb) { return mb != MicroBatch{0}; }), Ids({1, 2}));
  EXPECT_EQ(round.Lease(kB, kLife, Part{0}, 2, Any), Ids({0})) << "what was passed over is still first in line";
}

TEST(RoundTest, SaysThatContributorsChangedOnceForEachReader) {
  Round round(Version{0}, Version{0}, {}, Ids({0}));
  EXPECT_FALSE(round.TakeChanged());
  round.Lease(kA, kLife, Part{0}, 1, Any);
  EXPECT_TRUE(round.TakeChanged());
  EXPECT_FALSE(round.TakeChanged());
  EXPECT_TRUE(round.TakeUntold());
}

TEST(RoundTest, FinishingWhatIsNotOnesOwnIsABug) {
  Round round(Version{0}, Version{0}, {}, Ids({0, 1}));
  const auto lease = round.Lease(kA, kLife, Part{0}, 1, Any);
  round.Lease(kB, kLife, Part{0}, 1, Any);
  EXPECT_DEATH(round.Finish(kB, Part{0}, lease, 32), "not node 2's to finish");
}

TEST(RoundTest, OwnersAlwaysPartitionThePool) {
  Rng rng(7);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<MicroBatch> pool;
    for (uint64_t id = 0; id < 40; ++id) {
      if (rng.Below(3) > 0) pool.push_back(MicroBatch{id});
    }
    Round round(Version{0}, Version{0}, {}, pool);
    std::map<NodeId, std::vector<std::vector<MicroBatch>>> leases;
    int64_t samples = 0;
    for (int step = 0; step < 60; ++step) {
      const NodeId node{static_cast<uint32_t>(1 + rng.Below(4))};
      auto& own = leases[node];
      const uint64_t what = rng.Below(10);
      if (what < 5) {
        const auto lease = round.Lease(node, kLife, Part{0}, static_cast<int64_t>(1 + rng.Below(3)), Any);
        if (!lease.empty()) own.push_back(lease);
      } else if (what < 8 && !own.empty()) {
        round.Finish(node, Part{0}, own.back(), static_cast<int64_t>(own.back().size()));
        own.pop_back();
      } else if (what < 9 && !own.empty()) {
        round.GiveUp(node, Part{0}, own.back());
        own.pop_back();
      } else if (rng.Below(4) == 0) {
        round.Remove(node);
        own.clear();
      }
      int64_t owned = 0;
      uint64_t cover = 0;
      samples = 0;
      for (const auto& [key, contribution] : round.contributions()) {
        owned += contribution.leased + contribution.finished;
        samples += contribution.finished;
        cover += contribution.cover;
      }
      ASSERT_EQ(owned + round.free_count(), static_cast<int64_t>(pool.size()));
      ASSERT_EQ(static_cast<int64_t>(round.FreeOnes().size()), round.free_count());
      ASSERT_EQ(samples, round.finished_count());
      ASSERT_EQ(cover, round.cover());
    }
    EXPECT_EQ(samples, round.samples());
  }
}

}  // namespace
}  // namespace eddl::net
