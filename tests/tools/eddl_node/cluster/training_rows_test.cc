#include "tools/eddl_node/cluster/training_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/synchronization/notification.h"
#include "runtime/base/status.h"
#include "runtime/data/row_store.h"
#include "tools/eddl_node/cluster/block_samples.h"

namespace eddl::cluster {
namespace {

constexpr int64_t kBaseRows = 5;

std::vector<std::byte> BytesOf(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// Row r is {r, -r}, with label r mod 3.
std::vector<float> ValuesOf(int64_t begin, int64_t end) {
  std::vector<float> values;
  for (int64_t row = begin; row < end; ++row) {
    values.push_back(static_cast<float>(row));
    values.push_back(-static_cast<float>(row));
  }
  return values;
}

std::vector<int32_t> LabelsOf(int64_t begin, int64_t end) {
  std::vector<int32_t> labels;
  for (int64_t row = begin; row < end; ++row) labels.push_back(static_cast<int32_t>(row % 3));
  return labels;
}

Dataset MakeBase() {
  DatasetInfo info = {.name = "base", .sample_shape = {2}, .dtype = DType::kF32, .class_count = 3};
  const std::vector<std::byte> values = BytesOf(ValuesOf(0, kBaseRows));
  HostBytes bytes;
  EXPECT_TRUE(bytes.Resize(static_cast<int64_t>(values.size())).ok());
  std::copy(values.begin(), values.end(), bytes.span().begin());
  return {std::move(info), std::make_shared<RowStore>(std::move(bytes), 2 * sizeof(float), 0.0),
          LabelsOf(0, kBaseRows)};
}

class TrainingRowsTest : public testing::Test {
 protected:
  TrainingRowsTest() {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(Open({}).ok());
  }
  ~TrainingRowsTest() override { std::filesystem::remove_all(folder_); }

  absl::Status Open(const std::vector<net::DataBlock>& blocks, int64_t bytes_max = kContributedBytesMax) {
    rows_.reset();
    auto rows = TrainingRows::Open(base_, kBaseRows, folder_, blocks, bytes_max);
    if (rows.ok()) rows_ = *std::move(rows);
    return rows.status();
  }
  // Rows [begin, end) come, as a block.
  net::DataBlock Contribute(int64_t begin, int64_t end) {
    const auto contribution = *rows_->Begin();
    const std::vector<std::byte> bytes = BytesOf(ValuesOf(begin, end));
    EXPECT_EQ(MessageOf(contribution->Add(bytes, LabelsOf(begin, end))), "");
    EXPECT_EQ(MessageOf(rows_->Finish(*contribution)), "");
    const net::DataBlock block = {.first_row = begin, .row_count = end - begin, .hash = contribution->hash()};
    EXPECT_EQ(MessageOf(rows_->Keep(*contribution, block)), "");
    return block;
  }
  // What is said of these entries.
  std::string Refusal(const std::vector<float>& values, const std::vector<int32_t>& labels) {
    const auto contribution = *rows_->Begin();
    return MessageOf(contribution->Add(BytesOf(values), labels));
  }
  std::string ReadAll(const std::vector<int64_t>& samples) {
    std::vector<std::byte> bytes;
    std::vector<int32_t> labels;
    const absl::Status status = TrainingRowsSource(*rows_).Read(samples, bytes, labels, [] { return false; });
    if (!status.ok()) return MessageOf(status);
    std::string text;
    for (size_t i = 0; i < labels.size(); ++i) {
      float value = 0;
      std::memcpy(&value, bytes.data() + i * 2 * sizeof(float), sizeof(value));
      text += std::to_string(static_cast<int>(value)) + ":" + std::to_string(labels[i]) + " ";
    }
    return text;
  }
  size_t FileCount() const {
    if (!std::filesystem::exists(folder_)) return 0;
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  const std::string folder_ = testing::TempDir() + "/training_rows_test";
  const Dataset base_ = MakeBase();
  std::unique_ptr<TrainingRows> rows_;
};

TEST_F(TrainingRowsTest, WhatWasContributedIsReadLikeTheRestAlsoAfterARestart) {
  const std::vector<net::DataBlock> blocks = {Contribute(5, 9), Contribute(9, 10)};
  EXPECT_EQ(ReadAll({9, 0, 5, 8, 4}), "9:0 0:0 5:2 8:2 4:1 ");
  EXPECT_EQ(ReadAll({10}), "there is no sample 10");
  EXPECT_EQ(ReadAll({-1}), "there is no sample -1");
  ASSERT_TRUE(Open(blocks).ok());
  EXPECT_EQ(ReadAll({9, 0, 5, 8, 4}), "9:0 0:0 5:2 8:2 4:1 ");
}

TEST_F(TrainingRowsTest, WhatIsNotKeptLeavesNothing) {
  {
    const auto contribution = *rows_->Begin();
    ASSERT_TRUE(contribution->Add(BytesOf(ValuesOf(5, 6)), LabelsOf(5, 6)).ok());
    EXPECT_EQ(FileCount(), 1u);
  }
  EXPECT_EQ(FileCount(), 0u);
  EXPECT_EQ(ReadAll({5}), "there is no sample 5");
  std::ofstream(folder_ + "/incoming-7") << "of a manager that was killed";
  ASSERT_TRUE(Open({}).ok());
  EXPECT_EQ(FileCount(), 0u);
}

// A manager that was killed after the file was whole, and before its journal said so; and one of the same content,
// twice.
TEST_F(TrainingRowsTest, AFileThatTheJournalDoesNotHaveIsNoPartOfTheJob) {
  const net::DataBlock block = Contribute(5, 9);
  {
    const auto again = *rows_->Begin();
    ASSERT_TRUE(again->Add(BytesOf(ValuesOf(5, 9)), LabelsOf(5, 9)).ok());
    ASSERT_TRUE(rows_->Finish(*again).ok());
    EXPECT_EQ(FileCount(), 2u);
    ASSERT_TRUE(Open({block}).ok());
    EXPECT_EQ(FileCount(), 1u);
    const auto third = *rows_->Begin();
    ASSERT_TRUE(third->Add(BytesOf(ValuesOf(5, 9)), LabelsOf(5, 9)).ok());
    ASSERT_TRUE(rows_->Finish(*third).ok());
    EXPECT_EQ(FileCount(), 2u);
  }
  EXPECT_EQ(FileCount(), 1u) << "what was kept stays";
  EXPECT_EQ(ReadAll({5, 8}), "5:2 8:2 ");
  ASSERT_TRUE(Open({block}).ok());
  EXPECT_EQ(ReadAll({5, 8}), "5:2 8:2 ");
}

TEST_F(TrainingRowsTest, EntriesThatCanNotBeTrainedOnAreRefused) {
  EXPECT_EQ(Refusal({1, 2, 3}, {0}), "12 bytes for 1 entries, where each has 8");
  EXPECT_EQ(Refusal({1, 2}, {0, 1}), "8 bytes for 2 entries, where each has 8");
  EXPECT_EQ(Refusal({1, 2, 3, 4}, {0, 3}), "entry 2 has the label 3, where the job's are 0 to 2");
  EXPECT_EQ(Refusal({1, 2}, {-1}), "entry 1 has the label -1, where the job's are 0 to 2");
  EXPECT_EQ(Refusal({1, 2, 3, NAN}, {0, 0}), "entry 2 has a value that is not a finite number, at place 2");
  EXPECT_EQ(Refusal({INFINITY, 2}, {0}), "entry 1 has a value that is not a finite number, at place 1");
  EXPECT_EQ(Refusal({}, {}), "");
}

TEST_F(TrainingRowsTest, AJobTakesSoManyBytesAndNoMore) {
  ASSERT_TRUE(Open({}, /*bytes_max=*/4 * 8).ok());
  EXPECT_NE(Refusal(ValuesOf(0, 5), LabelsOf(0, 5)).find("more than 32 bytes"), std::string::npos);
  Contribute(5, 8);
  EXPECT_NE(Refusal(ValuesOf(0, 2), LabelsOf(0, 2)).find("more than 8 bytes"), std::string::npos);
  Contribute(8, 9);
  EXPECT_EQ(MessageOf(rows_->Begin().status()), "this job has 32 bytes of contributed entries, and takes no more");
}

TEST_F(TrainingRowsTest, ADamagedFileIsSaidWithItsRows) {
  const net::DataBlock block = Contribute(5, 9);
  ASSERT_EQ(FileCount(), 1u);
  const std::string path = std::filesystem::directory_iterator(folder_)->path().string();
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(3).put('x');
  EXPECT_NE(MessageOf(Open({block})).find("rows 5 to 9: " + path), std::string::npos);
  std::filesystem::resize_file(path, 10);
  EXPECT_FALSE(Open({block}).ok());
  std::filesystem::remove(path);
  EXPECT_FALSE(Open({block}).ok());
}

// After a restart with other data, of the same count: the manager has refused them.
TEST_F(TrainingRowsTest, ADeviceReadsItsOwnBlockOnlyFromTheRowsThatItBrought) {
  const uint64_t hash = OwnRows(base_, base_.labels()).Hash();
  const net::DataBlock block = {.first_row = 40, .row_count = kBaseRows, .owner = net::NodeId{1}, .hash = hash};
  EXPECT_TRUE(OpenOwnBlock(block, base_, base_.labels(), hash).ok());
  const auto changed = OpenOwnBlock(block, base_, base_.labels(), hash ^ 1);
  EXPECT_EQ(changed.status().code(), absl::StatusCode::kFailedPrecondition);
  net::DataBlock larger = block;
  ++larger.row_count;
  const auto fewer = OpenOwnBlock(larger, base_, base_.labels(), hash);
  EXPECT_EQ(MessageOf(fewer.status()),
            "this device's 5 entries are not the 6 that it brought to the job before; use the same data as then");
}

// A source whose rows are one byte: ten times its number, plus the row's place in it.
class Numbered final : public SampleSource {
 public:
  explicit Numbered(int number) : number_(number) {}
  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>&) override {
    rows.clear();
    labels.clear();
    for (const int64_t sample : samples) {
      rows.push_back(static_cast<std::byte>(10 * number_ + static_cast<int>(sample)));
      labels.push_back(number_);
    }
    return absl::OkStatus();
  }
  void Prefetch(std::span<const int64_t>) override {}

 private:
  const int number_;
};

TEST(BlockSamplesTest, EveryRowComesFromItsBlocksSourceInTheOrderOfAsking) {
  Numbered base(0);
  int opened = 0;
  BlockSamples samples(base, 4, [&](const net::DataBlock& block) -> absl::StatusOr<std::unique_ptr<SampleSource>> {
    if (block.owner != net::kManager) return FailedPrecondition("not here");
    return std::make_unique<Numbered>(++opened);
  });
  const std::vector<net::DataBlock> blocks = {{.first_row = 4, .row_count = 3},
                                              {.first_row = 7, .row_count = 2, .owner = net::NodeId{5}},
                                              {.first_row = 9, .row_count = 1}};
  const auto read = [&](const std::vector<int64_t>& wanted) {
    std::vector<std::byte> rows;
    std::vector<int32_t> labels;
    const absl::Status status = samples.Read(wanted, rows, labels, [] { return false; });
    std::string text = MessageOf(status);
    for (size_t i = 0; status.ok() && i < wanted.size(); ++i) {
      text += std::to_string(static_cast<int>(rows[i])) + "/" + std::to_string(labels[i]) + " ";
    }
    return text;
  };
  EXPECT_EQ(read({4}), "there is no sample 4");
  samples.SetBlocks(std::span(blocks).first(1));
  EXPECT_EQ(read({3, 6, 0, 4}), "3/0 12/1 0/0 10/1 ");
  samples.SetBlocks(blocks);
  EXPECT_EQ(read({9, 5, 3}), "20/2 11/1 3/0 ");
  EXPECT_EQ(read({2, 7}), "not here");
  EXPECT_EQ(opened, 2) << "each once";
}

// Opening may have to look through a disk: whoever tells of blocks, or fetches ahead, does not wait for it.
TEST(BlockSamplesTest, OnlyWhoReadsWaitsUntilABlockIsOpen) {
  Numbered base(0);
  absl::Notification may_open;
  BlockSamples samples(base, 4, [&](const net::DataBlock&) -> absl::StatusOr<std::unique_ptr<SampleSource>> {
    may_open.WaitForNotification();
    return std::make_unique<Numbered>(1);
  });
  const std::vector<net::DataBlock> blocks = {{.first_row = 4, .row_count = 3}};
  const std::vector<int64_t> wanted = {3, 4};
  samples.SetBlocks(blocks);
  samples.Prefetch(wanted);
  std::vector<std::byte> rows;
  std::vector<int32_t> labels;
  EXPECT_TRUE(absl::IsCancelled(samples.Read(wanted, rows, labels, [] { return true; })));
  may_open.Notify();
  EXPECT_TRUE(samples.Read(wanted, rows, labels, [] { return false; }).ok());
  EXPECT_EQ(labels, (std::vector<int32_t>{0, 1}));
}

// The first block is open, the second is being opened, which takes for ever, and others are still to be opened.
TEST(BlockSamplesTest, ARowWaitsForItsOwnBlockOnlyWhichIsTheNextToBeOpened) {
  Numbered base(0);
  absl::Notification may_open, second_begun;
  std::vector<int64_t> order;  // of the opener's thread
  BlockSamples samples(base, 4, [&](const net::DataBlock& block) -> absl::StatusOr<std::unique_ptr<SampleSource>> {
    order.push_back(block.first_row);
    if (block.first_row == 5) {
      second_begun.Notify();
      may_open.WaitForNotification();
    }
    return std::make_unique<Numbered>(static_cast<int>(block.first_row));
  });
  std::vector<net::DataBlock> blocks;
  for (int64_t row = 4; row < 9; ++row) blocks.push_back({.first_row = row, .row_count = 1});
  samples.SetBlocks(blocks);
  second_begun.WaitForNotification();
  std::vector<std::byte> rows;
  std::vector<int32_t> labels;
  const auto read = [&](int64_t row, bool gives_up) {
    return samples.Read(std::span(&row, 1), rows, labels, [gives_up] { return gives_up; });
  };
  EXPECT_TRUE(read(3, true).ok()) << "in no block";
  EXPECT_TRUE(read(4, true).ok()) << "its block is open";
  EXPECT_TRUE(absl::IsCancelled(read(5, true)));
  EXPECT_TRUE(absl::IsCancelled(read(8, true)));
  may_open.Notify();
  EXPECT_TRUE(read(8, false).ok());
  EXPECT_TRUE(read(6, false).ok());
  EXPECT_TRUE(read(7, false).ok());
  EXPECT_EQ(order, (std::vector<int64_t>{4, 5, 8, 6, 7}));
}

}  // namespace
}  // namespace eddl::cluster
