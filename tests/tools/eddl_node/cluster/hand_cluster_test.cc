// Whole trainings over several nodes, beside one device's: the bits must not depend on who leads what.
#include "tests/tools/eddl_node/cluster/hand_cluster.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/runtime/test_device.h"

namespace eddl::cluster {
namespace {

using test::CountDifferences;
using test::DistanceOf;
using test::HandCluster;
using test::Work;

std::vector<net::MicroBatch> Batches(uint64_t begin, uint64_t end) {
  std::vector<net::MicroBatch> all;
  for (uint64_t mb = begin; mb < end; ++mb) all.push_back(net::MicroBatch{mb});
  return all;
}

class HandClusterTest : public testing::Test {
 protected:
  static TrainOptions Sgd() {
    return {.seed = 9, .epochs = 2, .batch = 32, .schedule = {.learning_rate = 0.05}, .evaluate_batch = 64};
  }
  static TrainOptions Adam() {
    return {.seed = 9,
            .epochs = 2,
            .batch = 16,
            .optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 0.01},
            .schedule = {.kind = ScheduleKind::kCosine, .learning_rate = 0.003, .total_samples = 96}};
  }

  const std::unique_ptr<Device> cpu_ = eddl::test::OpenCpu();
  const std::vector<std::vector<double>> leaders_ = {{1}, {2, 1}, {1, 2, 3}};
  // 9 batches of 32 and one of 16.
  const test::Problem features_ = test::FeatureProblem(304);
  const test::Problem images_ = test::ImageProblem(48);
};

TEST_F(HandClusterTest, SumsOfOneContributionTrainLikeOneDeviceBitForBit) {
  const TensorStore::Whole alone = test::TrainAlone(features_, *cpu_, Sgd());
  for (const auto& leaders : leaders_) {
    HandCluster cluster(features_, *cpu_, {.train = Sgd(), .leaders = leaders});
    const double first_loss = (cluster.RunRound({{.node = 0, .leases = {{net::MicroBatch{0}}}}}), cluster.loss());
    EXPECT_GT(first_loss, 0);
    HandCluster again(features_, *cpu_, {.train = Sgd(), .leaders = leaders});
    again.RunOneByOne();
    EXPECT_EQ(ToInt(again.version()), 20u);
    EXPECT_LT(again.loss() / 16, first_loss / 32) << "it learns nothing";
    EXPECT_EQ(CountDifferences(again.Gather(), alone), 0) << leaders.size() << " leaders";
    EXPECT_EQ(again.CountPayloads(), 0u);
  }
}

TEST_F(HandClusterTest, RunningStatisticsAndAdamTrainLikeOneDeviceBitForBit) {
  const TensorStore::Whole alone = test::TrainAlone(images_, *cpu_, Adam());
  ASSERT_EQ(alone.optimizer.size(), 2u);
  ASSERT_GT(images_.model->layout().gradient_end(), images_.model->layout().trainable_end());
  for (const auto& leaders : leaders_) {
    HandCluster cluster(images_, *cpu_, {.train = Adam(), .leaders = leaders});
    cluster.RunOneByOne();
    EXPECT_EQ(CountDifferences(cluster.Gather(), alone), 0) << leaders.size() << " leaders";
    EXPECT_EQ(CountDifferences(cluster.Gather(/*from_backups=*/true), alone), 0) << leaders.size() << " leaders";
  }
}

// Every number of stripes that there can be, from one to one a block.
TEST_F(HandClusterTest, TheCutIntoStripesDoesNotChangeABit) {
  const TensorStore::Whole alone = test::TrainAlone(features_, *cpu_, Sgd());
  const auto blocks = static_cast<uint32_t>(features_.model->layout().gradient_end() / StripeLayout::kBlock);
  for (const uint32_t stripe_count : {2u, 3u, 7u, blocks}) {
    HandCluster cluster(features_, *cpu_, {.train = Sgd(), .leaders = {1, 1}, .stripe_count = stripe_count});
    cluster.RunOneByOne();
    EXPECT_EQ(CountDifferences(cluster.Gather(), alone), 0) << stripe_count;
  }
}

TEST_F(HandClusterTest, SumsOfManyContributionsTrainLikeOneDeviceWithinRounding) {
  TrainOptions whole = Sgd();
  whole.batch = 160;
  whole.micro_batch = 32;
  const test::Problem problem = test::FeatureProblem(320);
  const TensorStore::Whole alone = test::TrainAlone(problem, *cpu_, whole);
  for (const auto& leaders : leaders_) {
    HandCluster cluster(problem, *cpu_, {.train = Sgd(), .leaders = leaders});
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mb = 5 * round;
      cluster.RunRound({{.node = 0, .leases = {Batches(mb, mb + 2)}},
                        {.node = 1, .leases = {Batches(mb + 2, mb + 3), Batches(mb + 4, mb + 5)}},
                        {.node = 2, .leases = {Batches(mb + 3, mb + 4)}}});
    }
    const TensorStore::Whole result = cluster.Gather();
    EXPECT_NE(CountDifferences(result, alone), -1);
    EXPECT_LT(DistanceOf(result, alone), 1e-5) << leaders.size() << " leaders";
    EXPECT_EQ(CountDifferences(cluster.Gather(/*from_backups=*/true), result), 0);
  }
}

// Who computes what, in which order, in leases of what size, and who leads: nothing changes a bit.
TEST_F(HandClusterTest, ExactModeGivesTheSameBitsHoweverTheWorkIsSplit) {
  const std::vector<std::vector<Work>> splits = {
      {{.node = 0, .leases = {Batches(0, 3)}}},
      {{.node = 2, .leases = {Batches(2, 3), Batches(0, 1), Batches(1, 2)}}},
      {{.node = 1, .leases = {Batches(1, 2)}}, {.node = 0, .leases = {Batches(2, 3), Batches(0, 1)}}},
      {{.node = 2, .leases = {Batches(2, 3)}},
       {.node = 1, .leases = {Batches(0, 1)}},
       {.node = 0, .leases = {Batches(1, 2)}}},
  };
  for (const auto& [problem, options] : {std::pair(&features_, Sgd()), std::pair(&images_, Adam())}) {
    std::optional<TensorStore::Whole> first;
    for (const auto& leaders : leaders_) {
      for (const std::vector<Work>& split : splits) {
        HandCluster cluster(*problem, *cpu_, {.train = options, .leaders = leaders, .codec = net::Codec::kExact});
        const TensorStore::Whole initial = cluster.Gather();
        for (int round = 0; round < 2; ++round) cluster.RunRound(split);
        const TensorStore::Whole result = cluster.Gather();
        EXPECT_NE(CountDifferences(result, initial), 0);
        EXPECT_EQ(CountDifferences(cluster.Gather(/*from_backups=*/true), result), 0);
        if (!first) first = result;
        EXPECT_EQ(CountDifferences(result, *first), 0) << leaders.size() << " leaders, " << split.size() << " workers";
      }
    }
    if (problem != &features_) continue;  // what a batch is makes a difference to batch norm
    HandCluster floats(*problem, *cpu_, {.train = options});
    for (int round = 0; round < 2; ++round) floats.RunRound(splits[0]);
    EXPECT_LT(DistanceOf(floats.Gather(), *first), 1e-5) << "more than rounding";
  }
}

TEST_F(HandClusterTest, ShardsMoveBetweenViewsWithoutChangingABit) {
  const TensorStore::Whole alone = test::TrainAlone(images_, *cpu_, Adam());
  HandCluster cluster(images_, *cpu_, {.train = Adam(), .leaders = {1}});
  for (uint64_t mb = 0; mb < 6; ++mb) {
    if (mb == 2) cluster.EnterView({1, 2, 3});
    if (mb == 4) cluster.EnterView({3, 1});
    cluster.RunRound({{.node = static_cast<size_t>(mb % 3), .leases = {{net::MicroBatch{mb}}}}});
  }
  EXPECT_EQ(CountDifferences(cluster.Gather(), alone), 0);
  EXPECT_EQ(CountDifferences(cluster.Gather(/*from_backups=*/true), alone), 0);
}

TEST_F(HandClusterTest, HalvesTrainNearlyTheSameAndBackupsStayEqual) {
  HandCluster floats(features_, *cpu_, {.train = Sgd(), .leaders = {2, 1}});
  HandCluster halves(features_, *cpu_, {.train = Sgd(), .leaders = {2, 1}, .codec = net::Codec::kF16});
  floats.RunOneByOne();
  halves.RunOneByOne();
  const TensorStore::Whole result = halves.Gather();
  EXPECT_LT(DistanceOf(result, floats.Gather()), 5e-3);
  EXPECT_NE(CountDifferences(result, floats.Gather()), 0);
  EXPECT_EQ(CountDifferences(halves.Gather(/*from_backups=*/true), result), 0);
  // Workers see what halves hold of the parameters: 11 bits.
  const std::vector<float>& seen = *halves.store(2).Base(halves.version());
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_NEAR(seen[i], result.parameters[i], std::abs(result.parameters[i]) / 2048 + 1e-7) << i;
  }
}

// The bytes that a node holds between rounds are those of two versions, whoever works.
TEST_F(HandClusterTest, WhatALeaderHoldsDoesNotGrowWithRoundsOrWorkers) {
  HandCluster few(features_, *cpu_, {.train = Sgd(), .node_count = 2, .leaders = {1}});
  HandCluster many(features_, *cpu_, {.train = Sgd(), .node_count = 8, .leaders = {1}});
  int64_t after_three = 0;
  for (uint64_t mb = 0; mb < 18; ++mb) {
    few.RunRound({{.node = 1, .leases = {{net::MicroBatch{mb}}}}});
    std::vector<Work> works;
    for (size_t node = 0; node < 8; ++node) works.push_back({.node = node, .leases = {{net::MicroBatch{mb}}}});
    many.RunRound(works);
    if (mb == 2) after_three = few.store(0).held_bytes();
  }
  EXPECT_EQ(few.store(0).held_bytes(), after_three);
  EXPECT_EQ(many.store(0).held_bytes(), after_three);
}

}  // namespace
}  // namespace eddl::cluster
