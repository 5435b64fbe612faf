#include "net/shard_map.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

StripeRange Range(uint32_t begin, uint32_t end) { return {Stripe{begin}, Stripe{end}}; }
LeaderShare Share(uint32_t node, double fraction) { return {NodeId{node}, fraction}; }

TEST(ShardMapTest, DealsStripesInLayerOrderInProportionToShares) {
  EXPECT_EQ(ToString(DealStripes(std::vector{Share(1, 0.5), Share(2, 0.25), Share(3, 0.25)}, 8)),
            "1:[0,1)+[3,5)+[7,8)<2 2:[1,2)+[5,6)<3 3:[2,3)+[6,7)<1");
}

TEST(ShardMapTest, EveryLeaderGetsAStripeHoweverSmallItsShare) {
  EXPECT_EQ(ToString(DealStripes(std::vector{Share(1, 0.999), Share(2, 0.0005), Share(3, 0.0005)}, 3)),
            "1:[0,1)<2 2:[1,2)<3 3:[2,3)<1");
}

TEST(ShardMapTest, ALeaderAloneIsBackedUpByTheStandbyElseByItself) {
  EXPECT_EQ(ToString(DealStripes(std::vector{Share(4, 1)}, 2)), "4:[0,2)<4");
  EXPECT_EQ(ToString(DealStripes(std::vector{Share(4, 1)}, 2, NodeId{9})), "4:[0,2)<9");
}

TEST(ShardMapTest, AnyDealCoversEachStripeOnceAndIsCloseToItsShare) {
  Rng rng(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<LeaderShare> shares;
    double sum = 0;
    const uint64_t count = 1 + rng.Below(9);
    for (uint32_t i = 0; i < count; ++i) shares.push_back(Share(i + 1, rng.Uniform(0.01, 1)));
    for (const LeaderShare& share : shares) sum += share.fraction;
    const auto stripe_count = static_cast<uint32_t>(count + rng.Below(200));
    const ShardMap map = DealStripes(shares, stripe_count);
    std::vector<StripeRange> missing = {Range(0, stripe_count)};
    uint32_t total = 0;
    for (size_t i = 0; i < count; ++i) {
      missing = Subtract(missing, map.shards[i].stripes);
      total += CountStripes(map.shards[i].stripes);
      EXPECT_NEAR(CountStripes(map.shards[i].stripes), shares[i].fraction / sum * stripe_count,
                  1.0 + static_cast<double>(count) / 2);
    }
    EXPECT_TRUE(missing.empty());
    EXPECT_EQ(total, stripe_count);
  }
}

TEST(ShardMapTest, IntersectionAndDifferencePartitionASet) {
  const std::vector a = {Range(0, 4), Range(6, 10)};
  const std::vector b = {Range(2, 7), Range(9, 12)};
  EXPECT_EQ(Intersect(a, b), (std::vector{Range(2, 4), Range(6, 7), Range(9, 10)}));
  EXPECT_EQ(Subtract(a, b), (std::vector{Range(0, 2), Range(7, 9)}));
  EXPECT_EQ(Subtract(b, a), (std::vector{Range(4, 6), Range(10, 12)}));
}

TEST(ShardMapTest, TheNewestCompleteVersionIsTheOneThatEveryStripeHas) {
  const std::vector<Held> held = {{NodeId{1}, {Range(0, 2)}, Version{4}, Version{5}},
                                  {NodeId{2}, {Range(2, 4)}, Version{3}, Version{4}},
                                  {NodeId{3}, {Range(3, 4)}, Version{5}, Version{5}}};
  EXPECT_EQ(NewestComplete(held, 4), Version{4});
  EXPECT_EQ(NewestComplete(held, 5), std::nullopt);
  EXPECT_EQ(NewestComplete(std::vector{held[0], held[2]}, 4), std::nullopt);
}

}  // namespace
}  // namespace eddl::net
