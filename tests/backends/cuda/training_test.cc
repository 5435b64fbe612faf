// Networks train on a CUDA device as they do on the CPU: the same losses, step by step. Small sizes: the device is an
// emulated one.
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
#include "tests/backends/cuda/cuda_backend.h"

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

// Random inputs in [0, 1), labels that are no function of them: the network has to learn by heart.
struct Batch {
  std::vector<float> x;
  std::vector<int32_t> labels;
  std::vector<int64_t> samples;
};
Batch MakeBatch(const TrainingCase& one) {
  Rng rng(1);
  Batch batch;
  for (int64_t i = 0; i < one.batch; ++i) {
    batch.labels.push_back(static_cast<int32_t>(rng.Below(kClasses)));
    batch.samples.push_back(i);
    for (int64_t j = 0; j < one.sample.elements(); ++j) batch.x.push_back(static_cast<float>(rng.Uniform()));
  }
  return batch;
}

// Fewer losses than steps: something failed, and was said.
std::vector<double> LossesOn(Device& device, const TrainingCase& one) {
  const Model model = *Model::Create({.name = one.model}, {.sample_shape = one.sample, .class_count = kClasses});
  const auto replica = Replica::Create(model, device, /*fallback=*/nullptr, 1);
  EXPECT_TRUE(replica.ok()) << MessageOf(replica.status());
  if (!replica.ok()) return {};
  const ParamLayout& layout = model.layout();
  auto shard = ParamShard::Create(device, (*replica)->queue(), layout, {0, layout.total()}, {},
                                  (*replica)->parameters(), (*replica)->gradients());
  EXPECT_TRUE(shard.ok()) << MessageOf(shard.status());
  const Batch batch = MakeBatch(one);
  const double scale = 1.0 / static_cast<double>(one.batch);
  std::vector<double> losses;
  for (int64_t step = 0; shard.ok() && step < one.steps; ++step) {
    const auto sums = (*replica)->Train(
        {.count = one.batch, .x = std::as_bytes(std::span(batch.x)), .labels = batch.labels, .samples = batch.samples},
        {.seed = 1});
    const absl::Status applied =
        shard->Apply({.learning_rate = 0.01, .gradient_scale = scale, .statistic_scale = scale, .step = step + 1});
    EXPECT_TRUE(sums.ok()) << MessageOf(sums.status());
    EXPECT_TRUE(applied.ok()) << MessageOf(applied);
    if (!sums.ok() || !applied.ok()) break;
    losses.push_back(sums->loss * scale);
  }
  EXPECT_TRUE((*replica)->queue().Wait().ok());
  return losses;
}

class CudaTrainingTest : public testing::TestWithParam<TrainingCase> {};

// Without a fallback: every op of the step is there.
TEST_P(CudaTrainingTest, HasTheLossCurveOfTheCpu) {
  EDDL_NEEDS_CUDA(cuda);
  const auto cpu_backend = TestBackends().Find("cpu");
  ASSERT_TRUE(cpu_backend.ok()) << MessageOf(cpu_backend.status());
  const auto cpu = *Device::Open(**cpu_backend, 0, {.thread_count = 1});
  const auto device = Device::Open(*cuda, 0, {});
  ASSERT_TRUE(device.ok()) << MessageOf(device.status());
  const std::vector<double> expected = LossesOn(*cpu, GetParam());
  const std::vector<double> losses = LossesOn(**device, GetParam());
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_TRUE(std::abs(losses[i] - expected[i]) <= GetParam().tolerance * expected[i])
        << "step " << i << ": " << losses[i] << " beside " << expected[i];
  }
  EXPECT_LT(losses.back(), losses.front());
}

INSTANTIATE_TEST_SUITE_P(Zoo, CudaTrainingTest,
                         testing::Values(TrainingCase{"lenet5", Shape{28, 28, 1}, 4, 10, 1e-4},
                                         TrainingCase{"pernet", Shape{100}, 16, 10, 1e-4},
                                         TrainingCase{"resnet20", Shape{32, 32, 3}, 2, 2, 1e-3}),
                         [](const auto& test) { return std::string(test.param.model); });

}  // namespace
}  // namespace eddl
