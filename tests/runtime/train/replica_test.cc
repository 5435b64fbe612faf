#include "runtime/train/replica.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/train/param_shard.h"
#include "tests/runtime/test_device.h"

namespace eddl {
namespace {

class ReplicaTest : public testing::Test {
 protected:
  std::unique_ptr<Replica> Make(const ModelSpec& spec, uint64_t memory_limit_bytes = 0) {
    const Model model = *Model::Create(spec, {.sample_shape = {10, 10, 1}, .dtype = DType::kU8, .class_count = 3});
    absl::StatusOr<std::unique_ptr<Replica>> replica = Replica::Create(model, *cpu_, nullptr, 7, memory_limit_bytes);
    EXPECT_TRUE(replica.ok()) << MessageOf(replica.status());
    return std::move(replica).value();
  }
  // Samples [begin, end) of a fixed problem.
  BatchView Samples(int64_t begin, int64_t end) const {
    return {.count = end - begin,
            .x = std::as_bytes(std::span(x_))
                     .subspan(static_cast<size_t>(begin) * 100, static_cast<size_t>(end - begin) * 100),
            .labels = std::span(labels_).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
            .samples = std::span(samples_).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))};
  }
  static std::vector<float> GradientsOf(Replica& replica) {
    std::vector<float> values(static_cast<size_t>(replica.layout().gradient_end()));
    EXPECT_TRUE(replica.ReadGradients(values).ok());
    return values;
  }

  static constexpr int64_t kCount = 12;
  const std::unique_ptr<Device> cpu_ = test::OpenCpu();
  std::vector<uint8_t> x_ = std::vector<uint8_t>(kCount * 100);
  std::vector<int32_t> labels_;
  std::vector<int64_t> samples_;

  void SetUp() override {
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<uint8_t>(i * i * 31 % 251);
    for (int32_t n = 0; n < kCount; ++n) {
      labels_.push_back(n % 3);
      samples_.push_back(100 + n);
    }
  }
};

// Writes parameters when they are asked for, and remembers when.
class FeedByHand final : public ParameterFeed {
 public:
  FeedByHand(Replica& replica, const std::vector<float>& values) : replica_(replica), values_(values) {}

  absl::Status Need(int64_t count) override {
    if (count <= written()) return absl::OkStatus();
    const auto begin = static_cast<size_t>(written());
    EXPECT_TRUE(
        replica_.WriteParametersAt(written(), std::span(values_).subspan(begin, static_cast<size_t>(count) - begin))
            .ok());
    needs.push_back(count);
    return absl::OkStatus();
  }
  int64_t written() const { return needs.empty() ? 0 : needs.back(); }

  std::vector<int64_t> needs;

 private:
  Replica& replica_;
  const std::vector<float>& values_;
};

TEST_F(ReplicaTest, EachLayerWaitsForItsOwnParameters) {
  for (const ModelSpec& spec :
       {ModelSpec{.name = "lenet5"}, ModelSpec{.name = "mlp", .widths = {20, 30}, .sparse_input = true}}) {
    const std::unique_ptr<Replica> replica = Make(spec);
    std::vector<float> values(static_cast<size_t>(replica->layout().total()));
    ASSERT_TRUE(replica->ReadParameters(values).ok());
    const BatchSums expected = *replica->Train(Samples(0, 12), {});
    const std::vector<float> gradients = GradientsOf(*replica);

    // What is read too early shows.
    std::vector<float> poison = values;
    std::fill_n(poison.begin(), replica->layout().gradient_end(), std::numeric_limits<float>::quiet_NaN());
    ASSERT_TRUE(replica->WriteParameters(poison).ok());
    FeedByHand feed(*replica, values);
    const BatchSums sums = *replica->Train(Samples(0, 12), {}, /*accumulate=*/false, &feed);
    EXPECT_EQ(sums.loss, expected.loss) << spec.name;
    EXPECT_EQ(GradientsOf(*replica), gradients) << spec.name;
    ASSERT_GE(feed.needs.size(), 3u) << spec.name << ": it asked for all at once";
    EXPECT_LT(feed.needs[0], replica->layout().gradient_end()) << spec.name;
    EXPECT_LE(feed.needs.back(), replica->layout().gradient_end()) << spec.name;
  }
}

TEST_F(ReplicaTest, AFeedThatFailsEndsTheBatch) {
  class Broken final : public ParameterFeed {
    absl::Status Need(int64_t count) override {
      return count == 0 ? absl::OkStatus() : absl::UnavailableError("the leader is gone");
    }
  };
  const std::unique_ptr<Replica> replica = Make({.name = "lenet5"});
  Broken feed;
  EXPECT_EQ(replica->Train(Samples(0, 12), {}, false, &feed).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(replica->Train(Samples(0, 12), {}).ok());
}

// Sums, never means: what each sample adds does not depend on how the batch was cut. Dropout goes by sample, too.
TEST_F(ReplicaTest, MicroBatchesAddUpToTheWholeBatch) {
  for (const ModelSpec& spec : {ModelSpec{.name = "lenet5"}, ModelSpec{.name = "mlp", .widths = {20}, .dropout = 0.5},
                                ModelSpec{.name = "mlp", .widths = {20}, .sparse_input = true}}) {
    const std::unique_ptr<Replica> replica = Make(spec);
    const RunKeys keys = {.seed = 3, .epoch = 4};
    const BatchSums whole = *replica->Train(Samples(0, 12), keys);
    const std::vector<float> expected = GradientsOf(*replica);
    ASSERT_TRUE(replica->Train(Samples(0, 5), keys).ok());
    ASSERT_TRUE(replica->Train(Samples(5, 6), keys, /*accumulate=*/true).ok());
    const BatchSums parts = *replica->Train(Samples(6, 12), keys, /*accumulate=*/true);
    EXPECT_EQ(parts.count, whole.count);
    EXPECT_EQ(parts.correct, whole.correct);
    EXPECT_NEAR(parts.loss, whole.loss, 1e-5 * whole.loss);
    const std::vector<float> gradients = GradientsOf(*replica);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(gradients[i], expected[i], 1e-4 * std::abs(expected[i]) + 1e-5) << spec.name << " " << i;
    }
  }
}

TEST_F(ReplicaTest, ABatchWithoutAccumulateStartsAnew) {
  const std::unique_ptr<Replica> replica = Make({.name = "lenet5"});
  const BatchSums first = *replica->Train(Samples(0, 6), {});
  const std::vector<float> expected = GradientsOf(*replica);
  ASSERT_TRUE(replica->Train(Samples(6, 12), {}, /*accumulate=*/true).ok());
  const BatchSums again = *replica->Train(Samples(0, 6), {});
  EXPECT_EQ(again.loss, first.loss);
  EXPECT_EQ(again.count, 6);
  EXPECT_EQ(GradientsOf(*replica), expected);
}

TEST_F(ReplicaTest, PredictionsAreDistributionsThatAgreeWithEvaluation) {
  const std::unique_ptr<Replica> replica = Make({.name = "lenet5"});
  std::vector<float> probability(kCount * 3);
  ASSERT_TRUE(replica->Predict({.count = kCount, .x = Samples(0, kCount).x}, probability).ok());
  double loss = 0.0;
  for (size_t n = 0; n < kCount; ++n) {
    EXPECT_NEAR(probability[3 * n] + probability[3 * n + 1] + probability[3 * n + 2], 1.0, 1e-5);
    loss -= std::log(probability[3 * n + static_cast<size_t>(labels_[n])]);
  }
  EXPECT_NEAR(replica->Evaluate(Samples(0, kCount))->loss, loss, 1e-4 * loss);
}

// Plans of many sizes come and go; the answers stay.
TEST_F(ReplicaTest, ManyBatchSizesShareOneArena) {
  const std::unique_ptr<Replica> replica = Make({.name = "lenet5"});
  std::vector<double> first;
  for (int64_t n = 1; n <= kCount; ++n) first.push_back(replica->Train(Samples(0, n), {})->loss);
  const uint64_t bytes = replica->allocated_bytes();
  for (int64_t n = kCount; n >= 1; --n) {
    EXPECT_EQ(replica->Train(Samples(0, n), {})->loss, first[static_cast<size_t>(n - 1)]) << n;
  }
  EXPECT_EQ(replica->allocated_bytes(), bytes);
}

TEST_F(ReplicaTest, RefusesABatchBeyondTheMemoryLimitAndSaysWhatFits) {
  const std::unique_ptr<Replica> free = Make({.name = "lenet5"});
  ASSERT_TRUE(free->PlanFor(4, Mode::kTrain).ok());
  const uint64_t limit = free->allocated_bytes();
  const std::unique_ptr<Replica> limited = Make({.name = "lenet5"}, limit);
  EXPECT_EQ(*limited->LargestBatch(100, Mode::kTrain), 4);
  const absl::Status status = limited->PlanFor(12, Mode::kTrain).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(MessageOf(status).find("the largest batch that fits is 4 (train.batch, or train.micro_batch"),
            std::string::npos)
      << MessageOf(status);
  EXPECT_TRUE(limited->Train(Samples(0, 4), {}).ok());
  const std::unique_ptr<Replica> tiny = Make({.name = "lenet5"}, 1000);
  EXPECT_NE(MessageOf(tiny->PlanFor(1, Mode::kTrain).status()).find("not even one sample fits"), std::string::npos);
}

TEST_F(ReplicaTest, ADeviceThatLacksOpsTrainsToTheSameBits) {
  const Model model =
      *Model::Create({.name = "lenet5"}, {.sample_shape = {10, 10, 1}, .dtype = DType::kU8, .class_count = 3});
  const std::unique_ptr<Replica> whole = Make({.name = "lenet5"});
  const std::unique_ptr<Device> limited = test::OpenDeviceThatLacks({EDDL_OP_CONV2D, EDDL_OP_MAX_POOL2D_GRAD});
  const std::unique_ptr<Replica> mixed = *Replica::Create(model, *limited, cpu_.get(), 7);
  EXPECT_GT((*mixed->PlanFor(6, Mode::kTrain))->fallback_ops(), 0);
  EXPECT_EQ(mixed->Train(Samples(0, 6), {})->loss, whole->Train(Samples(0, 6), {})->loss);
  EXPECT_EQ(GradientsOf(*mixed), GradientsOf(*whole));
}

// Labels are no function of the images: only a network whose layers learn can tell them apart.
TEST_F(ReplicaTest, EveryModelOfTheZooLearnsItsSamplesByHeart) {
  const ModelInput input = {
      .sample_shape = {10, 10, 1}, .dtype = DType::kU8, .class_count = 3, .scale = {1.0f / 255}, .shift = {-0.5f}};
  for (const char* name : {"mlp", "pernet", "lenet5", "inception_small", "resnet20", "mobilenet_small"}) {
    SCOPED_TRACE(name);
    const bool features = std::string(name) == "pernet" || std::string(name) == "mlp";
    ModelInput fitting = input;
    if (features) fitting.sample_shape = {100};
    const Model model = *Model::Create({.name = name}, fitting);
    const std::unique_ptr<Replica> replica = *Replica::Create(model, *cpu_, nullptr, 7);
    auto shard = ParamShard::Create(*cpu_, replica->queue(), model.layout(), {0, model.layout().total()}, {},
                                    replica->parameters(), replica->gradients());
    ASSERT_TRUE(shard.ok()) << MessageOf(shard.status());
    constexpr double kScale = 1.0 / kCount;
    BatchSums sums;
    double first_loss = 0;
    for (int64_t step = 1; step <= 100; ++step) {
      sums = *replica->Train(Samples(0, kCount), {.seed = 1});
      if (step == 1) first_loss = sums.loss;
      const absl::Status applied =
          shard->Apply({.learning_rate = 0.03, .gradient_scale = kScale, .statistic_scale = kScale, .step = step});
      ASSERT_TRUE(applied.ok()) << MessageOf(applied);
    }
    EXPECT_LT(sums.loss, 0.1 * first_loss);
    EXPECT_EQ(sums.correct, kCount);
  }
}

}  // namespace
}  // namespace eddl
