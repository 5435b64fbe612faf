#include "net/policy/link_backlog.h"

#include <gtest/gtest.h>

namespace eddl::net {
namespace {

Instant At(double seconds) { return Instant{static_cast<int64_t>(seconds * 1e9)}; }

TEST(LinkBacklogTest, BackgroundWaitsForWhatWasGivenBefore) {
  LinkBacklog clock;
  EXPECT_EQ(clock.Depart(At(5)), At(5)) << "an idle link";
  clock.Add(At(5), 1e6, 1e8);
  clock.Add(At(5), 1e6, 1e8);
  EXPECT_EQ(clock.Depart(At(5.005)), At(5.02));
  EXPECT_EQ(clock.Depart(At(5.03)), At(5.03)) << "all of it has left";
}

TEST(LinkBacklogTest, GoesOnFromNowAfterAPause) {
  LinkBacklog clock;
  clock.Add(At(1), 1e6, 1e7);
  clock.Add(At(9), 1e6, 1e7);
  EXPECT_EQ(clock.Depart(At(9)), At(9.1));
}

TEST(LinkBacklogTest, WaitsForNothingIfTheRateIsUnknown) {
  LinkBacklog clock;
  for (const double rate : {0.0, -1.0, std::nan("")}) clock.Add(At(1), 1e9, rate);
  EXPECT_EQ(clock.Depart(At(1)), At(1));
}

TEST(LinkBacklogTest, PatienceHasAnEnd) {
  LinkBacklog clock;
  clock.Add(At(1), 1e12, 1);
  EXPECT_EQ(clock.Depart(At(1)), At(1) + LinkBacklog::kPatience);
}

TEST(LinkBacklogTest, ReplicasAndPartsOfCheckpointsAreBackground) {
  EXPECT_TRUE(IsBackground(NodeId{2}, Replica{}));
  EXPECT_TRUE(IsBackground(kManager, Move{}));
  EXPECT_FALSE(IsBackground(NodeId{2}, Move{})) << "a view waits for a shard that moves";
  EXPECT_FALSE(IsBackground(NodeId{2}, Publish{}));
  EXPECT_FALSE(IsBackground(NodeId{2}, Push{}));
}

}  // namespace
}  // namespace eddl::net
