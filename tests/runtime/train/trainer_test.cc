#include "runtime/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/data/open.h"
#include "tests/runtime/test_device.h"

namespace eddl {
namespace {

// A small generated problem and everything to train on it.
class TrainerTest : public testing::Test {
 protected:
  void SetUp() override {
    DataOptions options = {.format = "generate", .test_fraction = 0.25, .seed = 5};
    options.generate.samples = 400;
    options.generate.features = 40;
    options.generate.classes = 3;
    absl::StatusOr<DataSplit> data = OpenData(options);
    ASSERT_TRUE(data.ok()) << MessageOf(data.status());
    data_ = std::move(data).value();
  }

  static TrainOptions Options() {
    return {.seed = 9, .epochs = 3, .batch = 32, .schedule = {.learning_rate = 0.05}, .evaluate_batch = 64};
  }
  std::unique_ptr<Replica> MakeReplica() {
    const DatasetInfo& info = data_.info;
    const Model model =
        *Model::Create({.name = "mlp", .widths = {24}, .dropout = 0.2}, {.sample_shape = info.sample_shape,
                                                                         .dtype = info.dtype,
                                                                         .class_count = info.class_count,
                                                                         .scale = info.scale,
                                                                         .shift = info.shift});
    return *Replica::Create(model, *cpu_, nullptr, 9);
  }
  std::unique_ptr<Trainer> MakeTrainer(Replica& replica, const TrainOptions& options) {
    absl::StatusOr<std::unique_ptr<Trainer>> trainer = Trainer::Create(replica, data_.train, &data_.test, options);
    EXPECT_TRUE(trainer.ok()) << MessageOf(trainer.status());
    return std::move(trainer).value();
  }
  static std::string HashOf(Replica& replica) {
    std::vector<float> values(static_cast<size_t>(replica.layout().total()));
    EXPECT_TRUE(replica.ReadParameters(values).ok());
    return replica.layout().Hash(values);
  }
  std::string HashAfter(const TrainOptions& options) {
    const std::unique_ptr<Replica> replica = MakeReplica();
    EXPECT_EQ(*MakeTrainer(*replica, options)->Run({}, never_), TrainEnd::kFinished);
    return HashOf(*replica);
  }

  const std::unique_ptr<Device> cpu_ = test::OpenCpu();
  const std::atomic<bool> never_{false};
  DataSplit data_;
};

TEST_F(TrainerTest, LearnsAndReportsEveryEpoch) {
  const std::unique_ptr<Replica> replica = MakeReplica();
  std::vector<EpochReport> epochs;
  int64_t steps = 0;
  const TrainObserver observer = {.on_step = [&](const StepReport&) { ++steps; },
                                  .on_epoch = [&](const EpochReport& report) { epochs.push_back(report); }};
  const std::unique_ptr<Trainer> trainer = MakeTrainer(*replica, Options());
  ASSERT_EQ(*trainer->Run(observer, never_), TrainEnd::kFinished);
  ASSERT_EQ(epochs.size(), 3u);
  EXPECT_EQ(steps, 3 * 10);  // 300 samples in batches of 32, the last one of 12
  EXPECT_EQ(trainer->state().samples, 900);
  EXPECT_LT(epochs[2].train_loss, epochs[0].train_loss);
  EXPECT_TRUE(epochs[2].test_accuracy.has_value());
}

TEST_F(TrainerTest, TheSameJobGivesTheSameParameters) {
  const std::string hash = HashAfter(Options());
  EXPECT_EQ(HashAfter(Options()), hash);
  TrainOptions other = Options();
  other.seed = 10;
  EXPECT_NE(HashAfter(other), hash);
}

// Stopped in the middle of the second epoch, and gone on with in another process, as it were.
TEST_F(TrainerTest, AResumedRunEndsWithTheBitsOfAnUninterruptedOne) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    TrainOptions options = Options();
    options.optimizer.kind = kind;
    options.schedule = {
        .kind = ScheduleKind::kCosine, .learning_rate = 0.01, .warmup_samples = 100, .total_samples = 900};
    const std::string expected = HashAfter(options);

    const std::unique_ptr<Replica> first = MakeReplica();
    const std::unique_ptr<Trainer> stopped = MakeTrainer(*first, options);
    std::atomic<bool> stop{false};
    TrainState saved;
    const TrainObserver observer = {.on_step = [&](const StepReport& report) { stop = report.state.step == 14; },
                                    .on_checkpoint =
                                        [&](const TrainState& state) {
                                          saved = state;
                                          return absl::OkStatus();
                                        }};
    ASSERT_EQ(*stopped->Run(observer, stop), TrainEnd::kStopped);
    ASSERT_EQ(saved.step, 14);
    ASSERT_EQ(saved.epoch, 1);
    ASSERT_EQ(saved.position, 4 * 32);

    const std::unique_ptr<Replica> second = MakeReplica();
    const std::unique_ptr<Trainer> resumed = MakeTrainer(*second, options);
    std::vector<float> parameters(static_cast<size_t>(first->layout().total()));
    ASSERT_TRUE(first->ReadParameters(parameters).ok());
    ASSERT_TRUE(second->WriteParameters(parameters).ok());
    for (size_t i = 0; i < stopped->shard().StateNames().size(); ++i) {
      std::vector<float> state(static_cast<size_t>(stopped->shard().state_size()));
      ASSERT_TRUE(stopped->shard().ReadState(i, state).ok());
      ASSERT_TRUE(resumed->shard().WriteState(i, state).ok());
    }
    resumed->set_state(saved);
    ASSERT_EQ(*resumed->Run({}, never_), TrainEnd::kFinished);
    EXPECT_EQ(HashOf(*second), expected) << NameOf(kind);
  }
}

TEST_F(TrainerTest, MicroBatchesTrainLikeWholeOnes) {
  const std::unique_ptr<Replica> whole = MakeReplica();
  const std::unique_ptr<Replica> parts = MakeReplica();
  TrainOptions options = Options();
  ASSERT_TRUE(MakeTrainer(*whole, options)->Run({}, never_).ok());
  options.micro_batch = 10;
  ASSERT_TRUE(MakeTrainer(*parts, options)->Run({}, never_).ok());
  std::vector<float> a(static_cast<size_t>(whole->layout().total()));
  std::vector<float> b(a.size());
  ASSERT_TRUE(whole->ReadParameters(a).ok());
  ASSERT_TRUE(parts->ReadParameters(b).ok());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4) << i;
}

TEST_F(TrainerTest, ClippingBoundsTheStep) {
  const std::unique_ptr<Replica> replica = MakeReplica();
  std::vector<float> before(static_cast<size_t>(replica->layout().total()));
  ASSERT_TRUE(replica->ReadParameters(before).ok());
  TrainOptions options = Options();
  options.epochs = 1;
  options.batch = 300;
  options.optimizer.momentum = 0.0;
  options.clip_norm = 0.01;
  double norm = 0.0;
  const TrainObserver observer = {.on_step = [&](const StepReport& report) { norm = report.gradient_norm; }};
  ASSERT_TRUE(MakeTrainer(*replica, options)->Run(observer, never_).ok());
  EXPECT_GT(norm, 0.01);
  std::vector<float> after(before.size());
  ASSERT_TRUE(replica->ReadParameters(after).ok());
  double moved = 0.0;
  for (size_t i = 0; i < before.size(); ++i) moved += std::pow(after[i] - before[i], 2.0);
  EXPECT_NEAR(std::sqrt(moved), 0.05 * 0.01, 1e-6);
}

TEST_F(TrainerTest, ADivergedRunStopsNamesTheStepAndLeavesFiniteParameters) {
  const std::unique_ptr<Replica> replica = MakeReplica();
  TrainOptions options = Options();
  options.schedule.learning_rate = 1e25;
  const absl::Status status = MakeTrainer(*replica, options)->Run({}, never_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(status).find("training diverged: the loss is"), std::string::npos) << MessageOf(status);
  EXPECT_NE(MessageOf(status).find("(epoch 1"), std::string::npos) << MessageOf(status);
}

TEST_F(TrainerTest, RefusesWhatCannotBeTrained) {
  const std::unique_ptr<Replica> replica = MakeReplica();
  const auto error = [&](const TrainOptions& options) {
    return MessageOf(Trainer::Create(*replica, data_.train, nullptr, options).status());
  };
  TrainOptions options = Options();
  options.batch = 301;
  EXPECT_NE(error(options).find("301"), std::string::npos) << error(options);
  EXPECT_NE(error(options).find("300"), std::string::npos) << error(options);
  options = Options();
  options.epochs = 0;
  EXPECT_EQ(error(options), "train.epochs is 0; it is at least 1");
  options = Options();
  options.clip_norm = std::nan("");
  EXPECT_EQ(error(options), "train.clip_norm is nan; it is 0 (off) or more");
}

TEST_F(TrainerTest, RefusesToResumeBeyondTheEndOfTheData) {
  const std::unique_ptr<Replica> replica = MakeReplica();
  const std::unique_ptr<Trainer> trainer = MakeTrainer(*replica, Options());
  trainer->set_state({.epoch = 1, .position = 301});
  EXPECT_EQ(
      MessageOf(trainer->Run({}, never_).status()),
      "cannot go on at sample 301 of epoch 2: the data have 300 samples; is it the data that the run began with?");
}

TEST_F(TrainerTest, AFailedCheckpointEndsTheRun) {
  const std::unique_ptr<Replica> replica = MakeReplica();
  const TrainObserver observer = {
      .on_checkpoint = [](const TrainState&) { return ResourceExhausted("the disk is full"); }};
  EXPECT_EQ(MessageOf(MakeTrainer(*replica, Options())->Run(observer, never_).status()), "the disk is full");
}

}  // namespace
}  // namespace eddl
