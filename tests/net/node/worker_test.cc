#include "net/node/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "net/node/outbox.h"

namespace eddl::net {
namespace {

// Node 2 works for the leaders 1, 2 and 3, and has version 0 of all.
class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    ShardMap map;
    for (uint32_t leader = 1; leader <= 3; ++leader) {
      map.shards.push_back({.leader = NodeId{leader},
                            .backup = NodeId{leader % 3 + 1},
                            .stripes = {{.begin = Stripe{leader - 1}, .end = Stripe{leader}}}});
    }
    worker_.Begin(map, Version{0}, false, out_);
    for (const Shard& shard : map.shards) {
      worker_.OnPublish(shard.leader, {.version = Version{0}, .payload = Payload{ToInt(shard.leader)}}, out_);
    }
  }

  // A lease of a round on version 0; none: the part ends.
  void Grant(uint64_t round, std::vector<MicroBatch> micro_batches) {
    const bool last = micro_batches.empty();
    worker_.OnGrant({.round = Version{round},
                     .base = Version{0},
                     .micro_batches = std::move(micro_batches),
                     .samples = last ? 0 : 8,
                     .last = last},
                    out_);
  }
  void Finish(uint64_t round, MicroBatch mb) {
    worker_.OnLeaseFinished(
        {.done = {.round = Version{round}, .micro_batches = {mb}, .samples = 8}, .payload = Payload{9}}, out_);
  }
  // Whom the round was pushed to, in order.
  std::vector<NodeId> PushedTo(uint64_t round) const {
    std::vector<NodeId> leaders;
    for (const Action& action : actions_) {
      const auto* send = std::get_if<Send>(&action);
      const auto* push = send == nullptr ? nullptr : std::get_if<Push>(&send->message.body);
      if (push != nullptr && push->round == Version{round}) leaders.push_back(send->to);
    }
    return leaders;
  }

  // First micro-batches of the leases that were computed, in order.
  std::string Computed() const {
    std::string text;
    for (const Action& action : actions_) {
      const auto* compute = std::get_if<Compute>(&action);
      if (compute != nullptr) text += std::to_string(ToInt(compute->grant.micro_batches.at(0))) + " ";
    }
    return text;
  }

  Actions actions_;
  Outbox out_{actions_, View{1}, {View{1}, 1}};
  Worker worker_{NodeId{2}};
};

TEST_F(WorkerTest, PushesBeginWithTheNextLeader) {
  Grant(0, {MicroBatch{4}});
  Finish(0, MicroBatch{4});
  EXPECT_TRUE(PushedTo(0).empty()) << "more may come";
  Grant(0, {});
  EXPECT_EQ(PushedTo(0), (std::vector{NodeId{3}, NodeId{1}, NodeId{2}}));
}

TEST_F(WorkerTest, ALeaseOfALaterRoundEndsEarlierParts) {
  Grant(0, {MicroBatch{4}});
  Grant(1, {MicroBatch{5}});
  Finish(0, MicroBatch{4});
  EXPECT_EQ(PushedTo(0).size(), 3);
}

TEST_F(WorkerTest, TheEndOfALaterPartDoesNotEndEarlierOnes) {
  Grant(0, {MicroBatch{4}});
  Grant(1, {});
  Finish(0, MicroBatch{4});
  EXPECT_TRUE(PushedTo(0).empty());
  Grant(0, {MicroBatch{6}});
  Finish(0, MicroBatch{6});
  EXPECT_TRUE(PushedTo(0).empty());
  Grant(0, {});
  EXPECT_EQ(PushedTo(0).size(), 3);
}

TEST_F(WorkerTest, TheNextLeaseBeginsBeforeTheGradientOfTheLastIsAdded) {
  Grant(0, {MicroBatch{4}});
  Grant(0, {MicroBatch{6}});
  actions_.clear();
  Finish(0, MicroBatch{4});
  const auto* done = actions_.size() == 3 ? std::get_if<Send>(&actions_[0]) : nullptr;
  ASSERT_NE(done, nullptr) << actions_.size() << " actions";
  EXPECT_TRUE(std::holds_alternative<Done>(done->message.body));
  EXPECT_TRUE(std::holds_alternative<Compute>(actions_[1]));
  EXPECT_TRUE(std::holds_alternative<Merge>(actions_[2]));
}

// What would be computed if version 1 were here, as a driver asks while it arrives.
TEST_F(WorkerTest, TellsWhichLeaseComesNextBeforeItsBaseIsHere) {
  EXPECT_FALSE(worker_.LeaseAfter(Version{1}).has_value()) << "there is none";
  const net::Grant grant = {.round = Version{1}, .base = Version{1}, .micro_batches = {MicroBatch{7}}, .samples = 8};
  worker_.OnGrant(grant, out_);
  EXPECT_EQ(worker_.LeaseAfter(Version{1}), grant);
  EXPECT_FALSE(worker_.LeaseAfter(Version{0}).has_value()) << "that is here";
  EXPECT_FALSE(worker_.LeaseAfter(Version{2}).has_value()) << "the lease is not on that";

  Grant(0, {MicroBatch{4}});
  EXPECT_FALSE(worker_.LeaseAfter(Version{1}).has_value()) << "it computes";
  EXPECT_EQ(worker_.NextOn(Version{1}), grant);
  Finish(0, MicroBatch{4});
  EXPECT_EQ(worker_.LeaseAfter(Version{1}), grant);

  // And that is what it asks for when the version is here.
  actions_.clear();
  for (uint32_t leader = 1; leader <= 3; ++leader) {
    worker_.OnPublish(NodeId{leader}, {.version = Version{1}, .payload = Payload{10 + leader}}, out_);
  }
  const auto compute = std::find_if(actions_.begin(), actions_.end(),
                                    [](const Action& action) { return std::holds_alternative<Compute>(action); });
  ASSERT_NE(compute, actions_.end());
  EXPECT_EQ(std::get<Compute>(*compute).grant, grant);
  EXPECT_FALSE(worker_.LeaseAfter(Version{2}).has_value());
}

TEST_F(WorkerTest, ATestWhoseRowsAreStillToComeHoldsUpNobody) {
  const std::vector<MicroBatch> tested = {MicroBatch{3}};
  worker_.OnTestRows({.base = Version{0}, .micro_batches = tested, .here = false}, out_);
  worker_.OnGrant({.round = Version{0},
                   .base = Version{0},
                   .part = kTestPart,
                   .micro_batches = tested,
                   .samples = 8,
                   .kind = LeaseKind::kEvaluate},
                  out_);
  EXPECT_EQ(Computed(), "") << "before its rows are here";
  for (uint64_t mb = 4; mb < 10; ++mb) {
    Grant(0, {MicroBatch{mb}});
    Finish(0, MicroBatch{mb});
  }
  EXPECT_EQ(Computed(), "4 5 6 7 8 9 ") << "although tests have a turn after every few leases";
  worker_.OnTestRows({.base = Version{0}, .micro_batches = tested}, out_);
  EXPECT_EQ(Computed(), "4 5 6 7 8 9 3 ");
}

}  // namespace
}  // namespace eddl::net
