// Networks train on an OpenCL device as they do on the CPU: the same losses, step by step.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/nn/model.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"
#include "tests/backends/opencl/opencl_backend.h"

namespace eddl {
namespace {

struct TrainingCase {
  const char* model;
  Shape sample;
  int64_t batch;
  int64_t steps;
  double tolerance;  // of each loss, as a part of it
};

constexpr int64_t kClasses = 10;
constexpr int64_t kBatches = 3;

// Random inputs in [0, 1), labels that are no function of them: the network has to learn by heart.
struct Batch {
  std::vector<float> x;
  std::vector<int32_t> labels;
  std::vector<int64_t> samples;
};
std::vector<Batch> MakeBatches(const TrainingCase& one) {
  Rng rng(1);
  std::vector<Batch> batches(kBatches);
  for (Batch& batch : batches) {
    for (int64_t i = 0; i < one.batch; ++i) {
      batch.labels.push_back(static_cast<int32_t>(rng.Below(kClasses)));
      batch.samples.push_back(i);
      for (int64_t j = 0; j < one.sample.elements(); ++j) batch.x.push_back(static_cast<float>(rng.Uniform()));
    }
  }
  return batches;
}

std::vector<double> LossesOn(Device& device, const TrainingCase& one) {
  const ModelInput input = {.sample_shape = one.sample, .class_count = kClasses};
  const Model model = *Model::Create({.name = one.model}, input);
  auto replica = Replica::Create(model, device, /*fallback=*/nullptr, 1);
  EXPECT_TRUE(replica.ok()) << MessageOf(replica.status());
  if (!replica.ok()) return {};
  const ParamLayout& layout = model.layout();
  auto shard = ParamShard::Create(device, (*replica)->queue(), layout, {0, layout.total()}, {},
                                  (*replica)->parameters(), (*replica)->gradients());
  EXPECT_TRUE(shard.ok()) << MessageOf(shard.status());
  const std::vector<Batch> batches = MakeBatches(one);
  const double scale = 1.0 / static_cast<double>(one.batch);
  std::vector<double> losses;
  for (int64_t step = 0; shard.ok() && step < one.steps; ++step) {
    const Batch& batch = batches[static_cast<size_t>(step % kBatches)];
    const auto sums = (*replica)->Train(
        {.count = one.batch, .x = std::as_bytes(std::span(batch.x)), .labels = batch.labels, .samples = batch.samples},
        {.seed = 1});
    EXPECT_TRUE(sums.ok()) << MessageOf(sums.status());
    if (!sums.ok()) break;
    EXPECT_TRUE(
        shard->Apply({.learning_rate = 0.01, .gradient_scale = scale, .statistic_scale = scale, .step = step + 1})
            .ok());
    losses.push_back(sums->loss * scale);
  }
  EXPECT_TRUE((*replica)->queue().Wait().ok());
  return losses;
}

class OpenclTrainingTest : public testing::TestWithParam<TrainingCase> {};

// Without a fallback: every op of the step is there.
TEST_P(OpenclTrainingTest, HasTheLossCurveOfTheCpu) {
  EDDL_NEEDS_OPENCL(opencl);
  const auto cpu_backend = TestBackends().Find("cpu");
  ASSERT_TRUE(cpu_backend.ok()) << MessageOf(cpu_backend.status());
  const auto cpu = *Device::Open(**cpu_backend, 0, {.thread_count = 1});
  const auto device = Device::Open(*opencl, 0, {});
  ASSERT_TRUE(device.ok()) << MessageOf(device.status());
  const std::vector<double> expected = LossesOn(*cpu, GetParam());
  const std::vector<double> losses = LossesOn(**device, GetParam());
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    const double difference = std::abs(losses[i] - expected[i]);
    EXPECT_TRUE(difference <= GetParam().tolerance * expected[i])
        << "step " << i << ": " << losses[i] << " beside " << expected[i];
  }
  EXPECT_LT(losses.back(), losses.front());
}

INSTANTIATE_TEST_SUITE_P(Zoo, OpenclTrainingTest,
                         testing::Values(TrainingCase{"lenet5", Shape{28, 28, 1}, 16, 60, 1e-4},
                                         TrainingCase{"pernet", Shape{100}, 16, 60, 1e-4},
                                         TrainingCase{"inception_small", Shape{12, 12, 1}, 4, 12, 1e-4},
                                         TrainingCase{"mobilenet_small", Shape{12, 12, 3}, 4, 12, 1e-3},
                                         TrainingCase{"resnet20", Shape{12, 12, 3}, 4, 12, 1e-3}),
                         [](const auto& test) { return std::string(test.param.model); });

}  // namespace
}  // namespace eddl
