#include "runtime/exec/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/exec/device_capabilities.h"
#include "runtime/nn/model.h"
#include "runtime/profile/span_recorder.h"
#include "tests/runtime/test_device.h"

namespace eddl {
namespace {

using test::OpenCpu;
using test::OpenDeviceThatLacks;

constexpr int64_t kBatch = 5;

Model TinyLenet() {
  return *Model::Create({.name = "lenet5"}, {.sample_shape = {8, 8, 1}, .dtype = DType::kU8, .class_count = 3});
}

// One training run of the tiny model on a device, with everything that it leaves behind.
struct Trained {
  std::vector<float> gradients;
  float loss = 0.0f;
  int64_t fallback_ops = 0;

  bool operator==(const Trained& other) const { return gradients == other.gradients && loss == other.loss; }
};

class ExecutorTest : public testing::Test {
 protected:
  // Runs `runs` times with the plan's accumulate option.
  Trained TrainOn(Device& device, Device* fallback, bool accumulate = false, int runs = 1) {
    const Model model = TinyLenet();
    const ParamLayout& layout = model.layout();
    const Capabilities primary = CapabilitiesOf(device);
    std::optional<Capabilities> second;
    if (fallback != nullptr) second = CapabilitiesOf(*fallback);
    const Graph graph = *model.Build(kBatch, Mode::kTrain);
    Plan plan = *MakePlan(graph, layout, primary, second ? &*second : nullptr, {.accumulate = accumulate});
    Queue queue = *Queue::Create(device);
    Queue fallback_queue = fallback != nullptr ? *Queue::Create(*fallback) : Queue();
    const auto bytes = [](int64_t elements) { return static_cast<uint64_t>(elements) * sizeof(float); };
    const Buffer parameters = *Buffer::Create(device, bytes(layout.total()));
    const Buffer gradients = *Buffer::Create(device, bytes(layout.gradient_end()));
    const Buffer outputs = *Buffer::Create(device, static_cast<uint64_t>(plan.outputs_bytes));
    const Buffer arena = *Buffer::Create(device, static_cast<uint64_t>(plan.arena_bytes[0]));
    Buffer fallback_arena;
    if (fallback != nullptr) fallback_arena = *Buffer::Create(*fallback, static_cast<uint64_t>(plan.arena_bytes[1]));
    Trained trained = {.gradients = std::vector<float>(static_cast<size_t>(layout.gradient_end())),
                       .fallback_ops = plan.fallback_ops()};

    const std::vector<float> values = model.InitialParameters(1);
    EXPECT_TRUE(queue.Write(parameters, 0, std::as_bytes(std::span(values))).ok());
    EXPECT_TRUE(queue.FillZero(gradients, 0, gradients.size_bytes()).ok());
    EXPECT_TRUE(queue.FillZero(outputs, 0, outputs.size_bytes()).ok());
    absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Create(device, fallback, std::move(plan));
    EXPECT_TRUE(executor.ok()) << MessageOf(executor.status());
    (*executor)->Bind({&arena, &parameters, &gradients, &outputs, &fallback_arena});
    for (int run = 0; run < runs; ++run) {
      EXPECT_TRUE((*executor)->WriteInput(queue, kInputX, std::as_bytes(std::span(x_))).ok());
      EXPECT_TRUE((*executor)->WriteInput(queue, kInputLabel, std::as_bytes(std::span(labels_))).ok());
      const absl::Status status = (*executor)->Run(queue, &fallback_queue, {}, recorder_);
      EXPECT_TRUE(status.ok()) << MessageOf(status);
    }
    EXPECT_TRUE((*executor)->ReadOutput(queue, kOutputLoss, std::as_writable_bytes(std::span(&trained.loss, 1))).ok());
    EXPECT_TRUE(queue.Read(gradients, 0, std::as_writable_bytes(std::span(trained.gradients))).ok());
    EXPECT_TRUE(queue.Wait().ok());
    return trained;
  }

  std::vector<uint8_t> x_ = [] {
    std::vector<uint8_t> x(kBatch * 64);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i * 37 % 256);
    return x;
  }();
  std::vector<int32_t> labels_ = {0, 1, 2, 1, 0};
  SpanRecorder* recorder_ = nullptr;
};

// The same ops on the same kernels, only with copies between: nothing may change, whichever op is missing.
TEST_F(ExecutorTest, AnOpThatTheDeviceLacksRunsOnTheCpuWithEqualBits) {
  const std::unique_ptr<Device> cpu = OpenCpu();
  const Trained expected = TrainOn(*cpu, nullptr);
  EXPECT_EQ(expected.fallback_ops, 0);
  const std::vector<std::set<eddl_op_kind>> cases = {
      {EDDL_OP_CONV2D},          {EDDL_OP_CONV2D_GRAD_WEIGHT},
      {EDDL_OP_MAX_POOL2D_GRAD}, {EDDL_OP_MATMUL},
      {EDDL_OP_REDUCE},          {EDDL_OP_SOFTMAX_XENT},
      {EDDL_OP_NORMALIZE_U8},    {EDDL_OP_MATMUL, EDDL_OP_CONV2D, EDDL_OP_MAX_POOL2D}};
  for (const std::set<eddl_op_kind>& kinds : cases) {
    const std::unique_ptr<Device> limited = OpenDeviceThatLacks(kinds);
    const Trained trained = TrainOn(*limited, cpu.get());
    EXPECT_GT(trained.fallback_ops, 0) << OpName(*kinds.begin());
    EXPECT_TRUE(trained == expected) << OpName(*kinds.begin());
  }
}

TEST_F(ExecutorTest, AccumulatingRunsAddUpOnBothDevices) {
  const std::unique_ptr<Device> cpu = OpenCpu();
  const Trained once = TrainOn(*cpu, nullptr, /*accumulate=*/true, 1);
  const Trained thrice = TrainOn(*cpu, nullptr, /*accumulate=*/true, 3);
  EXPECT_TRUE(once == TrainOn(*cpu, nullptr));
  EXPECT_NEAR(thrice.loss, 3 * once.loss, 1e-5 * thrice.loss);
  for (size_t i = 0; i < once.gradients.size(); ++i) {
    EXPECT_NEAR(thrice.gradients[i], 3 * once.gradients[i], 1e-5 * std::abs(thrice.gradients[i]) + 1e-6) << i;
  }
  const std::unique_ptr<Device> limited = OpenDeviceThatLacks({EDDL_OP_CONV2D_GRAD_WEIGHT, EDDL_OP_SOFTMAX_XENT});
  EXPECT_TRUE(TrainOn(*limited, cpu.get(), /*accumulate=*/true, 3) == thrice);
}

TEST_F(ExecutorTest, RecordsOneSpanPerStep) {
  SpanRecorder recorder(1000);
  recorder_ = &recorder;
  const std::unique_ptr<Device> cpu = OpenCpu();
  TrainOn(*cpu, nullptr);
  const SpanLog log = recorder.Log();
  EXPECT_GT(log.spans.size(), 10u);
  EXPECT_NE(std::find(log.names.begin(), log.names.end(), "conv1/grad_weight"), log.names.end());
}

TEST_F(ExecutorTest, RefusesInputsOfAnotherNameOrSize) {
  const std::unique_ptr<Device> cpu = OpenCpu();
  const Model model = TinyLenet();
  const Capabilities capabilities = CapabilitiesOf(*cpu);
  Plan plan = *MakePlan(*model.Build(2, Mode::kPredict), model.layout(), capabilities, nullptr, {});
  const std::unique_ptr<Executor> executor = *Executor::Create(*cpu, nullptr, std::move(plan));
  Queue queue = *Queue::Create(*cpu);
  EXPECT_EQ(MessageOf(executor->WriteInput(queue, "y", {})), "the plan has no input 'y'");
  EXPECT_EQ(MessageOf(executor->WriteInput(queue, kInputX, {})), "input 'x' is u8[2, 8, 8, 1], 128 bytes, not 0");
  EXPECT_EQ(MessageOf(executor->ReadOutput(queue, kOutputLoss, {})), "the plan has no output 'loss'");
}

}  // namespace
}  // namespace eddl
