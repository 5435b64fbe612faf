#include "net/sim/baselines/tree.h"

#include <gtest/gtest.h>

namespace eddl::net::sim {
namespace {

constexpr double kModelBytes = 1e6;
constexpr double kRate = 1e6;  // one model a second
constexpr double kBatchSeconds = 5;

LinkSpec Link() {
  return {.up_bytes_per_second = kRate, .down_bytes_per_second = kRate, .latency_seconds = 0, .efficiency = 1};
}

// Rounds of 5 s of computing, and a second for each model that passes a port.
TreeCase Case(int64_t worker_count, int64_t group_size) {
  TreeCase study = {.worker_count = worker_count,
                    .group_size = group_size,
                    .sample_count = 40 * worker_count,
                    .epoch_count = 2,
                    .batch_per_worker = 10,
                    .model_bytes = kModelBytes};
  study.leader.seconds_per_message = study.leader.seconds_per_byte = 0;
  study.leader.link = study.worker.link = Link();
  study.worker.seconds_per_sample = kBatchSeconds / 10;
  return study;
}

TEST(TreeTest, AGroupsRoundIsItsComputingAndTwoModelsAWorker) {
  const TreeResult tree = RunTree(Case(12, 3));
  EXPECT_NEAR(tree.cycle_seconds, kBatchSeconds + 2 * 3, 1e-6);
  EXPECT_EQ(tree.cycles, 4 * 2 * 4);  // four groups, two epochs, four batches a worker
  // Four groups that are in step send to the top leader at once: its port needs a second for each, each way.
  EXPECT_NEAR(tree.exchange_seconds, 4 + 4, 1e-6);
}

// 5 s of computing hide an exchange of 2 s, and the last one is waited for.
TEST(TreeTest, AnExchangeThatIsShorterThanComputingCostsNothing) {
  const TreeResult tree = RunTree(Case(3, 3));
  EXPECT_NEAR(tree.seconds, 8 * (kBatchSeconds + 2 * 3) + 2, 1e-6);
  EXPECT_EQ(tree.exchanges, 8);
}

// The top leader's port is the bottleneck of many small groups: they go on without its answer.
TEST(TreeTest, GroupsDoNotWaitForATopLeaderThatIsOverloaded) {
  TreeCase study = Case(32, 1);
  study.sample_count = 400 * 32;
  const TreeResult tree = RunTree(study);
  EXPECT_EQ(tree.cycles, 32 * 2 * 40);
  EXPECT_GT(tree.exchange_seconds, 20);
  EXPECT_LT(tree.exchanges, tree.cycles / 2);
  // A worker alone takes 7 s a round; it shares its sub-leader's port with the exchange at times, no more than that.
  EXPECT_LT(tree.cycle_seconds, kBatchSeconds + 2 * 2);
}

TEST(TreeTest, ASmallLastGroupAndAShortLastBatchCountAsTheyAre) {
  TreeCase study = Case(4, 3);
  study.sample_count = 25 * 4;  // batches of 10, 10 and 5
  study.epoch_count = 1;
  const TreeResult tree = RunTree(study);
  EXPECT_EQ(tree.cycles, 2 * 3);
  // The group of three is last: three rounds, of which one computes half as long, and its last exchange.
  EXPECT_NEAR(tree.seconds, 2 * 11 + 8.5 + 2, 1e-6);
}

TEST(TreeTest, EqualCasesGiveEqualTimes) {
  TreeCase study = Case(8, 4);
  study.worker.variation = 0.2;
  EXPECT_EQ(RunTree(study).seconds, RunTree(study).seconds);
  TreeCase other = study;
  other.seed = 2;
  EXPECT_NE(RunTree(study).seconds, RunTree(other).seconds);
}

}  // namespace
}  // namespace eddl::net::sim
