#include "net/policy/learned_bound.h"

#include <gtest/gtest.h>

namespace eddl::net {
namespace {

TEST(LearnedBoundTest, IsTheFloorUntilSomethingIsLearned) { EXPECT_EQ(LearnedBound(Seconds(2)).Get(), Seconds(2)); }

TEST(LearnedBoundTest, ComesCloseToWhatIsAlwaysTheSame) {
  LearnedBound bound(Seconds(0.1));
  for (int i = 0; i < 100; ++i) bound.Add(Seconds(3));
  EXPECT_NEAR(bound.Get().seconds(), 3, 0.01);
}

TEST(LearnedBoundTest, IsWiderWhereTimesVary) {
  LearnedBound bound(Seconds(0.1));
  for (int i = 0; i < 100; ++i) bound.Add(Seconds(i % 2 == 0 ? 2 : 4));
  EXPECT_GT(bound.Get().seconds(), 6);
}

TEST(LearnedBoundTest, DoublesWithEveryVainAlarmUntilOneEnds) {
  LearnedBound bound(Seconds(1));
  bound.Exceeded();
  bound.Exceeded();
  EXPECT_EQ(bound.Get(), Seconds(4));
  for (int i = 0; i < 100; ++i) bound.Exceeded();
  EXPECT_EQ(bound.Get(), Seconds(64));
  bound.Add(Seconds(0.01));
  EXPECT_EQ(bound.Get(), Seconds(1));
}

}  // namespace
}  // namespace eddl::net
