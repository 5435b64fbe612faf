// The runtime and the real CPU backend keep the contract while networks train: a violation would end the test program,
// and checking changes no bit of the results.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/checked/checked.h"
#include "runtime/base/status.h"
#include "runtime/data/open.h"
#include "runtime/device/backend.h"
#include "runtime/train/replica.h"
#include "runtime/train/trainer.h"

namespace eddl {
namespace {

class CheckedTraining : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_.LoadFolder(DefaultBackendFolder());
    const auto cpu = registry_.Find("cpu");
    if (!cpu.ok()) GTEST_SKIP() << MessageOf(cpu.status());
    checked_ = std::make_unique<CheckedBackend>((*cpu)->table());
    ASSERT_TRUE(registry_.Add(*Backend::FromTable(&checked_->table(), "checked")).ok());
  }
  std::unique_ptr<Device> Open(const std::string& name) { return *registry_.Open(name, {.thread_count = 1}); }

  BackendRegistry registry_;
  std::unique_ptr<CheckedBackend> checked_;
};

// The gradients of two batches of different sizes, as the device computes them.
std::vector<float> GradientsOn(Device& device, const ModelSpec& spec) {
  constexpr int64_t kCount = 5, kPixels = 12 * 12;
  std::vector<uint8_t> pixels(kCount * kPixels);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i * 31 % 251);
  const std::vector<int32_t> labels = {0, 1, 2, 1, 0};
  const std::vector<int64_t> samples = {10, 11, 12, 13, 14};
  const auto batch = [&](size_t begin, size_t count) {
    return BatchView{.count = static_cast<int64_t>(count),
                     .x = std::as_bytes(std::span(pixels)).subspan(begin * kPixels, count * kPixels),
                     .labels = std::span(labels).subspan(begin, count),
                     .samples = std::span(samples).subspan(begin, count)};
  };
  const Model model = *Model::Create(spec, {.sample_shape = {12, 12, 1}, .dtype = DType::kU8, .class_count = 3});
  const std::unique_ptr<Replica> replica = *Replica::Create(model, device, nullptr, 7);
  EXPECT_TRUE(replica->Train(batch(0, 3), {.seed = 1}).ok());
  EXPECT_TRUE(replica->Train(batch(3, 2), {.seed = 1}, /*accumulate=*/true).ok());
  std::vector<float> gradients(static_cast<size_t>(replica->layout().gradient_end()));
  EXPECT_TRUE(replica->ReadGradients(gradients).ok());
  return gradients;
}

TEST_F(CheckedTraining, EveryModelOfTheZooKeepsTheContract) {
  for (const char* name : {"lenet5", "inception_small", "resnet20", "mobilenet_small", "pernet"}) {
    SCOPED_TRACE(name);
    const std::unique_ptr<Device> plain = Open("cpu"), checked = Open("cpu_checked");
    EXPECT_EQ(GradientsOn(*checked, {.name = name}), GradientsOn(*plain, {.name = name}));
  }
}

TEST_F(CheckedTraining, TrainerAndOptimizersKeepTheContract) {
  DataOptions data_options = {.format = "generate", .test_fraction = 0.25, .seed = 5};
  data_options.generate.samples = 100;
  data_options.generate.features = 20;
  data_options.generate.classes = 3;
  const DataSplit data = *OpenData(data_options);
  const Model model = *Model::Create(
      {.name = "mlp", .widths = {16}, .dropout = 0.2},
      {.sample_shape = data.info.sample_shape, .dtype = data.info.dtype, .class_count = data.info.class_count});
  const std::unique_ptr<Device> device = Open("cpu_checked");
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    const std::unique_ptr<Replica> replica = *Replica::Create(model, *device, nullptr, 9);
    const TrainOptions options = {.seed = 9, .epochs = 2, .batch = 32, .optimizer = {.kind = kind}};
    const auto trainer = Trainer::Create(*replica, data.train, &data.test, options);
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    const std::atomic<bool> never = false;
    const auto end = (*trainer)->Run({}, never);
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(*end, TrainEnd::kFinished);
  }
}

}  // namespace
}  // namespace eddl
