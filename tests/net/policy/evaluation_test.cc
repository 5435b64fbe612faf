#include "net/policy/evaluation.h"

#include <gtest/gtest.h>

#include <string>

namespace eddl::net {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kC{3};
constexpr Instant kStart{0};
constexpr Instant kLater{1'000'000'000};
constexpr Instant kLast{2'000'000'000};

// Seven samples: micro-batches of 2, 2, 2 and 1.
Evaluation TestOf(std::vector<NodeId> tested_by = {}) {
  return {Version{3}, TestSet{.sample_count = 7, .micro_batch_size = 2}, std::move(tested_by)};
}

std::string ToString(const std::vector<MicroBatch>& mbs) {
  std::string text;
  for (const MicroBatch mb : mbs) text += std::to_string(ToInt(mb)) + " ";
  return text;
}

std::string ToString(const TestSums& sums) {
  return std::to_string(sums.correct) + "/" + std::to_string(sums.samples) + " loss " +
         std::to_string(static_cast<int>(sums.loss));
}

TEST(TestSetTest, TheLastMicroBatchHasWhatIsLeft) {
  const TestSet set{.sample_count = 7, .micro_batch_size = 2};
  EXPECT_EQ(set.micro_batch_count(), 4);
  EXPECT_EQ(set.Samples(MicroBatch{2}), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(set.Samples(MicroBatch{3}), (std::vector<int64_t>{6}));
}

TEST(EvaluationTest, CountsEverySampleOnce) {
  Evaluation test = TestOf();
  std::vector<NodeId> others;
  const auto first = test.Lease(kA, 3, kLater);
  const auto second = test.Lease(kB, 3, kLater);
  EXPECT_EQ(ToString(first) + "| " + ToString(second), "0 1 2 | 3 ");
  EXPECT_TRUE(test.Lease(kA, 1, kLater).empty());
  EXPECT_TRUE(test.Finish(kA, first, 30, 4, others));
  EXPECT_FALSE(test.finished());
  EXPECT_TRUE(test.Finish(kB, second, 5, 1, others));
  EXPECT_TRUE(test.finished());
  EXPECT_EQ(ToString(test.sums()), "5/7 loss 35");
}

TEST(EvaluationTest, NobodyAnswersForALeaseThatItDoesNotHave) {
  Evaluation test = TestOf();
  std::vector<NodeId> others;
  const auto lease = test.Lease(kA, 2, kLater);
  EXPECT_FALSE(test.Finish(kB, lease, 1, 1, others));
  EXPECT_TRUE(test.Finish(kA, lease, 1, 1, others));
  EXPECT_FALSE(test.Finish(kA, lease, 1, 1, others)) << "a second time";
  EXPECT_EQ(ToString(test.sums()), "1/4 loss 1");
}

TEST(EvaluationTest, WhatALostNodeHadIsGrantedAgain) {
  Evaluation test = TestOf();
  std::vector<NodeId> others;
  const auto lost = test.Lease(kA, 4, kLater);
  test.Drop(kA);
  EXPECT_EQ(test.LeaseCount(kA), 0);
  EXPECT_FALSE(test.Finish(kA, lost, 9, 7, others)) << "of a life that is over";
  EXPECT_EQ(test.Lease(kB, 4, kLater), lost);
}

TEST(EvaluationTest, ASlowNodesLeaseIsGrantedOnceMoreAndCountsOnce) {
  Evaluation test = TestOf();
  std::vector<NodeId> others;
  const auto slow = test.Lease(kA, 4, kLater);
  EXPECT_TRUE(test.LeaseAgain(kB, kStart, kLater).empty()) << "its patience is not over";
  EXPECT_TRUE(test.LeaseAgain(kA, kLater, kLater).empty()) << "it has it already";
  EXPECT_EQ(test.LeaseAgain(kB, kLater, kLast), slow);
  EXPECT_TRUE(test.LeaseAgain(kC, kLater, kLast).empty()) << "two have it, and the patience with one is not over";
  EXPECT_TRUE(test.Finish(kB, slow, 7, 5, others));
  EXPECT_EQ(others, std::vector{kA}) << "to be told";
  EXPECT_TRUE(test.Finish(kA, slow, 7, 5, others)) << "it was too late to tell it";
  EXPECT_TRUE(others.empty());
  EXPECT_EQ(ToString(test.sums()), "5/7 loss 7");
}

TEST(EvaluationTest, WhereTwoStandStillAThirdGetsTheirLeaseAndItCountsOnce) {
  Evaluation test = TestOf();
  std::vector<NodeId> others;
  const auto slow = test.Lease(kA, 4, kStart);
  ASSERT_EQ(test.LeaseAgain(kB, kStart, kLater), slow);
  EXPECT_TRUE(test.LeaseAgain(kA, kLast, kLast).empty()) << "it has it already";
  EXPECT_EQ(test.LeaseAgain(kC, kLater, kLast), slow);
  EXPECT_TRUE(test.Finish(kA, slow, 7, 5, others));
  EXPECT_EQ(others, (std::vector{kB, kC}));
  EXPECT_TRUE(test.LeaseAgain(kA, kLast, kLast).empty()) << "it is counted";
  for (const NodeId late : {kC, kB}) {
    EXPECT_TRUE(test.Finish(late, slow, 9, 1, others));
    EXPECT_TRUE(others.empty());
  }
  EXPECT_TRUE(test.finished());
  EXPECT_EQ(ToString(test.sums()), "5/7 loss 7");
}

TEST(EvaluationTest, WhatOneOfTwoGivesBackTheOtherStillHas) {
  Evaluation test = TestOf();
  const auto lease = test.Lease(kA, 4, kStart);
  ASSERT_EQ(test.LeaseAgain(kB, kLater, kLater), lease);
  EXPECT_TRUE(test.GiveUp(kB, lease));
  EXPECT_TRUE(test.Lease(kB, 4, kLater).empty());
  EXPECT_TRUE(test.GiveUp(kA, lease));
  EXPECT_EQ(test.Lease(kB, 4, kLater), lease);
}

TEST(EvaluationTest, WhatTheNewestOfThreeGivesBackMayBeGrantedAgain) {
  Evaluation test = TestOf();
  const auto lease = test.Lease(kA, 4, kStart);
  ASSERT_EQ(test.LeaseAgain(kB, kStart, kStart), lease);
  ASSERT_EQ(test.LeaseAgain(kC, kStart, kLast), lease);
  EXPECT_TRUE(test.GiveUp(kA, lease)) << "the oldest";
  EXPECT_TRUE(test.LeaseAgain(kA, kLater, kLast).empty()) << "the newest has time";
  test.Drop(kC);
  EXPECT_EQ(test.LeaseAgain(kC, kLater, kLast), lease);
  test.DropAll();
  EXPECT_EQ(test.Lease(kA, 4, kLater), lease);
}

TEST(EvaluationTest, ANodeGetsWhatItTestedTheLastTime) {
  Evaluation test = TestOf({kA, kB, kManager, kB});
  EXPECT_EQ(ToString(test.Lease(kB, 1, kLater)), "1 ");
  EXPECT_EQ(ToString(test.Lease(kB, 4, kLater)), "3 ");
  EXPECT_EQ(ToString(test.Lease(kB, 4, kLater)), "2 ") << "then what nobody has";
  EXPECT_EQ(ToString(test.Lease(kB, 4, kLater)), "0 ") << "then what others have";
}

}  // namespace
}  // namespace eddl::net
