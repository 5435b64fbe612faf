#include "tools/eddl_node/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "runtime/base/status.h"
#include "runtime/nn/model.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_keys.h"

namespace eddl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The message of a job that is refused; "accepted" for one that is not.
std::string ErrorOf(const std::string& text) {
  const auto job = ParseJob(text, "job.toml", "");
  return job.ok() ? "accepted" : MessageOf(job.status());
}

std::string OverrideErrorOf(const std::string& item) {
  JobConfig job;
  const absl::Status status = ApplyOverrides(job, std::vector<std::string>{item});
  return status.ok() ? "accepted" : MessageOf(status);
}

TEST(ParseJobTest, ReadsValuesOfEveryType) {
  const auto job = ParseJob(R"(
seed = 7
[data]
path = "apps.csv"
label_column = 0
[model]
widths = [256, 128]
freeze = ["conv", "fc1"]
[train]
learning_rate = 1
nesterov = true
[device]
threads = 2
)",
                            "job.toml", "");
  ASSERT_TRUE(job.ok()) << MessageOf(job.status());
  EXPECT_EQ(job->seed, 7);
  EXPECT_EQ(job->data.path, "apps.csv");
  EXPECT_EQ(job->data.label_column, "0");
  EXPECT_THAT(job->model.widths, ElementsAre(256, 128));
  EXPECT_THAT(job->model.freeze, ElementsAre("conv", "fc1"));
  EXPECT_EQ(job->train.learning_rate, 1.0);
  EXPECT_TRUE(job->train.nesterov);
  EXPECT_EQ(job->device.threads, 2);
}

TEST(ParseJobTest, AnEmptyJobIsAllDefaults) {
  const auto job = ParseJob("", "job.toml", "");
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(CommentedJob(*job), CommentedJob(JobConfig{}));
}

TEST(ParseJobTest, ResolvesDataPathsAgainstTheFolderOfTheFile) {
  const auto job = ParseJob("[data]\npath = \"../set/a.csv\"\ntest_path = \"/abs/b.csv\"\n[run]\ndir = \"runs/x\"",
                            "jobs/job.toml", "jobs");
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->data.path, "set/a.csv");
  EXPECT_EQ(job->data.test_path, "/abs/b.csv");
  EXPECT_EQ(job->run.dir, "runs/x");
}

TEST(ParseJobTest, NamesTheNearestKeyForAnUnknownOne) {
  EXPECT_EQ(ErrorOf("\n[train]\nepoch = 3"), "job.toml:3: unknown key 'train.epoch'; did you mean 'train.epochs'?");
  EXPECT_EQ(ErrorOf("batch = 3"), "job.toml:1: unknown key 'batch'; did you mean 'train.batch'?");
  EXPECT_EQ(ErrorOf("[trian]\nepochs = 3"), "job.toml:1: unknown key 'trian.epochs'; did you mean 'train.epochs'?");
  EXPECT_EQ(ErrorOf("[train]\npath = \"x\""), "job.toml:2: unknown key 'train.path'; did you mean 'data.path'?");
  EXPECT_EQ(ErrorOf("[data.generate]\nsample = 5"),
            "job.toml:2: unknown key 'data.generate.sample'; did you mean 'data.generate.samples'?");
}

TEST(ParseJobTest, SaysWhatWasExpectedAndWhatWasThere) {
  EXPECT_EQ(ErrorOf("[train]\nbatch = \"many\""),
            "job.toml:2: train.batch: expected integer from 1; got the text \"many\"");
  EXPECT_EQ(ErrorOf("[train]\nbatch = 0"), "job.toml:2: train.batch: expected integer from 1; got 0");
  EXPECT_EQ(ErrorOf("[train]\nmomentum = 1.0"), "job.toml:2: train.momentum: expected number from 0, below 1; got 1.0");
  EXPECT_EQ(ErrorOf("[train]\noptimizer = \"sdg\""),
            "job.toml:2: train.optimizer: expected one of sgd, adam, adamw; got the text \"sdg\"");
  EXPECT_EQ(ErrorOf("[train]\nlearning_rate = nan"),
            "job.toml:2: train.learning_rate: expected number from 0; got nan");
  EXPECT_EQ(ErrorOf("[device]\nthreads = \"all\""),
            "job.toml:2: device.threads: expected \"auto\" or integer from 1; got the text \"all\"");
  EXPECT_EQ(ErrorOf("[model]\nwidths = [8, \"x\"]"),
            "job.toml:2: model.widths: expected list of integers from 1; got a list with elements of different types");
  EXPECT_EQ(ErrorOf("[data]\npath = 2020-01-01"), "job.toml:2: data.path: expected text; got a date or time");
}

TEST(ParseJobTest, ReportsEveryProblemOfAFile) {
  EXPECT_EQ(ErrorOf("sed = 1\n[train]\nbatch = 0"),
            "job.toml:1: unknown key 'sed'; did you mean 'seed'?\n"
            "job.toml:3: train.batch: expected integer from 1; got 0");
}

TEST(ParseJobTest, NamesTheLineThatIsNotToml) {
  EXPECT_THAT(ErrorOf("seed = 1\nthis is no toml"), HasSubstr("job.toml:2: this is not TOML: "));
}

TEST(ParseJobTest, ProblemsHaveTheExitCodeOfUsage) {
  EXPECT_EQ(ExitCodeOf(ParseJob("x = 1", "job.toml", "").status()), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeOf(LoadJob("no/such/job.toml", {}).status()), ExitCode::kUsage);
}

TEST(ApplyOverridesTest, QuotesAndBracketsMayBeLeftOut) {
  JobConfig job;
  const std::vector<std::string> items = {"model.name=lenet5", "run.dir=2024",          "model.widths=512,256",
                                          "model.freeze=a,b",  "data.label_column=-2",  "train.learning_rate=1e-3",
                                          "device.threads=3",  "data.path=\"with = 1\""};
  ASSERT_TRUE(ApplyOverrides(job, items).ok());
  EXPECT_EQ(job.model.name, "lenet5");
  EXPECT_EQ(job.run.dir, "2024");
  EXPECT_THAT(job.model.widths, ElementsAre(512, 256));
  EXPECT_THAT(job.model.freeze, ElementsAre("a", "b"));
  EXPECT_EQ(job.data.label_column, "-2");
  EXPECT_EQ(job.train.learning_rate, 1e-3);
  EXPECT_EQ(job.device.threads, 3);
  EXPECT_EQ(job.data.path, "with = 1");
}

TEST(ApplyOverridesTest, SaysWhatIsWrong) {
  EXPECT_EQ(OverrideErrorOf("train.epochs"), "--set train.epochs: write it as key=value, such as train.epochs=3");
  EXPECT_EQ(OverrideErrorOf("train.epoch=3"),
            "--set train.epoch=3: unknown key 'train.epoch'; did you mean 'train.epochs'?");
  EXPECT_EQ(OverrideErrorOf("train.epochs=x"),
            "--set train.epochs=x: train.epochs: expected integer from 1; got the text \"x\"");
}

TEST(CommentedJobTest, EveryKeyIsThereAndReadsBack) {
  JobConfig job;
  job.seed = 12;
  job.run.dir = "with \"quotes\" and \\";
  job.model.freeze = {"conv"};
  const std::string text = CommentedJob(job);
  const auto again = ParseJob(text, "job.toml", "");
  ASSERT_TRUE(again.ok()) << MessageOf(again.status());
  EXPECT_EQ(CommentedJob(*again), text);
  for (const JobKey& key : JobKeys()) {
    const std::string last_word(key.name.substr(key.name.rfind('.') + 1));
    EXPECT_THAT(text, HasSubstr("\n" + last_word + " = ")) << key.name;
  }
}

TEST(JobKeysTest, NamesAreUniqueAndDocumented) {
  std::set<std::string_view> names;
  for (const JobKey& key : JobKeys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_FALSE(key.doc.empty()) << key.name;
  }
}

TEST(JobKeysTest, ModelChoicesAreTheZoo) {
  const JobKey& key = *FindJobKey("model.name");
  const std::vector<std::string> zoo = ModelNames();
  EXPECT_EQ(std::set<std::string>(key.choices.begin(), key.choices.end()),
            std::set<std::string>(zoo.begin(), zoo.end()));
}

TEST(JobKeysTest, DefaultsAreInRange) {
  JobConfig job;
  for (const JobKey& key : JobKeys()) {
    const std::vector<std::string> items = {std::string(key.name) + "=" + FormatJobValue(JobConfig{}, key)};
    EXPECT_TRUE(ApplyOverrides(job, items).ok()) << items[0];
  }
}

std::string FileContent(const std::string& path) {
  std::ifstream file(EDDL_SOURCE_DIR "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(DocumentsTest, TheReferenceOfKeysIsCurrent) {
  EXPECT_EQ(FileContent("docs/job-file.md"), JobReference()) << "write it anew: eddl-node job --format markdown";
}

TEST(DocumentsTest, TheTableOfExitCodesIsCurrent) {
  const std::string page = FileContent("docs/exit-codes.md");
  for (const ExitCodeMeaning& entry : ExitCodes()) {
    EXPECT_THAT(page, HasSubstr("| " + std::to_string(static_cast<int>(entry.code)) + " | `" + std::string(entry.name) +
                                "` | " + std::string(entry.meaning) + " |"));
  }
}

TEST(ExitCodeTest, TheFirstCodeStays) {
  const absl::Status data = WithExitCode(ExitCode::kData, DataLoss("x"));
  EXPECT_EQ(ExitCodeOf(WithExitCode(ExitCode::kDevice, data)), ExitCode::kData);
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(DataLoss("x")), ExitCode::kInternal);
}

}  // namespace
}  // namespace eddl
