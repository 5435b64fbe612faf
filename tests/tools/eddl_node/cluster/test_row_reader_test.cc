#include "tools/eddl_node/cluster/test_row_reader.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/base/status.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tests/tools/eddl_node/cluster/source_by_hand.h"

namespace eddl::cluster {
namespace {

class TestRowReaderTest : public testing::Test {
 protected:
  static net::Grant Lease(uint64_t base, uint64_t mb) {
    return {.round = net::Version{base},
            .base = net::Version{base},
            .part = net::kTestPart,
            .micro_batches = {net::MicroBatch{mb}},
            .kind = net::LeaseKind::kEvaluate};
  }
  // The lease that the next word is of: "base/micro-batch".
  std::string Next() {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &TestRowReaderTest::IsTold));
    const net::TestRows rows = told_.front();
    told_.pop_front();
    EXPECT_TRUE(rows.here);
    return std::to_string(ToInt(rows.base)) + "/" + std::to_string(ToInt(rows.micro_batches.at(0)));
  }
  bool IsTold() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !told_.empty(); }

  const test::Problem problem_ = test::FeatureProblem(80);
  test::SourceByHand source_{problem_.data};
  absl::Mutex mutex_;
  std::deque<net::TestRows> told_ ABSL_GUARDED_BY(mutex_);
  // 40 leases of two samples.
  TestRowReader reader_{source_, {.sample_count = 80, .micro_batch_size = 2}, [this](const net::TestRows& rows) {
                          const absl::MutexLock lock(&mutex_);
                          told_.push_back(rows);
                        }};
};

TEST_F(TestRowReaderTest, RowsAreThereOnceForEachLeaseInTheOrderOfAsking) {
  source_.Open();
  reader_.Read(Lease(3, 1));
  reader_.Read(Lease(3, 0));
  EXPECT_EQ(Next(), "3/1");
  EXPECT_EQ(Next(), "3/0");
  const auto rows = reader_.Take(Lease(3, 1));
  ASSERT_NE(rows, nullptr);
  EXPECT_EQ(rows->labels, (std::vector<int32_t>{problem_.data.Label(2), problem_.data.Label(3)}));
  ASSERT_EQ(rows->rows.size(), 2 * problem_.data.Row(2).size());
  EXPECT_TRUE(std::equal(problem_.data.Row(3).begin(), problem_.data.Row(3).end(),
                         rows->rows.begin() + static_cast<int64_t>(rows->rows.size() / 2)));
  EXPECT_EQ(reader_.Take(Lease(3, 1)), nullptr) << "it was taken";
  EXPECT_EQ(reader_.Take(Lease(4, 0)), nullptr) << "of another version";
  EXPECT_NE(reader_.Take(Lease(3, 0)), nullptr);
}

TEST_F(TestRowReaderTest, WhatIsDroppedIsAnsweredAndHoldsUpNobody) {
  for (uint64_t mb = 0; mb < 3; ++mb) reader_.Read(Lease(3, mb));
  reader_.Read(Lease(4, 0));
  source_.AwaitRead();
  reader_.Drop(net::Version{3}, {net::MicroBatch{0}});
  EXPECT_EQ(Next(), "3/0");
  reader_.Drop(net::Version{3});
  EXPECT_EQ(Next(), "3/1");
  EXPECT_EQ(Next(), "3/2");
  source_.Open();
  EXPECT_EQ(Next(), "4/0");
  EXPECT_EQ(reader_.Take(Lease(3, 2)), nullptr);
  EXPECT_NE(reader_.Take(Lease(4, 0)), nullptr);
}

TEST_F(TestRowReaderTest, WhatIsClearedIsNotAnswered) {
  reader_.Read(Lease(3, 0));
  reader_.Read(Lease(3, 1));
  source_.AwaitRead();
  reader_.Clear();
  reader_.Read(Lease(3, 2));
  source_.Open();
  EXPECT_EQ(Next(), "3/2");
  EXPECT_EQ(reader_.Take(Lease(3, 0)), nullptr);
}

// Whoever computes the lease reads them once more, and is told why they can't be read.
TEST_F(TestRowReaderTest, RowsThatCantBeReadAreNoReasonToWait) {
  source_.Open(DataLoss("gone"));
  reader_.Read(Lease(3, 0));
  EXPECT_EQ(Next(), "3/0");
  EXPECT_EQ(reader_.Take(Lease(3, 0)), nullptr);
}

TEST_F(TestRowReaderTest, OldRowsThatNobodyTakesGiveWay) {
  source_.Open();
  for (uint64_t mb = 0; mb <= TestRowReader::kLeasesKept; ++mb) {
    reader_.Read(Lease(3, mb));
    Next();
  }
  EXPECT_EQ(reader_.Take(Lease(3, 0)), nullptr);
  EXPECT_NE(reader_.Take(Lease(3, 1)), nullptr);
  EXPECT_NE(reader_.Take(Lease(3, TestRowReader::kLeasesKept)), nullptr);
}

}  // namespace
}  // namespace eddl::cluster
