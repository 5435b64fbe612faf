// Stories of a cluster: what a manager and its members do when something happens.
#include "net/node/manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/net/node/cluster.h"

namespace eddl::net {
namespace {

TEST(ManagerTest, AQuietJobUsesEverySampleOnceInOneView) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_EQ(cluster.manager().view(), View{1});
  EXPECT_EQ(cluster.journal().records.size(), 6u);
}

TEST(ManagerTest, LeadersSayStagedOnceARoundAndWorkersPushOnce) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.sent("Commit"), 6 * 2);
  EXPECT_EQ(cluster.sent("Staged"), 6 * 2 + 2) << "and the empty round that proves the last version";
  EXPECT_LE(cluster.sent("Push"), 6 * 2 * 2);
  EXPECT_EQ(cluster.sent("Nack"), 0);
}

TEST(ManagerTest, TheRateOfARoundIsAFunctionOfTheSamplesBeforeIt) {
  Cluster::Options options;
  options.manager.learning_rate = [](int64_t samples) { return static_cast<double>(samples); };
  Cluster cluster(options);
  ASSERT_TRUE(cluster.Run());
  std::string rates;
  for (const CommitRecord& record : cluster.journal().records) {
    rates += std::to_string(static_cast<int>(record.learning_rate)) + "/" + std::to_string(record.step) + " ";
    EXPECT_EQ(record.scale, 1.0 / 16);
  }
  EXPECT_EQ(rates, "0/1 16/2 32/3 48/4 64/5 80/6 ");
}

// Two shards each send a squared norm of 1: the mean gradient's norm is sqrt(2) / 16.
TEST(ManagerTest, ALongGradientIsScaledDownByOneFactorForAllShards) {
  Cluster::Options options;
  options.manager.gradient_norm_max = 0.05;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.Run());
  for (const CommitRecord& record : cluster.journal().records) {
    EXPECT_DOUBLE_EQ(record.scale, 1.0 / 16 * 0.05 / (std::sqrt(2.0) / 16));
  }
}

TEST(ManagerTest, ACrashedWorkersLeasesAreComputedByOthers) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Crash(1);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_EQ(cluster.manager().view(), View{1}) << "workers come and go without a change of view";
}

TEST(ManagerTest, ALeadersCrashMovesItsShardToItsBackup) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Crash(4);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_EQ(ToString(cluster.manager().map()), "3:[0,8)<3");
}

TEST(ManagerTest, AManagerThatLostItsLastRecordsAdoptsThoseOfTheLeaders) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(4));
  ASSERT_TRUE(cluster.Run([&] {
    return cluster.member(3).leader().version() == Version{4} && cluster.member(4).leader().version() == Version{4};
  }));
  const size_t records = cluster.journal().records.size();
  cluster.Crash(0);
  cluster.RestartManager(/*lost=*/records - 2);
  EXPECT_EQ(cluster.manager().version(), Version{2});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_TRUE(Says(cluster, "view 2 starts at version " + std::to_string(records - 1)) ||
              Says(cluster, "view 2 starts at version " + std::to_string(records)))
      << cluster.said();
}

TEST(ManagerTest, ALaterLifeNeverHasTheIncarnationOfAnEarlierOne) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(1));
  const Incarnation before = cluster.member(1).incarnation();
  cluster.Crash(0);
  cluster.RestartManager(/*lost=*/0);
  ASSERT_TRUE(cluster.RunToVersion(2));
  EXPECT_GT(cluster.member(1).incarnation(), before);
}

TEST(ManagerTest, WhenBothHoldersOfAShardAreGoneTheJobGoesBackToTheCheckpointAndSaysSo) {
  Cluster::Options options;
  options.manager.checkpoint_rounds = 2;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.RunToVersion(5));
  ASSERT_TRUE(cluster.Run([&] { return cluster.journal().checkpoint == Version{4}; }));
  cluster.Crash(3);
  cluster.Crash(4);
  cluster.Join(3);
  cluster.Join(4);
  const Instant back = cluster.now();
  ASSERT_TRUE(cluster.RunToVersion(5));
  EXPECT_LT((cluster.now() - back).seconds(), 0.5) << "all who had it are back with nothing: there is none to wait for";
  ASSERT_TRUE(cluster.Run());
  EXPECT_TRUE(Says(cluster, "two that backed each other up are gone"));
  EXPECT_TRUE(Says(cluster, "starts at version 4"));
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

// Node 1 alone holds version 2 whole, and did not hear of the view that started from version 3. It has to be told that
// what it holds is what everybody held, or it forgets that before it can hand it over.
TEST(ManagerTest, AViewFromAnOlderVersionThanTheLastKeepsTheViewsWhoseHoldersAgree) {
  ManagerOptions options = {.ledger = {.sample_count = 96, .micro_batch_size = 4},
                            .batch_size = 16,
                            .parameter_count = 100,
                            .stripe_count = 8};
  const std::vector<StripeRange> all = {{Stripe{0}, Stripe{8}}};
  Started started = {.last_view = View{2},
                     .view = View{2},
                     .version = Version{3},
                     .map = {.shards = {{.leader = NodeId{1}, .backup = NodeId{2}, .stripes = all}}},
                     .histories = {View{1}}};
  for (uint64_t round = 0; round < 3; ++round) {
    CommitRecord record{.round = Version{round}, .view = View{1}, .samples = 16};
    for (uint64_t mb = 0; mb < 4; ++mb) record.micro_batches.push_back(MicroBatch{4 * round + mb});
    started.records.push_back(record);
  }
  Manager manager(options);
  Actions actions;
  manager.Handle(Instant{1}, started, actions);
  actions.clear();
  Hello hello = {.held = {{.node = NodeId{1}, .stripes = all, .oldest = Version{1}, .newest = Version{2}}},
                 .held_view = View{1}};
  manager.Handle(Instant{2}, Received{.from = NodeId{1}, .message = {.body = hello}}, actions);
  ASSERT_EQ(manager.phase(), Manager::Phase::kAgreeing) << "node 2 may hold version 3";
  manager.Handle(Instant{3}, Received{.from = NodeId{2}, .message = {.body = Hello{}}}, actions);
  ASSERT_EQ(manager.phase(), Manager::Phase::kRunning);
  ASSERT_EQ(manager.version(), Version{2});
  const Start* start = nullptr;
  for (const Action& action : actions) {
    const auto* multicast = std::get_if<Multicast>(&action);
    if (multicast != nullptr && std::holds_alternative<Start>(multicast->message.body))
      start = &std::get<Start>(multicast->message.body);
  }
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(start->histories, (std::vector<View>{View{1}, View{2}}));
  // The story goes on in node 1, which has version 2 after that, too.
  ASSERT_FALSE(start->transfers.empty());
  for (const Transfer& transfer : start->transfers) EXPECT_EQ(transfer.from, NodeId{1});
}

TEST(ManagerTest, ALeaderThatLeavesHandsItsShardOverFirst) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Handle(4, Command{.kind = Command::Kind::kLeave});
  ASSERT_TRUE(cluster.Run([&] { return cluster.left(4); }));
  EXPECT_EQ(ToString(cluster.manager().map()), "3:[0,8)<3");
  cluster.Crash(4);
  ASSERT_TRUE(cluster.Run());
  EXPECT_FALSE(Says(cluster, "are undone"));
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

TEST(ManagerTest, AWorkerThatItsOwnerPausesGetsNoLeases) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(1));
  cluster.Handle(1, OwnerLoad{.cores = 2, .pause = true});
  ASSERT_TRUE(cluster.RunToVersion(3));  // of the two rounds that were open it may have had leases
  const int64_t before = cluster.computed(1);
  ASSERT_TRUE(cluster.RunToVersion(5));
  EXPECT_EQ(cluster.computed(1), before);
  cluster.Handle(1, OwnerLoad{.cores = 0, .pause = false});
  ASSERT_TRUE(cluster.Run());
  EXPECT_GT(cluster.computed(1), before);
}

TEST(ManagerTest, AStalledLeaseIsDoubledAndItsOwnerGivesUpBeforeTheDuplicateCounts) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.stalled[1] = true;
  ASSERT_TRUE(cluster.Run());
  EXPECT_GE(cluster.sent("Cancel"), 1);
  EXPECT_GE(cluster.sent("Assign"), 1);
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_EQ(cluster.manager().view(), View{1}) << "a passed deadline is not a death";
}

// It waits for the first parameters and samples; the others compute what it was given.
TEST(ManagerTest, WhatANewcomerGivesUpBeforeItBeginsIsNoNewsOfItsSpeed) {
  Cluster cluster({});
  cluster.on_finished = [](uint32_t, LeaseFinished& finished) {
    if (finished.done.cancelled) finished.done.compute = {};
  };
  cluster.stalled[2] = true;
  ASSERT_TRUE(cluster.Run([&] { return cluster.sent("Assign") > 0; }));
  ASSERT_FALSE(cluster.stalled[2]) << "it gave up";
  const NodeRecord& newcomer = *cluster.manager().roster().Find(NodeId{2});
  EXPECT_TRUE(newcomer.fit.empty());
  ASSERT_TRUE(cluster.Run());
  EXPECT_GE(newcomer.micro_batches_done, 3);
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

TEST(ManagerTest, RoundsWaitForADiskThatIsFarBehind) {
  Cluster::Options options;
  options.manager.ledger = {.sample_count = 4 * 4 * 300, .micro_batch_size = 4, .epoch_count = 4};  // 1,200 rounds
  Cluster cluster(options);
  ASSERT_TRUE(cluster.RunToVersion(1024));
  const Instant later = cluster.now() + Duration{10'000'000'000};
  ASSERT_TRUE(cluster.Run([&] { return cluster.now() > later; }));
  EXPECT_LE(cluster.manager().version(), Version{1026}) << "those that were open";
  cluster.Handle(0, Journaled{Version{200}});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "4800 micro-batches once");
}

// It says that it lives, and its driver never returns.
TEST(ManagerTest, ANodeWhoseDeviceHangsIsNotWaitedFor) {
  Cluster::Options options;
  options.workers = 3;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.stalled[1] = cluster.hangs[1] = true;
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_TRUE(Says(cluster, "node 1: removed: does not give up a lease")) << cluster.said();
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

TEST(ManagerTest, AManagerThatWasHeldUpItselfSuspectsNobodyBeforeItHasListened) {
  const ManagerOptions options = {.ledger = {.sample_count = 96, .micro_batch_size = 4}, .parameter_count = 100};
  Manager manager(options);
  Actions actions;
  manager.Handle(Instant{1}, Started{}, actions);
  manager.Handle(Instant{2}, Received{.from = NodeId{1}, .message = {.body = Hello{}}}, actions);
  const auto is_here = [&] { return manager.roster().Find(NodeId{1})->present(); };
  ASSERT_TRUE(is_here());
  const Instant late = Instant{2} + Duration{3600'000'000'000};
  manager.Handle(late, Timer{}, actions);
  EXPECT_TRUE(is_here());
  manager.Handle(late + options.tick, Timer{}, actions);
  EXPECT_FALSE(is_here()) << "it had its chance";
}

// Four members say hello and `talking` of them go on to talk: how many are left after each second of seven;
// then those go that did not answer a change of view.
std::string MembersOverTime(uint32_t talking) {
  const ManagerOptions options = {.ledger = {.sample_count = 96, .micro_batch_size = 4}, .parameter_count = 100};
  Manager manager(options);
  Actions actions;
  Instant now{1};
  manager.Handle(now, Started{}, actions);
  for (uint32_t i = 1; i <= 4; ++i)
    manager.Handle(now, Received{.from = NodeId{i}, .message = {.body = Hello{}}}, actions);
  std::string counts;
  for (int tick = 1; tick <= 35; ++tick) {
    now = now + options.tick;
    for (uint32_t i = 1; i <= talking; ++i) {
      const Incarnation incarnation = manager.roster().Find(NodeId{i})->incarnation;
      const Message beat = {.view = manager.view(), .incarnation = incarnation, .body = Beat{}};
      manager.Handle(now, Received{.from = NodeId{i}, .message = beat}, actions);
    }
    manager.Handle(now, Timer{}, actions);
    if (tick % 5 == 0) counts += std::to_string(manager.roster().Present().size());
  }
  return counts;
}

TEST(ManagerTest, WhenMostMembersFallSilentAtOnceTheyHaveLonger) {
  EXPECT_EQ(MembersOverTime(4), "4444444");
  EXPECT_EQ(MembersOverTime(3), "4443333");
  EXPECT_EQ(MembersOverTime(2), "4442222") << "half is not most";
  EXPECT_EQ(MembersOverTime(1), "4444441");
  EXPECT_EQ(MembersOverTime(0), "4444440");
}

TEST(ManagerTest, MessagesOfAnEarlierLifeAreNotHeard) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(1));
  const Incarnation old = cluster.member(1).incarnation();
  const View view = cluster.manager().view();
  cluster.Crash(1);
  cluster.Join(1);
  ASSERT_TRUE(cluster.RunToVersion(2));
  ASSERT_GT(cluster.member(1).incarnation(), old);
  const std::string before = cluster.manager().ledger().ToString();
  cluster.Handle(0, Received{NodeId{1}, Message{.view = view, .incarnation = old, .body = Leave{}}});
  EXPECT_EQ(cluster.manager().ledger().ToString(), before);
  EXPECT_EQ(cluster.manager().roster().Find(NodeId{1})->state, NodeRecord::State::kLive);
}

TEST(ManagerTest, APersonStopsTheJob) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(3));
  cluster.Handle(0, Command{.kind = Command::Kind::kStop});
  EXPECT_TRUE(cluster.over());
  EXPECT_EQ(cluster.why(), "stopped by a person at version 3");
}

// Three epochs of six rounds of four micro-batches.
Cluster::Options ThreeEpochs() {
  Cluster::Options options;
  options.manager.ledger.epoch_count = 3;
  return options;
}

TEST(ManagerTest, EntriesThatComeAreUsedFromTheNextEpochOnAndJournaledFirst) {
  Cluster cluster(ThreeEpochs());
  ASSERT_TRUE(cluster.RunToVersion(2));
  ASSERT_TRUE(cluster.manager().CanGrow());
  cluster.Handle(0, Contributed{{.row_count = 20, .hash = 7}});
  ASSERT_EQ(cluster.journal().blocks.size(), 1u);
  EXPECT_EQ(cluster.journal().blocks[0], (DataBlock{.first_row = 96, .row_count = 20, .first_epoch = 1, .hash = 7}));
  EXPECT_TRUE(Says(cluster, "data: 20 entries more from epoch 2 on, for everybody")) << cluster.said();
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "82 micro-batches once") << "24, and two times 29";
  EXPECT_EQ(cluster.manager().ledger().samples_done(), 96 + 2 * 116);
  EXPECT_FALSE(cluster.manager().CanGrow());
}

TEST(ManagerTest, ARestartedManagerGoesOnWithTheEntriesThatCame) {
  Cluster cluster(ThreeEpochs());
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Handle(0, Contributed{{.row_count = 20}});
  ASSERT_TRUE(cluster.RunToVersion(9));
  cluster.Crash(0);
  cluster.RestartManager(/*lost=*/1);
  EXPECT_FALSE(cluster.manager().CanGrow()) << "what leaders know of more commits is not heard yet";
  ASSERT_TRUE(cluster.RunToVersion(10));
  ASSERT_TRUE(cluster.manager().CanGrow());
  cluster.Handle(0, Contributed{{.row_count = 4}});
  EXPECT_EQ(cluster.journal().blocks[1], (DataBlock{.first_row = 116, .row_count = 4, .first_epoch = 2}));
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "83 micro-batches once") << "24, 29 and 30";
}

// Nobody's rows, and some that nodes 1 and 2 own, from the start.
Cluster::Options Owners() {
  Cluster::Options options = ThreeEpochs();
  options.manager.ledger.sample_count = 48;
  return options;
}

// Who computed what, by the journal's records, is not known there: what each node computed is counted.
TEST(ManagerTest, WhatANodeOwnsItComputesItself) {
  Cluster::Options options = Owners();
  options.manager.ledger.sample_count = 0;
  options.workers = 3;
  Cluster cluster(options);
  EXPECT_EQ(cluster.manager().phase(), Manager::Phase::kAgreeing) << "there are no entries yet";
  cluster.Handle(0, Contributed{{.row_count = 40, .owner = NodeId{1}}});
  cluster.Handle(0, Contributed{{.row_count = 12, .owner = NodeId{2}}});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "39 micro-batches once");
  EXPECT_EQ(cluster.computed(1), 3 * 10);
  EXPECT_EQ(cluster.computed(2), 3 * 3);
  EXPECT_EQ(cluster.computed(3), 0);
}

TEST(ManagerTest, AnOwnersEntriesAreLeftOutWhileItIsAwayAndUsedAgainWhenItIsBack) {
  Cluster cluster(Owners());
  ASSERT_TRUE(cluster.RunToVersion(1));
  cluster.Handle(0, Contributed{{.row_count = 48, .owner = NodeId{1}}});
  ASSERT_TRUE(cluster.RunToVersion(4)) << "in the second epoch";
  cluster.Crash(1);
  ASSERT_TRUE(cluster.Run([&] { return cluster.manager().ledger().closed_end() == 2; }));
  EXPECT_TRUE(Says(cluster, "node 1: is away: the job goes on without its entries")) << cluster.said();
  EXPECT_TRUE(Says(cluster, "data: epoch 2 ended without ")) << cluster.said();
  cluster.Join(1);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  const EpochCount second = cluster.manager().ledger().Count(1);
  EXPECT_GT(second.deferred, 0);
  EXPECT_EQ(second.done + second.deferred, 24);
  EXPECT_EQ(cluster.manager().ledger().Count(2).done, 24) << cluster.manager().ledger().ToString();
  EXPECT_EQ(CoverOf(cluster), std::to_string(12 + second.done + 24) + " micro-batches once");
}

// Its link carries its first versions; a shard that moves there would hold up everybody.
TEST(ManagerTest, WhoComesContributesBeforeItLeads) {
  ManagerOptions options = {.ledger = {.sample_count = 960, .micro_batch_size = 4, .epoch_count = 4},
                            .batch_size = 16,
                            .parameter_count = 100,
                            .stripe_count = 8};
  options.planner.mode = Mode::kSync;
  Manager manager(options);
  Actions actions;
  Instant now{1};
  manager.Handle(now, Started{}, actions);
  const auto hello = [&](uint32_t node) {
    manager.Handle(now, Received{.from = NodeId{node}, .message = {.body = Hello{}}}, actions);
  };
  hello(1);
  ASSERT_EQ(manager.phase(), Manager::Phase::kRunning);
  ASSERT_TRUE(manager.map().HasRole(NodeId{1}));
  hello(2);
  const auto beat = [&](uint32_t node) {
    const Incarnation incarnation = manager.roster().Find(NodeId{node})->incarnation;
    manager.Handle(
        now,
        Received{.from = NodeId{node}, .message = {.view = manager.view(), .incarnation = incarnation, .body = Beat{}}},
        actions);
  };
  const auto tick = [&](int count) {
    for (int i = 0; i < count; ++i) {
      now = now + options.tick;
      beat(1);
      beat(2);
      manager.Handle(now, Timer{}, actions);
    }
  };
  tick(20);
  EXPECT_FALSE(manager.map().HasRole(NodeId{2})) << "not even as a backup";
  EXPECT_EQ(manager.view(), View{1});
  const Lease lease = manager.roster().Find(NodeId{2})->leases.front();
  manager.Handle(now,
                 Received{.from = NodeId{2},
                          .message = {.view = manager.view(),
                                      .incarnation = manager.roster().Find(NodeId{2})->incarnation,
                                      .body = Done{.round = lease.round,
                                                   .base = lease.base,
                                                   .part = lease.part,
                                                   .micro_batches = lease.micro_batches,
                                                   .samples = lease.samples,
                                                   .compute = Duration{1'000'000}}}},
                 actions);
  tick(20);
  EXPECT_GT(manager.view(), View{1}) << "now it may";
}

// A sum takes a second to send. That of a duplicate has to wait for its device's own, so that the other device has to
// be two seconds late.
TEST(ManagerTest, ADuplicateIsASumMoreToSend) {
  Cluster::Options options;
  options.link_bytes_per_second = 400;
  options.manager.ledger.sample_count = 960;
  options.manager.batch_size = 96;
  options.manager.planner.codec = Codec::kF32;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.RunToVersion(1));
  cluster.stalled[2] = true;
  const Instant begin = cluster.now();
  const auto computed_after = [&](double seconds) {
    EXPECT_TRUE(cluster.Run([&] { return (cluster.now() - begin).seconds() > seconds; }));
    return cluster.computed(1) + cluster.computed(2);
  };
  const int64_t stuck = computed_after(0.5);
  EXPECT_EQ(computed_after(1.5), stuck);
  EXPECT_GT(computed_after(2.5), stuck);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(CoverOf(cluster), "240 micro-batches once");
}

// Over its link, which is slower than anybody knew, a leader gets the first round's pushes late, but it gets them.
TEST(ManagerTest, ALeaderIsGivenTheTimeThatAnExchangeShouldTake) {
  Cluster::Options options;
  options.manager.parameter_count = 10'000'000;
  Cluster cluster(options);
  cluster.pushes_arrive[4] = cluster.now() + Duration{6'000'000'000};
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.manager().view(), View{1}) << cluster.said();
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

// When a leader is gone, what is measured from then on is of the others.
TEST(ManagerTest, ThePlanIsLedByThoseThatLead) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Crash(4);
  ASSERT_TRUE(cluster.Run([&] { return ToString(cluster.manager().map()) == "3:[0,8)<3"; }));
  EXPECT_EQ(cluster.manager().plan().leaders, (std::vector<LeaderShare>{{NodeId{3}, 1}}));
}

TEST(ManagerTest, TheLastThatLeavesHandsOverWhatIsCommitted) {
  Cluster cluster({.workers = 1, .leaders = 1});
  ASSERT_TRUE(cluster.RunToVersion(3));
  cluster.Handle(2, Command{.kind = Command::Kind::kLeave});
  ASSERT_TRUE(cluster.Run([&] { return cluster.left(2); })) << cluster.said();
  const Version saved = cluster.manager().version();
  EXPECT_GE(saved, Version{3});
  EXPECT_EQ(cluster.journal().checkpoint, saved) << cluster.said();
  EXPECT_FALSE(cluster.over());
  cluster.Join(2);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_LE(cluster.computed(1), 24 + 4) << "at most an open round is computed again";
  EXPECT_FALSE(Says(cluster, "no node holds all of")) << cluster.said();
}

// Until then it is the only one that holds what was committed: a manager that is killed finds it there.
TEST(ManagerTest, TheLastThatLeavesGoesWhenWhatIsCommittedIsOnDisk) {
  Cluster::Options options = {.workers = 1, .leaders = 1};
  options.manager.ledger.epoch_count = 3;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.RunToVersion(3));
  cluster.disk_full = true;
  cluster.Handle(2, Command{.kind = Command::Kind::kLeave});
  int events = 0;
  ASSERT_TRUE(cluster.Run([&] { return ++events > 2000; }));
  EXPECT_FALSE(cluster.left(2));
  EXPECT_TRUE(cluster.manager().waits_for_disk());
  const Version committed = cluster.manager().version();
  const std::string why = "node 2: goes when version " + std::to_string(ToInt(committed)) +
                          " is on the manager's disk, which it is not yet";
  EXPECT_TRUE(Says(cluster, why)) << cluster.said();
  EXPECT_EQ(cluster.said().find(why), cluster.said().rfind(why)) << "once";
  cluster.Crash(0);
  cluster.RestartManager(/*lost=*/0);
  events = 0;
  ASSERT_TRUE(cluster.Run([&] { return ++events > 2000; }));
  ASSERT_EQ(cluster.journal().checkpoint, Version{0});
  EXPECT_FALSE(cluster.left(2));
  EXPECT_GE(cluster.manager().version(), committed);
  cluster.disk_full = false;
  ASSERT_TRUE(cluster.Run([&] { return cluster.left(2); })) << cluster.said();
  ASSERT_FALSE(cluster.over());
  EXPECT_EQ(cluster.journal().checkpoint, cluster.manager().version());
  cluster.Crash(0);
  cluster.Crash(2);
  cluster.RestartManager(/*lost=*/0);
  cluster.Join(2);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "72 micro-batches once");
  EXPECT_FALSE(Says(cluster, "no node holds all of")) << cluster.said();
}

TEST(ManagerTest, AJobIsOverWhenItsLastVersionIsOnDisk) {
  Cluster::Options options;
  options.manager.checkpoint_end = true;
  Cluster cluster(options);
  cluster.disk_full = true;
  int events = 0;
  ASSERT_TRUE(cluster.Run([&] { return ++events > 5000; }));
  EXPECT_TRUE(cluster.manager().ledger().finished());
  EXPECT_FALSE(cluster.over());
  // Its devices still have it when the manager is killed now.
  const int64_t computed = cluster.computed(1) + cluster.computed(2);
  cluster.Crash(0);
  cluster.disk_full = false;
  cluster.RestartManager(/*lost=*/0);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(cluster.journal().checkpoint, Version{6});
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_EQ(cluster.computed(1) + cluster.computed(2), computed);
}

// It said that it leaves while nodes were agreeing on a view, and all that it holds was on disk already.
TEST(ManagerTest, WhoLeavesBetweenTwoViewsIsLetGo) {
  Cluster::Options options = {.workers = 1, .leaders = 1};
  options.manager.checkpoint_rounds = 3;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.Run([&] { return cluster.journal().checkpoint == Version{3}; }));
  cluster.Handle(1, OwnerLoad{.cores = 4, .pause = true});
  int events = 0;
  ASSERT_TRUE(cluster.Run([&] { return ++events > 2000; }));
  cluster.Handle(0, Command{.kind = Command::Kind::kCheckpoint});
  ASSERT_TRUE(cluster.Run([&] { return cluster.journal().checkpoint == cluster.manager().version(); }));
  cluster.Handle(2, PeerDown{.node = kManager, .why = "a cut cable"});
  cluster.Handle(0, PeerDown{.node = NodeId{2}, .why = "a cut cable"});
  cluster.Handle(2, Command{.kind = Command::Kind::kLeave});
  cluster.Handle(2, PeerUp{kManager});
  ASSERT_TRUE(cluster.Run([&] { return cluster.left(2); })) << cluster.said();
}

TEST(ManagerTest, AllThatLeaveAtOnceHandOverWhatIsCommitted) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(3));
  for (const uint32_t node : {3u, 1u, 4u, 2u}) cluster.Handle(node, Command{.kind = Command::Kind::kLeave});
  ASSERT_TRUE(cluster.Run([&] { return cluster.left(1) && cluster.left(2) && cluster.left(3) && cluster.left(4); }))
      << cluster.said();
  EXPECT_EQ(cluster.journal().checkpoint, cluster.manager().version()) << cluster.said();
  for (const uint32_t node : {1u, 2u, 3u, 4u}) cluster.Join(node);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_LE(cluster.computed(1) + cluster.computed(2), 24 + 2 * 4) << cluster.said();
}

TEST(ManagerTest, ACheckpointThatIsAskedForWhileNobodyWorksIsTaken) {
  Cluster cluster({.workers = 1, .leaders = 1});
  ASSERT_TRUE(cluster.RunToVersion(3));
  cluster.Handle(1, OwnerLoad{.cores = 4, .pause = true});
  int events = 0;
  ASSERT_TRUE(cluster.Run([&] { return ++events > 2000; }));
  const Version version = cluster.manager().version();
  ASSERT_LT(cluster.journal().checkpoint, version);
  cluster.Handle(0, Command{.kind = Command::Kind::kCheckpoint});
  ASSERT_TRUE(cluster.Run([&] { return cluster.journal().checkpoint == version; })) << cluster.said();
  cluster.Handle(1, OwnerLoad{.cores = 0, .pause = false});
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

// How often the manager said this.
size_t Count(const Cluster& cluster, const std::string& text) {
  size_t count = 0;
  for (size_t at = cluster.said().find(text); at != std::string::npos; at = cluster.said().find(text, at + 1)) ++count;
  return count;
}

TEST(ManagerTest, ARestartedManagerOpensNoEpochAgainAndWaitsForNobodyItHadGivenUp) {
  Cluster cluster(Owners());
  ASSERT_TRUE(cluster.RunToVersion(1));
  cluster.Handle(0, Contributed{{.row_count = 48, .owner = NodeId{1}}});
  ASSERT_TRUE(cluster.RunToVersion(4)) << "in the second epoch";
  cluster.Crash(1);
  ASSERT_TRUE(cluster.Run([&] { return cluster.manager().ledger().closed_end() == 2; }));
  const EpochCount second = cluster.manager().ledger().Count(1);
  ASSERT_GT(second.deferred, 0);
  cluster.Crash(0);
  cluster.RestartManager(/*lost=*/0);
  EXPECT_EQ(cluster.manager().ledger().closed_end(), 2) << cluster.manager().ledger().ToString();
  EXPECT_EQ(cluster.manager().ledger().Count(1), second);
  const Instant restarted = cluster.now();
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_LT((cluster.now() - restarted).ns, Duration{500'000'000}.ns) << "nobody was waited for";
  EXPECT_EQ(cluster.manager().ledger().Count(1), second);
  EXPECT_EQ(cluster.manager().ledger().Count(2).deferred, 12);
  EXPECT_EQ(Count(cluster, "node 1: is away"), 1u) << cluster.said();
  EXPECT_EQ(Count(cluster, "epoch 2 ended without"), 1u) << cluster.said();
  EXPECT_EQ(Count(cluster, "epoch 3 ended without"), 1u) << cluster.said();
}

TEST(ManagerTest, AnEpochWhoseRoundsAreLostIsOpenAgain) {
  Cluster cluster(Owners());
  ASSERT_TRUE(cluster.RunToVersion(1));
  cluster.Handle(0, Contributed{{.row_count = 48, .owner = NodeId{1}}});
  ASSERT_TRUE(cluster.RunToVersion(4));
  cluster.Crash(1);
  ASSERT_TRUE(cluster.Run([&] { return cluster.manager().ledger().closed_end() == 2; }));
  // Both leaders: nothing is left but version 0.
  for (const uint32_t leader : {3u, 4u}) cluster.Crash(leader);
  for (const uint32_t node : {1u, 3u, 4u}) cluster.Join(node);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "60 micro-batches once") << "12 and two times 24: node 1 is back\n" << cluster.said();
  EXPECT_TRUE(cluster.journal().closed.empty());
}

TEST(ManagerTest, WithoutAnyOwnerTheJobWaitsInsteadOfEndingOnNothing) {
  Cluster::Options options = Owners();
  options.manager.ledger.sample_count = 0;
  options.workers = 2;
  Cluster cluster(options);
  cluster.Handle(0, Contributed{{.row_count = 40, .owner = NodeId{1}}});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.Crash(1);
  int events = 0;
  EXPECT_TRUE(cluster.Run([&] { return ++events > 5000; }));
  EXPECT_FALSE(cluster.over());
  cluster.Join(1);
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "30 micro-batches once");
}

}  // namespace
}  // namespace eddl::net
