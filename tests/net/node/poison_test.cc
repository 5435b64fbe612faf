// Numbers that are not finite: whether the data, a device or the model is at fault.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "net/node/manager.h"
#include "tests/net/node/cluster.h"

namespace eddl::net {
namespace {

TEST(PoisonTest, DataThatIsNotFiniteOnTwoNodesIsLeftOutAndSaid) {
  Cluster cluster({});
  cluster.on_finished = [](uint32_t, LeaseFinished& finished) {
    const std::vector<MicroBatch>& mbs = finished.done.micro_batches;
    finished.done.finite = std::find(mbs.begin(), mbs.end(), MicroBatch{7}) == mbs.end();
    if (!finished.done.finite) finished.payload = Payload{};
  };
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_TRUE(Says(cluster, "micro-batch 7 gives numbers that are not finite on nodes 1 and 2: left out") ||
              Says(cluster, "micro-batch 7 gives numbers that are not finite on nodes 2 and 1: left out"))
      << cluster.said();
  EXPECT_EQ(CoverOf(cluster), "23 micro-batches once");
  EXPECT_EQ(cluster.manager().ledger().Count(0).quarantined, 1);
}

// A lease is long, and nobody knows at first which of its micro-batches it was.
TEST(PoisonTest, ABadRowCostsItsMicroBatchAndNobodyItsPlace) {
  Cluster::Options options;
  options.workers = 3;
  options.manager.ledger = {.sample_count = 1024, .micro_batch_size = 4, .epoch_count = 5};
  options.manager.batch_size = 256;
  Cluster cluster(options);
  uint64_t longest = 0;
  cluster.on_finished = [&](uint32_t, LeaseFinished& finished) {
    const std::vector<MicroBatch>& mbs = finished.done.micro_batches;
    longest = std::max<uint64_t>(longest, mbs.size());
    finished.done.finite = std::none_of(mbs.begin(), mbs.end(), [](MicroBatch mb) { return ToInt(mb) % 256 == 100; });
    if (!finished.done.finite) finished.payload = Payload{};
  };
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "") << "one an epoch is no model that diverges";
  EXPECT_GT(longest, 4u);
  EXPECT_FALSE(Says(cluster, "removed")) << cluster.said();
  for (int64_t epoch = 0; epoch < 5; ++epoch) EXPECT_EQ(cluster.manager().ledger().Count(epoch).quarantined, 1);
  EXPECT_EQ(CoverOf(cluster), "1275 micro-batches once");
}

class BrokenNodeTest : public testing::TestWithParam<Mode> {};

TEST_P(BrokenNodeTest, ANodeWhoseNumbersAreNeverFiniteGoesAndTheDataStays) {
  Cluster::Options options;
  options.workers = 3;
  options.mode = GetParam();
  Cluster cluster(options);
  cluster.on_finished = [](uint32_t node, LeaseFinished& finished) {
    if (node != 2) return;
    finished.done.finite = false;
    finished.payload = Payload{};
  };
  ASSERT_TRUE(cluster.Run());
  EXPECT_EQ(cluster.why(), "");
  EXPECT_TRUE(Says(cluster, "node 2: removed: 3 strikes")) << cluster.said();
  EXPECT_EQ(CoverOf(cluster), "24 micro-batches once");
}

INSTANTIATE_TEST_SUITE_P(Modes, BrokenNodeTest, testing::Values(Mode::kSync, Mode::kPipe, Mode::kAsync));

TEST(PoisonTest, AModelThatDivergesStopsTheJobWithItsLastGoodVersion) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.RunToVersion(2));
  cluster.on_finished = [](uint32_t, LeaseFinished& finished) {
    finished.done.finite = false;
    finished.payload = Payload{};
  };
  ASSERT_TRUE(cluster.Run());
  EXPECT_NE(cluster.why().find("lower the learning rate"), std::string::npos) << cluster.why();
}

}  // namespace
}  // namespace eddl::net
