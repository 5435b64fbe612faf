#include "net/policy/lease_gate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kC{3};
constexpr Duration kNoRoundTrip{0};

Instant At(double seconds) { return {static_cast<int64_t>(seconds * 1e9)}; }

// A: 1 s a micro-batch, B: 2 s, C: 4 s.
LeaseGate ThreeWorkers() {
  LeaseGate gate;
  double rate = 1;
  for (const NodeId node : {kA, kB, kC}) {
    gate.Join(node);
    gate.SetRate(node, rate);
    rate /= 2;
  }
  return gate;
}

bool Asks(LeaseGate& gate, NodeId node, double seconds, int64_t pool_size) {
  return gate.Decide(node, At(seconds), pool_size, kNoRoundTrip).micro_batches > 0;
}

TEST(LeaseGateTest, ParksWhoWouldFinishAfterTheOthersHaveDrainedThePool) {
  LeaseGate gate = ThreeWorkers();
  // In 4 s, A computes 4 micro-batches, B 2 and C 1; ends at one instant all count.
  EXPECT_TRUE(Asks(gate, kC, 0, 7));
  EXPECT_TRUE(Asks(gate, kC, 0, 5));
  EXPECT_FALSE(Asks(gate, kC, 0, 4));
  // In 2 s, A computes 2 and B 1.
  EXPECT_TRUE(Asks(gate, kB, 0, 2));
  EXPECT_FALSE(Asks(gate, kB, 0, 1));
  EXPECT_TRUE(Asks(gate, kA, 0, 1));
}

TEST(LeaseGateTest, CountsWhatWorkersHaveAlready) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 4, At(0));
  EXPECT_FALSE(Asks(gate, kC, 0, 1));  // B would be done after 2 s
  gate.Granted(kB, 2, At(0));
  EXPECT_TRUE(Asks(gate, kC, 0, 1));  // after 4 s; A after 5 s, B after 6 s
  gate.Finished(kA, 4, At(1));
  EXPECT_FALSE(Asks(gate, kC, 1, 1));
}

TEST(LeaseGateTest, AChangedSpeedMovesThePredictedEndOfWhatIsUnderWay) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 2, At(1));
  EXPECT_EQ(gate.PredictedFinish(kA, At(1)), At(3));
  gate.SetRate(kA, 0.25);
  EXPECT_EQ(gate.PredictedFinish(kA, At(1)), At(9));
  gate.Finished(kA, 1, At(4));
  EXPECT_EQ(gate.PredictedFinish(kA, At(4)), At(8));
  gate.Finished(kA, 1, At(10));
  EXPECT_EQ(gate.PredictedFinish(kA, At(10)), At(10));
}

TEST(LeaseGateTest, NobodyWaitsForAWorkerThatIsOverdue) {
  LeaseGate gate = ThreeWorkers();
  gate.Leave(kB);
  gate.Granted(kA, 1, At(0));
  const LeaseDecision parked = gate.Decide(kC, At(0.5), 1, kNoRoundTrip);
  EXPECT_EQ(parked, (LeaseDecision{.micro_batches = 0, .ask_again = At(1.5)}));
  EXPECT_FALSE(Asks(gate, kC, 1.4, 1));
  EXPECT_TRUE(Asks(gate, kC, 1.5, 1));
  gate.Finished(kA, 1, At(3));
  EXPECT_FALSE(Asks(gate, kC, 3, 1));
}

// All but one ask when nothing is theirs; without being called, nobody would ever ask for the last micro-batch.
TEST(LeaseGateTest, AParkedWorkerIsCalledWhenTheLevelComesToIt) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 1, At(0));
  EXPECT_FALSE(Asks(gate, kB, 0.2, 1));  // at 2.2 s; A at 2 s
  EXPECT_FALSE(Asks(gate, kC, 0.2, 1));
  EXPECT_TRUE(gate.TakeCalled().empty());
  gate.SetRate(kA, 0.5);  // slower than believed: A at 4 s
  EXPECT_FALSE(Asks(gate, kC, 0.4, 1));
  EXPECT_EQ(gate.TakeCalled(), std::vector{kB});
  EXPECT_TRUE(gate.TakeCalled().empty()) << "once";
  EXPECT_TRUE(Asks(gate, kB, 0.4, 1));
}

TEST(LeaseGateTest, NobodyCountsOnWhoDeclined) {
  LeaseGate gate = ThreeWorkers();
  EXPECT_FALSE(Asks(gate, kC, 0, 1));
  EXPECT_EQ(gate.TakeCalled(), std::vector{kA});
  gate.Decline(kA);
  EXPECT_FALSE(Asks(gate, kC, 0, 1));
  EXPECT_EQ(gate.TakeCalled(), std::vector{kB});
  gate.Decline(kB);
  EXPECT_TRUE(Asks(gate, kC, 0, 1));
  gate.SetRate(kA, 1);  // it was heard of
  EXPECT_FALSE(Asks(gate, kC, 0, 1));
}

TEST(LeaseGateTest, TheWayThereAndBackCountsWhenNothingIsBefore) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 1, At(0), At(0.5) - At(0));
  gate.Granted(kA, 1, At(0), At(0.5) - At(0));
  EXPECT_EQ(gate.PredictedFinish(kA, At(0)), At(2.5));
  gate.Finished(kA, 1, At(1.5));
  EXPECT_EQ(gate.PredictedFinish(kA, At(1.5)), At(2.5));
}

TEST(LeaseGateTest, AnOverdueWorkerGetsNoMoreWhileOthersCouldDoIt) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 1, At(0));
  EXPECT_FALSE(Asks(gate, kA, 10, 4));  // 9 s late, so predicted to be busy until 20 s
  EXPECT_TRUE(Asks(gate, kA, 10, 30));
  gate.Leave(kB);
  gate.Granted(kA, 1, At(10));
  EXPECT_TRUE(Asks(gate, kC, 10, 1)) << "having more to do does not make it punctual";
  gate.Leave(kC);
  EXPECT_TRUE(Asks(gate, kA, 10, 1));
}

TEST(LeaseGateTest, AWorkerOfUnknownSpeedGetsOneMicroBatchAtATimeAndNobodyCountsOnIt) {
  LeaseGate gate = ThreeWorkers();
  gate.Leave(kA);
  gate.Join(kA);
  EXPECT_EQ(gate.Decide(kA, At(0), 100, At(5) - At(0)).micro_batches, 1);
  gate.Granted(kA, 1, At(0));
  EXPECT_FALSE(Asks(gate, kA, 0, 100));
  EXPECT_TRUE(Asks(gate, kC, 0, 3));
}

TEST(LeaseGateTest, AGrantHidesTheRoundTripAsFarAsThePoolHasThatForAll) {
  LeaseGate gate = ThreeWorkers();
  const Duration round_trip = At(0.5) - At(0);
  EXPECT_EQ(gate.Decide(kA, At(0), 600, round_trip).micro_batches, 5);
  EXPECT_EQ(gate.Decide(kC, At(0), 600, round_trip).micro_batches, 2);  // 10 x 0.5 s / 4 s, rounded up
  EXPECT_EQ(gate.Decide(kA, At(0), 13, round_trip).micro_batches, 3);   // 13 / (2 x 3), rounded up
  EXPECT_EQ(gate.Decide(kA, At(0), 600, kNoRoundTrip).micro_batches, 1);
}

TEST(LeaseGateTest, ADuplicateGoesToWhoCouldFinishItFirst) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kC, 1, At(0));
  gate.Granted(kA, 1, At(1.5));
  EXPECT_FALSE(gate.ShouldDuplicate(kB, kC, At(2)));  // at 4 s, as the owner
  gate.Granted(kC, 1, At(2));
  EXPECT_FALSE(gate.ShouldDuplicate(kB, kC, At(2)));  // at 4 s, but A by 3.5 s
  gate.Finished(kA, 1, At(2.5));
  EXPECT_TRUE(gate.ShouldDuplicate(kA, kC, At(2.5)));
  EXPECT_FALSE(gate.ShouldDuplicate(kA, kB, At(2.5)));  // idle itself
}

// The gate of a round that waits for another one's commit stays at one instant; so may a manager's clock, in a test.
TEST(LeaseGateTest, WhatItKeepsDoesNotGrowWhereTimeStandsStill) {
  LeaseGate gate = ThreeWorkers();
  for (int i = 0; i < 10'000; ++i) {
    gate.Granted(kA, 1, At(0));
    gate.Granted(kB, 1, At(0));
    gate.Finished(kB, 1, At(0));
    gate.Finished(kA, 1, At(0));
  }
  EXPECT_LT(gate.expiry_count(), 100);
  // And what counts is kept: A is overdue after half a micro-batch more.
  gate.Granted(kA, 1, At(0));
  for (int i = 0; i < 1000; ++i) {
    gate.Granted(kB, 1, At(0));
    gate.Finished(kB, 1, At(0));
  }
  EXPECT_FALSE(Asks(gate, kC, 1.4, 2)) << "A and B are done before";
  EXPECT_EQ(gate.Decide(kC, At(1.4), 2, kNoRoundTrip).ask_again, At(1.5));
}

TEST(LeaseGateTest, WhoIsOverdueIsNotForgottenWithOldTimes) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 1, At(0));
  // Nobody has asked since A was due.
  for (int i = 0; i < 1000; ++i) {
    gate.Granted(kB, 1, At(10));
    gate.Finished(kB, 1, At(10));
  }
  LeaseGate quiet = ThreeWorkers();
  quiet.Granted(kA, 1, At(0));
  for (const NodeId node : {kB, kC}) {
    EXPECT_EQ(gate.Decide(node, At(10), 4, kNoRoundTrip), quiet.Decide(node, At(10), 4, kNoRoundTrip)) << ToInt(node);
  }
}

TEST(LeaseGateTest, ALeaseFromBeforeAWorkerJoinedChangesNothing) {
  LeaseGate gate = ThreeWorkers();
  gate.Granted(kA, 1, At(0));
  gate.Leave(kA);
  gate.Join(kA);
  gate.SetRate(kA, 1);
  gate.Finished(kA, 1, At(2));
  EXPECT_EQ(gate.PredictedFinish(kA, At(2)), At(2));
  EXPECT_FALSE(Asks(gate, kC, 2, 4));
}

// A worker as the test knows it.
struct Known {
  int64_t cost_ns = 0;
  int64_t outstanding = 0;
  Instant started{};

  Instant busy_until() const { return started + Duration{outstanding * cost_ns}; }
  bool overdue(Instant now) const { return outstanding > 0 && busy_until() + Duration{cost_ns / 2} <= now; }
  Instant FreeAt(Instant now) const {
    if (outstanding == 0) return now;
    // As late again as it is, and the cost of a micro-batch.
    return overdue(now) ? now + (now - busy_until()) + Duration{cost_ns} : busy_until();
  }
};

// The end of the pool's last slot, from all slots in order.
Instant Level(const std::vector<Known>& workers, Instant now, int64_t pool_size) {
  std::vector<Instant> ends;
  for (const Known& worker : workers) {
    if (worker.overdue(now)) continue;
    for (int64_t i = 1; i <= pool_size; ++i) ends.push_back(worker.FreeAt(now) + Duration{i * worker.cost_ns});
  }
  if (ends.empty()) return {INT64_MAX};
  std::nth_element(ends.begin(), ends.begin() + (pool_size - 1), ends.end());
  return ends[static_cast<size_t>(pool_size - 1)];
}

// One round: at each step something finishes, and then everybody that has room asks, as at a manager.
void CompareInARound(uint64_t seed) {
  Rng rng(seed);
  LeaseGate gate;
  std::vector<Known> workers(1 + rng.Below(12));
  for (uint32_t i = 0; i < workers.size(); ++i) {
    gate.Join(NodeId{i});
    workers[i].cost_ns = static_cast<int64_t>(100'000'000 + rng.Below(900'000'000));
    gate.SetRate(NodeId{i}, 1e9 / static_cast<double>(workers[i].cost_ns));
  }
  auto pool_size = static_cast<int64_t>(rng.Below(60));
  Instant now;
  for (int step = 0; pool_size > 0; ++step) {
    ASSERT_LT(step, 5000);
    for (uint32_t i = 0; i < workers.size(); ++i) {
      while (workers[i].outstanding < 2 && pool_size > 0) {
        const Known& worker = workers[i];
        const int64_t slot = (worker.FreeAt(now) + Duration{worker.cost_ns}).ns;
        const bool in_time = slot <= Level(workers, now, pool_size).ns;
        const bool granted = gate.Decide(NodeId{i}, now, pool_size, kNoRoundTrip).micro_batches > 0;
        // Larger pools have a tolerance.
        ASSERT_TRUE(granted == in_time || pool_size >= 16) << "node " << i << ", step " << step;
        if (!granted) break;
        gate.Granted(NodeId{i}, 1, now);
        if (workers[i].outstanding++ == 0) workers[i].started = now;
        --pool_size;
      }
    }
    now.ns += static_cast<int64_t>(rng.Below(200'000'000));
    const auto i = static_cast<uint32_t>(rng.Below(workers.size()));
    if (workers[i].outstanding == 0) continue;
    gate.Finished(NodeId{i}, 1, now);
    --workers[i].outstanding;
    workers[i].started = now;
  }
}

TEST(LeaseGateTest, GrantsThePoolsEndJustAsAllSlotsInOrderSay) {
  for (uint64_t seed = 0; seed < 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    CompareInARound(seed);
  }
}

// Whoever is parked is so because another takes the pool, or will be asked again before it is needed.
TEST(LeaseGateTest, SomeoneCanAlwaysTakeThePool) {
  Rng rng(7);
  for (int trial = 0; trial < 500; ++trial) {
    LeaseGate gate;
    const auto count = static_cast<uint32_t>(1 + rng.Below(20));
    for (uint32_t i = 0; i < count; ++i) {
      gate.Join(NodeId{i});
      gate.SetRate(NodeId{i}, trial % 2 == 0 ? 1 : rng.Uniform(0.1, 10));
      if (rng.Below(2) == 0) gate.Granted(NodeId{i}, static_cast<int64_t>(1 + rng.Below(3)), At(0));
    }
    const auto pool_size = static_cast<int64_t>(1 + rng.Below(40));
    Instant now = At(rng.Uniform(0, 20));
    bool granted = false;
    for (int asked = 0; !granted; ++asked) {
      ASSERT_LE(asked, 20) << "everybody is parked for ever";
      Instant next{INT64_MAX};
      for (uint32_t i = 0; i < count; ++i) {
        const LeaseDecision decision = gate.Decide(NodeId{i}, now, pool_size, kNoRoundTrip);
        granted |= decision.micro_batches > 0;
        next = std::min(next, decision.ask_again);
      }
      ASSERT_TRUE(granted || (next > now && next < Instant{INT64_MAX}));
      now = next;
    }
  }
}

TEST(LeaseGateDeathTest, ToldOfAWorkerThatHasNotJoined) {
  LeaseGate gate = ThreeWorkers();
  EXPECT_DEATH(gate.Join(kA), "node 1 joins twice");
  EXPECT_DEATH(gate.SetRate(NodeId{9}, 1), "node 9 has not joined");
  EXPECT_DEATH(gate.SetRate(kA, 0), "node 1");
}

}  // namespace
}  // namespace eddl::net
