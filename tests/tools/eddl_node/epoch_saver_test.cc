#include "tools/eddl_node/epoch_saver.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "runtime/nn/model.h"
#include "tests/runtime/data/files.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl {
namespace {

void SetFileSizeLimit(rlim_t bytes) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

class EpochSaverTest : public ::testing::Test {
 protected:
  EpochSaverTest() {
    std::signal(SIGXFSZ, SIG_IGN);
    auto log = MetricsLog::Open(metrics_path_, 0);
    EXPECT_TRUE(log.ok()) << log.status();
    metrics_ = std::make_unique<MetricsLog>(*std::move(log));
    saver_ = std::make_unique<EpochSaver>(*metrics_, best_path_, [this](const std::string& text) {
      said_.push_back(text.empty() ? "goes again" : text.substr(0, text.find(':')));
    });
  }

  // An epoch after which all parameters are its number.
  bool Add(int64_t epoch, double test_accuracy) {
    const ModelInput input = {.sample_shape = {3}, .class_count = 2};
    const auto model = Model::Create({.name = "mlp", .widths = {2}}, input);
    const auto total = static_cast<size_t>(model->layout().total());
    return saver_->Add({.epoch = epoch,
                        .test_loss = 1.0,
                        .test_accuracy = test_accuracy,
                        .state = {.epoch = epoch, .step = 10 * epoch}},
                       {.model = model->spec(),
                        .input = input,
                        .data = {.name = "data", .sample_shape = {3}, .class_count = 2},
                        .parameters = std::vector<float>(total, static_cast<float>(epoch))});
  }
  // The epochs in the file: "1 2 3"; "damaged" if a line is not whole.
  std::string Lines() const {
    std::ifstream file(metrics_path_);
    std::string epochs;
    for (std::string line; std::getline(file, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object()) return "damaged";
      epochs += (epochs.empty() ? "" : " ") + json["epoch"].dump();
    }
    return epochs;
  }
  // The epoch whose model is the best on disk; 0: none is.
  int BestOnDisk() const {
    const auto best = LoadCheckpoint(best_path_);
    return best.ok() ? static_cast<int>(best->parameters.at(0)) : 0;
  }

  TempDir folder_;
  const std::string metrics_path_ = folder_.Path("metrics.jsonl");
  const std::string best_path_ = folder_.Path("sub") + "/best.safetensors";  // there is no such folder yet
  std::unique_ptr<MetricsLog> metrics_;
  std::unique_ptr<EpochSaver> saver_;
  std::vector<std::string> said_;
};

TEST_F(EpochSaverTest, WhatCanNotBeSavedIsSaidAtOnceAndSavedLater) {
  EXPECT_TRUE(Add(1, 0.5));
  EXPECT_TRUE(Add(2, 0.7));
  EXPECT_FALSE(Add(3, 0.6));
  EXPECT_EQ(said_, std::vector<std::string>{"can't save what came of epoch 1"});
  EXPECT_EQ(Lines(), "");
  EXPECT_EQ(saver_->best_test_accuracy(), 0.7);
  const absl::Status missing = saver_->Finish();
  EXPECT_EQ(ExitCodeOf(missing), ExitCode::kSave);
  EXPECT_EQ(MessageOf(missing).substr(0, 61), "metrics.jsonl lacks 3 epochs, and the best model is not saved");

  std::filesystem::create_directory(folder_.Path("sub"));
  EXPECT_FALSE(Add(4, 0.1));
  EXPECT_EQ(said_.back(), "goes again");
  EXPECT_EQ(Lines(), "1 2 3 4");
  EXPECT_EQ(BestOnDisk(), 2);
  EXPECT_TRUE(saver_->Finish().ok());
  EXPECT_EQ(Lines(), "1 2 3 4");
}

// A limit on the size of files stands for a full disk: half of a line fits.
TEST_F(EpochSaverTest, EachEpochIsInTheFileOnceWhateverFitted) {
  std::filesystem::create_directory(folder_.Path("sub"));
  EXPECT_TRUE(Add(1, 0.5));
  SetFileSizeLimit(std::filesystem::file_size(metrics_path_) + 20);
  EXPECT_FALSE(Add(2, 0.4));
  EXPECT_FALSE(Add(3, 0.3));
  EXPECT_EQ(Lines(), "1");
  EXPECT_EQ(metrics_->last_epoch()->epoch, 1) << "which is what a manager that starts again goes on from";
  SetFileSizeLimit(RLIM_INFINITY);
  EXPECT_TRUE(saver_->Finish().ok());
  EXPECT_EQ(Lines(), "1 2 3");
  EXPECT_EQ(BestOnDisk(), 1);
  EXPECT_EQ(saver_->last_epoch()->epoch, 3);
}

}  // namespace
}  // namespace eddl
