// Members that say what no honest one says: the cluster goes on as if they had not, and no process ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "net/node/leader.h"
#include "net/node/manager.h"
#include "net/node/member.h"
#include "tests/net/node/cluster.h"

namespace eddl::net {
namespace {

// As of node 1, in the view that runs.
Received Lie(const Cluster& cluster, Body body) {
  return {.from = NodeId{1},
          .message = {.view = cluster.manager().view(), .incarnation = {View{1}, 1}, .body = std::move(body)}};
}

// Nodes 3 and 4 lead.
TEST(LiarTest, AMemberDoesWhatTheManagerSaysAndNobodyElse) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  const Version version = cluster.manager().version();
  const View later{ToInt(cluster.manager().view()) + 1000};
  std::vector<Received> lies = {
      Lie(cluster, Bye{"the job is over"}),
      Lie(cluster, Fence{.node = NodeId{3}, .incarnation = {View{1}, 3}}),
      Lie(cluster, Commit{.record = {.round = version, .micro_batches = {MicroBatch{0}}, .step = 1}}),
      Lie(cluster, Close{.round = version, .attempt = 1'000}),
      Lie(cluster, ViewChange{"because"}),
      Lie(cluster, Grant{.round = version, .base = version, .micro_batches = {MicroBatch{1}}, .samples = 4}),
      Lie(cluster, Drop{.round = version}),
  };
  lies.push_back(lies.front());
  lies.back().message.view = later;
  lies.push_back(Lie(cluster, Start{.map = {.shards = {{.leader = NodeId{1}, .backup = NodeId{1}}}}}));
  lies.back().message.view = later;
  lies.push_back(Lie(cluster, Welcome{.incarnation = {later, 1}}));
  lies.back().message.view = later;
  for (const Received& lie : lies) {
    for (const uint32_t node : {2u, 3u, 4u}) cluster.Handle(node, lie);
  }
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
  EXPECT_EQ(cluster.manager().view(), View{1});
  EXPECT_EQ(cluster.sent("Nack"), 0);
}

// Node 3, which leads all, with node 4 for a backup, from version 5 on.
class LiedToLeaderTest : public testing::Test {
 protected:
  // Who has its stripes as the view starts.
  void Begin(NodeId source) {
    leader_.Begin({.map = {.shards = {{.leader = NodeId{3}, .backup = NodeId{4}, .stripes = all_}}},
                   .version = Version{5},
                   .transfers = {{.from = source, .to = NodeId{3}, .stripes = all_}}},
                  out_);
  }

  Leader leader_{NodeId{3}};
  Actions actions_;
  Outbox out_{actions_, View{2}, {}};
  const std::vector<StripeRange> all_ = {{Stripe{0}, Stripe{8}}};
};

TEST_F(LiedToLeaderTest, StripesAreTakenFromWhomTheStartNames) {
  Begin(NodeId{4});
  actions_.clear();
  const Move move{.stripes = all_, .version = Version{5}, .payload = Payload{7}};
  leader_.OnMove(NodeId{1}, move, out_);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Release>(actions_[0]));
  leader_.OnMove(NodeId{4}, move, out_);
  ASSERT_EQ(actions_.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Load>(actions_[1]));
}

TEST_F(LiedToLeaderTest, ABackupCantHaveWhatThereIsNot) {
  Begin(NodeId{3});
  leader_.OnLoaded({.stripes = all_, .version = Version{5}}, true, out_);
  leader_.OnReplicaOk(NodeId{4}, {Version{9}}, out_);
  leader_.OnReplicaOk(NodeId{4}, {Version{5}}, out_);
  const Contributor worker{.node = NodeId{1}, .incarnation = {View{2}, 1}};
  leader_.OnClose({.round = Version{5}, .attempt = 1, .expected = {worker}}, out_);
  leader_.OnPush(NodeId{1}, worker.incarnation, {.round = Version{5}, .samples = 4, .payload = Payload{7}}, out_);
  actions_.clear();
  leader_.OnSealed({.round = Version{5}, .attempt = 1, .norm2 = 1}, out_);
  ASSERT_EQ(actions_.size(), 1u);
  const auto* send = std::get_if<Send>(&actions_[0]);
  ASSERT_NE(send, nullptr);
  EXPECT_TRUE(std::holds_alternative<Staged>(send->message.body));
}

TEST(LiarTest, WhatIsEarlyOfOnePeerLeavesRoomForOthers) {
  Member member({.self = NodeId{3}, .capabilities = {.can_lead = true}});
  const auto released = [&](uint32_t from, uint64_t payload) {
    Actions actions;
    member.Handle(Instant{},
                  Received{.from = NodeId{from},
                           .message = {.view = View{uint64_t{1} << 61},
                                       .body = Move{.stripes = {{Stripe{0}, Stripe{1}}}, .payload = Payload{payload}}}},
                  actions);
    return !actions.empty() && std::holds_alternative<Release>(actions[0]);
  };
  uint64_t kept = 0;
  while (kept < 2'000 && !released(1, kept + 1)) ++kept;
  EXPECT_GT(kept, 10u);
  EXPECT_LT(kept, 100u);
  EXPECT_FALSE(released(2, 5'000));
}

// A manager that comes back asks what its members hold.
class ReturningManagerTest : public testing::Test {
 protected:
  ReturningManagerTest() { EXPECT_TRUE(cluster_.RunToVersion(3)); }

  // Node 1 answers in place of what it would have said; then the job goes on to its end.
  void RunWith(const std::vector<Held>& held, const std::vector<CommitRecord>& records) {
    Started started = cluster_.journal();
    cluster_.Crash(0);
    cluster_.StartManager(started);
    const Hello hello{.capabilities = {.can_work = true}, .held = held, .held_view = View{1}, .records = records};
    cluster_.Handle(0, Received{.from = NodeId{1}, .message = {.body = hello}});
    for (const uint32_t node : {2u, 3u, 4u}) cluster_.Handle(node, PeerUp{kManager});
    ASSERT_TRUE(cluster_.Run());
    EXPECT_EQ(cluster_.why(), "");
    EXPECT_EQ(CoverOf(cluster_), "24 micro-batches once");
    EXPECT_FALSE(Says(cluster_, "Back from version")) << cluster_.said();
  }

  Cluster cluster_{{}};
  const std::vector<StripeRange> all_ = {{Stripe{0}, Stripe{8}}};
};

TEST_F(ReturningManagerTest, NobodyHoldsAllVersionsThereCanBe) {
  RunWith({{.node = NodeId{1}, .stripes = all_, .oldest = Version{0}, .newest = Version{uint64_t{1} << 61}}}, {});
}

TEST_F(ReturningManagerTest, NobodyHoldsStripesThatThereAreNot) {
  RunWith({{.node = NodeId{1}, .stripes = {{Stripe{0}, Stripe{1u << 20}}}, .oldest = Version{2}, .newest = Version{2}}},
          {});
}

TEST_F(ReturningManagerTest, ARecordOfMicroBatchesThatThereAreNotIsNotAdopted) {
  const Version next = cluster_.manager().version();
  RunWith({{.node = NodeId{1}, .stripes = all_, .oldest = next, .newest = Next(next)}},
          {{.round = next, .view = View{1}, .micro_batches = {MicroBatch{uint64_t{1} << 61}}, .step = 4}});
}

// Micro-batch 0 was in the first round.
TEST_F(ReturningManagerTest, ARecordThatUsesASampleAgainIsNotAdopted) {
  const Version next = cluster_.manager().version();
  RunWith({{.node = NodeId{1}, .stripes = all_, .oldest = next, .newest = Next(next)}},
          {{.round = next, .view = View{1}, .micro_batches = {MicroBatch{0}}, .step = 4}});
}

// Not a liar, but one that was away while its view was undone: the journal lacks the newest round, which leaders know.
TEST_F(ReturningManagerTest, ARecordOfAnEarlierViewIsNotAdopted) {
  const auto has_all = [&](uint32_t node) {
    return cluster_.member(node).leader().version() == cluster_.manager().version();
  };
  ASSERT_TRUE(cluster_.Run([&] { return has_all(3) && has_all(4); }));
  const CommitRecord newest = cluster_.journal().records.back();
  CommitRecord undone = newest;
  undone.view = View{0};
  undone.micro_batches = {MicroBatch{22}, MicroBatch{23}};
  cluster_.Crash(0);
  cluster_.Crash(1);
  cluster_.RestartManager(1);
  const Hello hello{.capabilities = {.can_work = true}, .held_view = View{0}, .records = {undone}};
  cluster_.Handle(0, Received{.from = NodeId{1}, .message = {.body = hello}});
  ASSERT_TRUE(cluster_.Run());
  EXPECT_EQ(CoverOf(cluster_), "24 micro-batches once");
  const std::vector<CommitRecord>& records = cluster_.journal().records;
  const auto it = std::find_if(records.begin(), records.end(),
                               [&](const CommitRecord& record) { return record.round == newest.round; });
  ASSERT_NE(it, records.end());
  EXPECT_EQ(it->micro_batches, newest.micro_batches);
}

// Nodes 3 and 4 lead, four stripes each; after a commit their parts of the checkpoint are on their way.
TEST(LiarTest, PartsOfACheckpointAreTakenFromTheirLeaders) {
  Cluster::Options options;
  options.manager.checkpoint_rounds = 1;
  Cluster cluster(options);
  ASSERT_TRUE(cluster.RunToVersion(2));
  Manager manager = cluster.manager();
  const auto counts = [&](uint32_t from, const std::vector<StripeRange>& stripes) {
    const Incarnation life = cluster.manager().roster().Find(NodeId{from})->incarnation;
    const Move part{.stripes = stripes, .version = manager.version(), .payload = Payload{7}};
    Actions actions;
    manager.Handle(
        cluster.now(),
        Received{.from = NodeId{from}, .message = {.view = manager.view(), .incarnation = life, .body = part}},
        actions);
    const bool released = std::any_of(actions.begin(), actions.end(),
                                      [](const Action& action) { return std::holds_alternative<Release>(action); });
    return !released;
  };
  EXPECT_FALSE(counts(1, {{Stripe{0}, Stripe{8}}})) << "a worker's";
  EXPECT_FALSE(counts(3, {{Stripe{0}, Stripe{8}}})) << "more than it leads";
  EXPECT_FALSE(counts(3, {{Stripe{8}, Stripe{16}}})) << "what there is not";
  const std::vector<StripeRange> own = manager.map().shards[*manager.map().LedBy(NodeId{3})].stripes;
  EXPECT_FALSE(counts(4, own)) << "another leader's";
  EXPECT_TRUE(counts(3, own));
}

// A manager that lives on knows what it committed, whatever members say.
TEST(LiarTest, AChangeOfViewAdoptsNoRound) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  Manager manager = cluster.manager();
  const std::vector<StripeRange> all = {{Stripe{0}, Stripe{8}}};
  const Version version = manager.version();
  const auto handle = [&](uint32_t from, View view, Body body) {
    const Incarnation life = cluster.manager().roster().Find(NodeId{from})->incarnation;
    Actions actions;
    manager.Handle(
        cluster.now(),
        Received{.from = NodeId{from}, .message = {.view = view, .incarnation = life, .body = std::move(body)}},
        actions);
    return std::any_of(actions.begin(), actions.end(),
                       [](const Action& action) { return std::holds_alternative<Journal>(action); });
  };
  handle(3, manager.view(), Leave{});
  ASSERT_EQ(manager.phase(), Manager::Phase::kAgreeing);
  const View view = manager.view();
  const CommitRecord record{
      .round = version, .view = View{1}, .micro_batches = {MicroBatch{22}, MicroBatch{23}}, .samples = 8, .step = 3};
  const auto holding = [&](uint32_t node, Version newest) {
    return Held{.node = NodeId{node}, .stripes = all, .oldest = version, .newest = newest};
  };
  EXPECT_FALSE(handle(1, view, ViewAck{{holding(1, Next(version))}, View{1}, {record}}));
  for (const uint32_t node : {2u, 3u, 4u}) {
    EXPECT_FALSE(handle(node, view, ViewAck{{holding(node, version)}, View{1}, {}})) << node;
  }
  EXPECT_EQ(manager.phase(), Manager::Phase::kRunning);
  EXPECT_EQ(manager.version(), version);
}

TEST(LiarTest, OnlyAnswersForLeasesCount) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  ASSERT_TRUE(cluster.Run([&] { return !cluster.manager().roster().Find(NodeId{1})->leases.empty(); }));
  const NodeRecord& node = *cluster.manager().roster().Find(NodeId{1});
  const Lease& lease = node.leases.front();
  Message message = {.view = View{1}, .incarnation = node.incarnation};
  Done done = {.round = lease.round, .part = lease.part, .micro_batches = lease.micro_batches};
  EXPECT_TRUE(cluster.manager().HasLease(NodeId{1}, message, done));
  EXPECT_FALSE(cluster.manager().HasLease(NodeId{2}, message, done)) << "another's";
  message.view = View{2};
  EXPECT_FALSE(cluster.manager().HasLease(NodeId{1}, message, done)) << "another view";
  message = {.view = View{1}, .incarnation = {View{1}, 77}};
  EXPECT_FALSE(cluster.manager().HasLease(NodeId{1}, message, done)) << "another life";
  message.incarnation = node.incarnation;
  done.micro_batches = {MicroBatch{0}};
  EXPECT_FALSE(cluster.manager().HasLease(NodeId{1}, message, done)) << "long committed";
}

TEST(LiarTest, BytesOfAnotherViewOrOfALifeThatIsOverAreReleased) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  Manager manager = cluster.manager();
  Message part = {.view = View{0},
                  .incarnation = {View{1}, 1},
                  .body = Move{.stripes = {{Stripe{0}, Stripe{1}}}, .version = Version{2}, .payload = Payload{7}}};
  const auto releases = [&](uint32_t from) {
    Actions actions;
    manager.Handle(cluster.now(), Received{.from = NodeId{from}, .message = part}, actions);
    return actions.size() == 1 && std::holds_alternative<Release>(actions[0]);
  };
  EXPECT_TRUE(releases(3)) << "another view";
  part.view = View{1};
  EXPECT_TRUE(releases(3)) << "another life";
  EXPECT_TRUE(releases(77)) << "nobody";
}

}  // namespace
}  // namespace eddl::net
