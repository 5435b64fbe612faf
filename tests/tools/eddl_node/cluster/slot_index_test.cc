#include "tools/eddl_node/cluster/slot_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <string>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl::cluster {
namespace {

TEST(SlotIndexTest, FillsFreeSlotsFromTheFirstOn) {
  SlotIndex index(10, 3);
  EXPECT_EQ(index.Take(7), 0u);
  EXPECT_EQ(index.Take(2), 1u);
  index.Drop(7);
  EXPECT_EQ(index.Take(4), 0u);
  EXPECT_EQ(index.Take(9), 2u);
  EXPECT_EQ(index.free_count(), 0u);
}

TEST(SlotIndexTest, TakesThePlaceOfWhatWasUsedLongestAgo) {
  SlotIndex index(10, 3);
  for (const int64_t sample : {1, 2, 3}) index.Take(sample);
  index.Touch(1);
  EXPECT_EQ(index.Take(4), 1u) << "2 goes";
  EXPECT_FALSE(index.Has(2));
  EXPECT_EQ(index.Take(2), 2u) << "3 goes";
  EXPECT_TRUE(index.Has(1));
}

TEST(SlotIndexTest, KnowsNoSampleOutOfRange) {
  const SlotIndex index(10, 3);
  for (const int64_t sample : {int64_t{-1}, int64_t{10}, int64_t{1} << 40}) {
    EXPECT_FALSE(index.Has(sample));
    EXPECT_FALSE(index.Find(sample).has_value());
  }
}

// Of a file that is damaged, slots may claim anything.
TEST(SlotIndexTest, RestoresNothingTwiceAndNothingOutOfRange) {
  SlotIndex index(10, 6);
  index.Restore(std::vector<int64_t>{4, -1, 10, 4, int64_t{1} << 40, 0});
  EXPECT_EQ(index.used_count(), 2u);
  EXPECT_EQ(*index.Find(4), 3u);
  EXPECT_EQ(*index.Find(0), 5u);
  EXPECT_EQ(index.Take(1), 0u);
}

// Beside the same in plain words, for long.
TEST(SlotIndexTest, IsAListInTheOrderOfUse) {
  constexpr int64_t kSamples = 40;
  constexpr size_t kSlots = 12;
  SlotIndex index(kSamples, kSlots);
  std::list<int64_t> expected;  // the one that was used longest ago first
  std::vector<int64_t> content(kSlots, -1);
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto sample = static_cast<int64_t>(rng.Below(kSamples));
    const bool here = std::find(expected.begin(), expected.end(), sample) != expected.end();
    ASSERT_EQ(index.Has(sample), here);
    if (!here) {
      if (expected.size() == kSlots) expected.pop_front();
      content[index.Take(sample)] = sample;
      expected.push_back(sample);
    } else if (rng.Below(4) == 0) {
      index.Drop(sample);
      expected.remove(sample);
    } else {
      index.Touch(sample);
      expected.remove(sample);
      expected.push_back(sample);
    }
    ASSERT_EQ(index.used_count(), expected.size());
    for (const int64_t one : expected) ASSERT_EQ(content[*index.Find(one)], one);
  }
}

}  // namespace
}  // namespace eddl::cluster
