// Stories of ends of epochs: how versions are tested, and what is saved and told of each end.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "net/node/manager.h"
#include "tests/net/node/cluster.h"

namespace eddl::net {
namespace {

// 12 rounds of training in two epochs; each is tested on five micro-batches: see Cluster for what their sums say.
Cluster::Options Testing() {
  Cluster::Options options;
  options.manager.ledger.epoch_count = 2;
  options.manager.checkpoint_epochs = options.manager.checkpoint_end = true;
  options.manager.test_count = 18;
  options.manager.speculate = false;  // so that both workers test: not while one computes a duplicate
  return options;
}

std::string TestsOf(const Cluster& cluster) {
  std::string text;
  for (const Evaluated& test : cluster.tests()) {
    text += "v" + std::to_string(ToInt(test.version)) + ": " + std::to_string(test.samples) + " samples";
    if (test.loss == 0x11111 && test.correct == static_cast<int64_t>(5 * (ToInt(test.version) / 6))) text += " once";
    text += test.loss == -1 ? " here; " : "; ";
  }
  return text;
}

// All is computed and saved, and workers from 1 to `stalled` do not answer for the last test.
void RunIntoTheLastTest(Cluster& cluster, uint32_t stalled) {
  ASSERT_TRUE(cluster.RunToVersion(12));
  for (uint32_t node = 1; node <= stalled; ++node) cluster.stalled_tests[node] = true;
  ASSERT_TRUE(cluster.Run([&] { return cluster.journal().checkpoint == Version{12}; }));
  ASSERT_EQ(TestsOf(cluster), "v6: 18 samples once; ");
}

TEST(ManagerEpochsTest, EveryEpochIsTestedByTheWorkers) {
  for (const bool speculate : {false, true}) {
    Cluster::Options options = Testing();
    options.manager.speculate = speculate;
    Cluster cluster(options);
    ASSERT_TRUE(cluster.Run());
    EXPECT_EQ(cluster.why(), "");
    EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
    EXPECT_EQ(cluster.tested(1) + cluster.tested(2), 2 * 5);
    EXPECT_EQ(CoverOf(cluster), "48 micro-batches once");
  }
}

TEST(ManagerEpochsTest, WhoTrainsIsNotAskedToTest) {
  Cluster cluster(Testing());
  ASSERT_TRUE(cluster.RunToVersion(6));
  cluster.stalled[1] = true;  // it trains
  ASSERT_TRUE(cluster.Run([&] { return !cluster.tests().empty(); }));
  EXPECT_EQ(cluster.manager().version(), Version{6});
  EXPECT_EQ(cluster.tested(1), 0);
  EXPECT_EQ(cluster.sent("Cancel"), 0) << "it had a lease that node 2 did in its place";
  cluster.stalled[1] = false;
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
}

// Node 1 hangs in its part: node 2 does that, too, when patience is over.
TEST(ManagerEpochsTest, WhatASlowWorkerIsTestingAnotherTestsToo) {
  Cluster cluster(Testing());
  cluster.stalled_tests[1] = true;
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
  EXPECT_GE(cluster.sent("Cancel"), 1) << "to node 1";
  EXPECT_EQ(CoverOf(cluster), "48 micro-batches once");
}

TEST(ManagerEpochsTest, WhatALostWorkerWasTestingIsTestedByAnother) {
  Cluster cluster(Testing());
  ASSERT_TRUE(cluster.Run([&] { return cluster.tested(1) > 0; }));
  cluster.Crash(1);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
  EXPECT_GE(cluster.tested(2), 5);
}

// A worker that comes while version 6 is tested has a later one.
TEST(ManagerEpochsTest, WhereNobodyHasTheVersionTheManagerTestsItItself) {
  Cluster cluster(Testing());
  cluster.stalled_tests[1] = cluster.stalled_tests[2] = true;
  ASSERT_TRUE(cluster.Run([&] { return cluster.tested(1) + cluster.tested(2) > 0; }));
  ASSERT_TRUE(cluster.tests().empty());
  cluster.Crash(1);
  cluster.Crash(2);
  cluster.stalled_tests[1] = cluster.stalled_tests[2] = false;
  cluster.Join(1);
  cluster.Join(2);
  ASSERT_TRUE(cluster.Run());
  const std::string tests = TestsOf(cluster);
  EXPECT_TRUE(tests.starts_with("v6: 18 samples here; v12: 18 samples ")) << tests;
  EXPECT_EQ(CoverOf(cluster), "48 micro-batches once");
}

TEST(ManagerEpochsTest, ATestThatIsNotForMembersIsTheManagers) {
  Cluster::Options options = Testing();
  options.manager.test_here = true;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples here; v12: 18 samples here; ");
  EXPECT_EQ(cluster.tested(1) + cluster.tested(2), 0);
}

TEST(ManagerEpochsTest, ATestThatARestartInterruptedIsRepeated) {
  Cluster cluster(Testing());
  RunIntoTheLastTest(cluster, 1);
  cluster.Crash(0);
  cluster.stalled_tests[1] = false;
  cluster.RestartManager(/*lost=*/0, /*untested=*/Version{12});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
}

TEST(ManagerEpochsTest, ALeaderThatIsLostDoesNotEndATest) {
  Cluster cluster(Testing());
  RunIntoTheLastTest(cluster, 1);
  cluster.Crash(4);
  cluster.stalled_tests[1] = false;
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
}

// Whoever can't say anything of a version is not asked again; if nobody can, it is the manager's.
TEST(ManagerEpochsTest, AModelThatIsNotFiniteIsTestedByTheManager) {
  Cluster cluster(Testing());
  cluster.on_finished = [&](uint32_t, LeaseFinished& finished) {
    if (finished.done.kind == LeaseKind::kEvaluate) finished.done.finite = false;
  };
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples here; v12: 18 samples here; ");
}

TEST(ManagerEpochsTest, AnAnswerForATestThatThereIsNotIsAStrike) {
  Cluster cluster(Testing());
  cluster.on_finished = [&](uint32_t node, LeaseFinished& finished) {
    if (finished.done.kind == LeaseKind::kEvaluate && node == 1)
      finished.done.micro_batches = {MicroBatch{uint64_t{1} << 40}};
  };
  ASSERT_TRUE(cluster.RunToVersion(7));
  EXPECT_TRUE(cluster.Run([&] { return cluster.manager().roster().Find(NodeId{1})->strikes > 0; }));
}

// All is trained and saved, and nobody is left to test it.
TEST(ManagerEpochsTest, AJobWhoseDevicesGoDuringItsLastTestEnds) {
  Cluster cluster(Testing());
  RunIntoTheLastTest(cluster, 2);
  for (uint32_t node = 1; node <= 4; ++node) cluster.Crash(node);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples here; ");
}

TEST(ManagerEpochsTest, AResultThatCantBeIsAStrike) {
  Cluster cluster(Testing());
  std::map<Version, int> bad;
  cluster.on_finished = [&](uint32_t node, LeaseFinished& finished) {
    if (finished.done.kind != LeaseKind::kEvaluate || node != 1) return;
    finished.done.correct = 1000;
    ++bad[finished.done.base];
  };
  ASSERT_TRUE(cluster.Run());
  ASSERT_EQ(bad.size(), 2) << "a strike does not keep a node from the next test";
  EXPECT_EQ(cluster.manager().roster().Find(NodeId{1})->strikes, bad[Version{6}] + bad[Version{12}]);
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
  EXPECT_EQ(CoverOf(cluster), "48 micro-batches once");
}

// "epoch 1 at v2, saved, tested; …": what became of each end that was told.
std::string EpochEndsOf(const Cluster& cluster) {
  std::string text;
  for (const EpochsOver& over : cluster.epochs_over()) {
    const auto is_it = [&](const auto& one) {
      if constexpr (requires { one.version; }) return one.version == over.version;
      if constexpr (!requires { one.version; }) return one == over.version;
    };
    text += "epoch " + std::to_string(over.count) + " at v" + std::to_string(ToInt(over.version));
    if (std::any_of(cluster.saved().begin(), cluster.saved().end(), is_it)) text += " saved";
    if (std::any_of(cluster.tests().begin(), cluster.tests().end(), is_it)) text += " tested";
    text += "; ";
  }
  return text;
}

TEST(ManagerEpochsTest, EveryEpochsEndIsToldSavedAndTested) {
  Cluster cluster(Testing());
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(EpochEndsOf(cluster), "epoch 1 at v6 saved tested; epoch 2 at v12 saved tested; ");
}

// Ten micro-batches of node 1 and one of node 2 an epoch. Node 1 goes when the rest of the first epoch is its own.
TEST(ManagerEpochsTest, AnEpochThatEndsSinceItsRestIsOutOfReachIsSavedAndTestedToo) {
  Cluster::Options options = Testing();
  options.manager.ledger.sample_count = 0;
  options.manager.ledger.epoch_count = 3;
  Cluster cluster(options);
  cluster.Handle(0, Contributed{{.row_count = 40, .owner = NodeId{1}}});
  cluster.Handle(0, Contributed{{.row_count = 4, .owner = NodeId{2}}});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Crash(1);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(cluster.computed(2), 3) << "one an epoch";
  EXPECT_EQ(EpochEndsOf(cluster),
            "epoch 1 at v2 saved tested; epoch 2 at v3 saved tested; epoch 3 at v4 saved tested; ");
}

// The ninth micro-batch is a round of its own, and poisonous.
TEST(ManagerEpochsTest, AnEpochThatEndsSinceItsRestIsPoisonousIsSavedAndTestedToo) {
  Cluster::Options options = Testing();
  options.manager.ledger.sample_count = 36;
  Cluster cluster(options);
  cluster.on_finished = [](uint32_t, LeaseFinished& finished) {
    if (finished.done.kind != LeaseKind::kTrain) return;
    const std::vector<MicroBatch>& mbs = finished.done.micro_batches;
    finished.done.finite = std::find(mbs.begin(), mbs.end(), MicroBatch{8}) == mbs.end();
    if (!finished.done.finite) finished.payload = Payload{};
  };
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "17 micro-batches once");
  EXPECT_EQ(EpochEndsOf(cluster), "epoch 1 at v2 saved tested; epoch 2 at v5 saved tested; ");
}

// A leader is lost while the checkpoint of the epoch's last version is on its way.
TEST(ManagerEpochsTest, AnEpochWhoseCheckpointIsLostOnItsWayEndsAnew) {
  Cluster cluster(Testing());
  ASSERT_TRUE(cluster.RunToVersion(6));
  ASSERT_EQ(EpochEndsOf(cluster), "epoch 1 at v6; ");
  cluster.Crash(4);
  ASSERT_TRUE(cluster.Run());
  const std::string ends = EpochEndsOf(cluster);
  EXPECT_EQ(cluster.epochs_over().size(), 3u) << ends;
  EXPECT_TRUE(ends.ends_with("; epoch 1 at v6 saved tested; epoch 2 at v12 saved tested; ") ||
              ends.ends_with("; epoch 1 at v5 saved tested; epoch 2 at v12 saved tested; "))
      << ends;
  EXPECT_EQ(cluster.tests().size(), 2u);
  EXPECT_EQ(CoverOf(cluster), "48 micro-batches once");
}

TEST(ManagerEpochsTest, AnEpochThatWasNotOnDiskWhenTheManagerWasKilledEndsAnew) {
  Cluster cluster(Testing());
  cluster.disk_full = true;
  ASSERT_TRUE(cluster.RunToVersion(8));
  ASSERT_EQ(cluster.epochs_over().size(), 1u);
  cluster.Crash(0);
  cluster.disk_full = false;
  cluster.RestartManager(/*lost=*/0);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  ASSERT_EQ(cluster.epochs_over().size(), 3u) << EpochEndsOf(cluster);
  const std::string ends = EpochEndsOf(cluster);
  EXPECT_TRUE(ends.ends_with("; epoch 1 at v7 saved tested; epoch 2 at v12 saved tested; "))
      << ends << "; round 7 was on its way to the leaders' backups";
}

TEST(ManagerEpochsTest, AnEpochThatWasOnDiskWhenTheManagerWasKilledEndsOnce) {
  Cluster cluster(Testing());
  ASSERT_TRUE(cluster.Run([&] { return cluster.journal().checkpoint == Version{6} && cluster.tests().size() == 1; }));
  cluster.Crash(0);
  cluster.RestartManager(/*lost=*/0);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(EpochEndsOf(cluster), "epoch 1 at v6 saved tested; epoch 2 at v12 saved tested; ");
  EXPECT_EQ(TestsOf(cluster), "v6: 18 samples once; v12: 18 samples once; ");
}

}  // namespace
}  // namespace eddl::net
