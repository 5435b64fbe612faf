// Run folders, metrics, and what makes a run the same run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/metrics_log.h"
#include "tools/eddl_node/resume.h"
#include "tools/eddl_node/run_folder.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;

class RunFilesTest : public ::testing::Test {
 protected:
  RunFilesTest() { std::filesystem::remove_all(dir_); }
  ~RunFilesTest() override { std::filesystem::remove_all(dir_); }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  const std::string dir_ = ::testing::TempDir() + "run_files_" + std::to_string(getpid());
};

EpochReport Epoch(int64_t epoch, int64_t step, double accuracy) {
  return {.epoch = epoch,
          .train_loss = 1.0,
          .train_accuracy = 0.5,
          .test_loss = 1.0,
          .test_accuracy = accuracy,
          .state = {.epoch = epoch, .step = step, .samples = 10 * step}};
}

TEST_F(RunFilesTest, AnEarlierRunIsSetAsideUnderAFreeNumber) {
  auto folder = RunFolder::Open(dir_ + "/a/b");
  ASSERT_TRUE(folder.ok()) << MessageOf(folder.status());
  EXPECT_FALSE(folder->has_run());
  for (const char* const number : {"1", "2"}) {
    Write(folder->model_path(), number);
    Write(folder->File("notes.txt"), "mine");
    EXPECT_TRUE(folder->has_run());
    const auto previous = folder->SetAside();
    ASSERT_TRUE(previous.ok()) << MessageOf(previous.status());
    EXPECT_EQ(*previous, folder->path() + "/previous-" + number);
    EXPECT_EQ(Read(*previous + "/model.safetensors"), number);
    EXPECT_FALSE(folder->has_run());
    EXPECT_EQ(Read(folder->File("notes.txt")), "mine");
  }
}

TEST_F(RunFilesTest, ClearRemovesTheRunAndNothingElse) {
  auto folder = RunFolder::Open(dir_);
  ASSERT_TRUE(folder.ok());
  Write(folder->checkpoint_path(), "x");
  Write(folder->File("notes.txt"), "mine");
  EXPECT_TRUE(folder->has_checkpoint());
  EXPECT_TRUE(folder->Clear().ok());
  EXPECT_FALSE(folder->has_run());
  EXPECT_EQ(Read(folder->File("notes.txt")), "mine");
}

TEST_F(RunFilesTest, AFolderHasOneTrainerAtATime) {
  auto folder = RunFolder::Open(dir_);
  ASSERT_TRUE(folder.ok());
  const auto second = RunFolder::Open(dir_);
  EXPECT_THAT(MessageOf(second.status()), HasSubstr("another eddl-node is training in the run folder " + dir_));
  EXPECT_EQ(ExitCodeOf(second.status()), ExitCode::kSave);
}

TEST_F(RunFilesTest, AFileInThePlaceOfAFolderIsRefused) {
  Write(dir_, "a file");
  const auto folder = RunFolder::Open(dir_);
  EXPECT_THAT(MessageOf(folder.status()), HasSubstr("can't make the run folder " + dir_));
  EXPECT_THAT(MessageOf(folder.status()), HasSubstr("--set run.dir="));
}

TEST_F(RunFilesTest, JobAndRecordReadBack) {
  auto folder = RunFolder::Open(dir_);
  ASSERT_TRUE(folder.ok());
  JobConfig job;
  job.train.batch = 77;
  job.data.path = "some/data.csv";
  ASSERT_TRUE(folder->WriteJob(job).ok());
  const auto again = folder->ReadJob();
  ASSERT_TRUE(again.ok()) << MessageOf(again.status());
  EXPECT_EQ(again->train.batch, 77);
  EXPECT_EQ(again->data.path, (std::filesystem::current_path() / "some/data.csv").string());

  const RunRecord record = {.status = "stopped", .device = "cpu:0", .threads = 2, .data = {8, 2, "00ff"}};
  ASSERT_TRUE(folder->WriteRecord(record).ok());
  const auto read = folder->ReadRecord();
  ASSERT_TRUE(read.ok()) << MessageOf(read.status());
  EXPECT_EQ(read->status + " " + read->device + " " + std::to_string(read->threads), "stopped cpu:0 2");
  EXPECT_EQ(read->data, record.data);
}

TEST_F(RunFilesTest, ADamagedRecordIsAMismatch) {
  auto folder = RunFolder::Open(dir_);
  ASSERT_TRUE(folder.ok());
  EXPECT_EQ(ExitCodeOf(folder->ReadRecord().status()), ExitCode::kMismatch);
  Write(folder->File("run.json"), "{\"status\": 3, \"data\": []}");
  EXPECT_EQ(ExitCodeOf(folder->ReadRecord().status()), ExitCode::kMismatch);
}

TEST_F(RunFilesTest, MetricsOfAResumedRunRepeatNoStep) {
  std::filesystem::create_directories(dir_);
  const std::string path = dir_ + "/metrics.jsonl";
  {
    auto log = MetricsLog::Open(path, 0);
    ASSERT_TRUE(log.ok()) << MessageOf(log.status());
    ASSERT_TRUE(log->Write(StepReport{.state = {.step = 5, .samples = 50}, .loss = 0.5}).ok());
    ASSERT_TRUE(log->Write(Epoch(1, 10, 0.8)).ok());
    ASSERT_TRUE(log->Write(Epoch(2, 20, 0.9)).ok());
    EXPECT_EQ(log->best_test_accuracy(), 0.9);
  }
  // A line that a crash cut short.
  std::ofstream(path, std::ios::app) << "{\"kind\":\"ep";
  auto log = MetricsLog::Open(path, 10);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(log->best_test_accuracy(), 0.8);
  ASSERT_TRUE(log->last_epoch().has_value());
  EXPECT_EQ(log->last_epoch()->epoch, 1);
  ASSERT_TRUE(log->Write(Epoch(2, 20, 0.7)).ok());
  EXPECT_EQ(
      Read(path),
      "{\"kind\":\"step\",\"step\":5,\"epoch\":1,\"samples\":50,\"loss\":0.5,\"learning_rate\":0.0,\"seconds\":0.0}\n"
      "{\"kind\":\"epoch\",\"step\":10,\"epoch\":1,\"samples\":100,\"train_loss\":1.0,\"train_accuracy\":0.5,"
      "\"test_loss\":1.0,\"test_accuracy\":0.8,\"seconds\":0.0}\n"
      "{\"kind\":\"epoch\",\"step\":20,\"epoch\":2,\"samples\":200,\"train_loss\":1.0,\"train_accuracy\":0.5,"
      "\"test_loss\":1.0,\"test_accuracy\":0.7,\"seconds\":0.0}\n");
}

TEST(CheckSameJobTest, NamesTheFirstKeyThatDiffersWithBothValues) {
  JobConfig before;
  JobConfig now;
  now.train.batch = 64;
  now.train.optimizer = "adam";
  const absl::Status status = CheckSameJob(before, now, "runs/x");
  EXPECT_EQ(
      MessageOf(status),
      "the run in runs/x has train.batch = 128, and this job has 64; resume with the same value, or start anew in "
      "another folder (--set run.dir=...)");
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMismatch);
}

TEST(CheckSameJobTest, MoreEpochsAnotherDeviceAndMovedDataAreTheSameJob) {
  JobConfig before;
  JobConfig now;
  now.train.epochs = 99;
  now.device.threads = 1;
  now.data.path = "elsewhere.csv";
  now.run.dir = "moved";
  EXPECT_TRUE(CheckSameJob(before, now, "runs/x").ok());
}

TEST(CheckSameDataTest, TellsOtherCountsFromOtherLabels) {
  const DataFingerprint before = {.train_samples = 8, .test_samples = 2, .labels_hash = "aa"};
  DataFingerprint now = before;
  EXPECT_TRUE(CheckSameData(before, now, "runs/x").ok());
  now.labels_hash = "bb";
  EXPECT_THAT(MessageOf(CheckSameData(before, now, "runs/x")), HasSubstr("other data: the labels differ"));
  now.train_samples = 9;
  EXPECT_THAT(MessageOf(CheckSameData(before, now, "runs/x")),
              HasSubstr("8 samples and 2 for testing, now 9 samples and 2 for testing"));
}

TEST(CheckSameDataTest, TellsOtherRowsUnderTheSameLabels) {
  EXPECT_TRUE(CheckSameRows("8-4-aa test-2-4-bb", "8-4-aa test-2-4-bb", "runs/x").ok());
  const absl::Status other = CheckSameRows("8-4-aa test-2-4-bb", "8-4-ab test-2-4-bb", "runs/x");
  EXPECT_EQ(ExitCodeOf(other), ExitCode::kMismatch);
  EXPECT_THAT(MessageOf(other), HasSubstr("the samples themselves differ; restore the data files"));
}

}  // namespace
}  // namespace eddl
