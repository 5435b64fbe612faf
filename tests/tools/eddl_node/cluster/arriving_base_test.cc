#include "tools/eddl_node/cluster/arriving_base.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

namespace eddl::cluster {
namespace {

using net::Stripe;

// Four stripes of 128 elements, dealt to two leaders in turn; element i has the value i.
class ArrivingBaseTest : public testing::Test {
 protected:
  ArrivingBaseTest() { std::iota(values_.begin(), values_.end(), 0.0f); }

  // What that shard's leader publishes.
  std::vector<std::byte> BytesOf(size_t shard) const {
    std::vector<std::byte> bytes;
    for (const net::StripeRange& range : map_.shards[shard].stripes) {
      const auto part = std::as_bytes(std::span(values_).subspan(128 * ToInt(range.begin), 128));
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
  }
  void Add(size_t shard, size_t begin, size_t end) {
    const std::vector<std::byte> bytes = BytesOf(shard);
    base_.Add(shard, begin, std::span(bytes).subspan(begin, end - begin), copy_);
    for (int64_t i = 0; i < base_.ready(); ++i) {
      ASSERT_EQ((*base_.values())[static_cast<size_t>(i)], static_cast<float>(i));
    }
  }

  static net::StripeRange Only(uint32_t stripe) { return {Stripe{stripe}, Stripe{stripe + 1}}; }
  std::vector<float> values_ = std::vector<float>(512);
  const net::ShardMap map_ = {.shards = {{.leader = net::NodeId{1}, .stripes = {Only(0), Only(2)}},
                                         {.leader = net::NodeId{2}, .stripes = {Only(1), Only(3)}}}};
  const ArrivingBase::Convert copy_ = [](std::span<const std::byte> bytes, std::span<float> values) {
    ASSERT_EQ(bytes.size(), values.size_bytes());
    std::memcpy(values.data(), bytes.data(), bytes.size());
  };
  ArrivingBase base_{StripeLayout(512, 4), map_, sizeof(float)};
};

TEST_F(ArrivingBaseTest, FillsUpFromItsBeginning) {
  EXPECT_EQ(base_.ready(), 0);
  Add(1, 0, 1024);
  EXPECT_EQ(base_.ready(), 0) << "the first stripe is another leader's";
  Add(0, 0, 256);
  EXPECT_EQ(base_.ready(), 64);
  Add(0, 256, 800);
  EXPECT_EQ(base_.ready(), 320) << "stripes 0 and 1, and a block of stripe 2";
  Add(0, 768, 1024);
  EXPECT_EQ(base_.ready(), 512);
  EXPECT_EQ(*base_.values(), values_);
}

TEST_F(ArrivingBaseTest, TakesWhatFollowsAndPassesOverTheRest) {
  Add(0, 100, 400);
  EXPECT_EQ(base_.ready(), 0) << "there is a gap before it";
  Add(0, 0, 300);
  EXPECT_EQ(base_.ready(), 64) << "whole blocks only";
  Add(0, 0, 200);
  EXPECT_EQ(base_.ready(), 64) << "that was here";
  Add(0, 4, 512);
  EXPECT_EQ(base_.ready(), 128);
  std::vector<std::byte> long_ones = BytesOf(0);
  long_ones.resize(10'000);
  base_.Add(0, 0, long_ones, copy_);
  base_.Add(1, 0, BytesOf(1), copy_);
  EXPECT_EQ(base_.ready(), 512);
  EXPECT_EQ(*base_.values(), values_) << "and nothing beyond the shard";
}

}  // namespace
}  // namespace eddl::cluster
