// Steps on the real cpu backend, against the formulas of PyTorch's optimizers in double.
#include "runtime/train/param_shard.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "tests/runtime/test_device.h"

namespace eddl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Trainable [0, 30272), statistics [30272, 30400), frozen [30400, 30464), constant [30464, 30528).
ParamLayout Layout() {
  const std::vector<Parameter> parameters = {
      {.name = "input.scale", .shape = {1}, .role = ParamRole::kConstant},
      {.name = "conv.weight", .shape = {20, 7}},
      {.name = "bn.weight", .shape = {30}},
      {.name = "bn.running_mean", .shape = {30}, .role = ParamRole::kStatistic},
      {.name = "bn.running_var", .shape = {30}, .role = ParamRole::kStatistic},
      {.name = "old.weight", .shape = {5, 5}, .role = ParamRole::kFrozen},
      {.name = "fc.weight", .shape = {300, 100}},
  };
  return ParamLayout(parameters);
}

// Values for every slice, zeros in the gaps.
std::vector<float> RandomVector(const ParamLayout& layout, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(layout.total()), 0.0f);
  for (const ParamSlice& slice : layout.slices()) {
    for (int64_t i = slice.begin; i < slice.end; ++i) values[static_cast<size_t>(i)] = static_cast<float>(rng.Normal());
  }
  return values;
}

// PyTorch's documentation, "torch.optim.SGD" and "torch.optim.Adam[W]", for one parameter.
class DoubleOptimizer {
 public:
  explicit DoubleOptimizer(const OptimizerSpec& spec) : spec_(spec) {}

  void Step(double learning_rate, double gradient, double& parameter) {
    ++step_;
    if (spec_.kind == OptimizerKind::kAdamW) {
      parameter -= learning_rate * spec_.weight_decay * parameter;
    } else {
      gradient += spec_.weight_decay * parameter;
    }
    parameter -= learning_rate * (spec_.kind == OptimizerKind::kSgd ? SgdStep(gradient) : AdamStep(gradient));
  }

 private:
  double SgdStep(double gradient) {
    if (spec_.momentum == 0.0) return gradient;
    first_ = step_ == 1 ? gradient : spec_.momentum * first_ + gradient;
    return spec_.nesterov ? gradient + spec_.momentum * first_ : first_;
  }
  double AdamStep(double gradient) {
    first_ = spec_.beta1 * first_ + (1.0 - spec_.beta1) * gradient;
    second_ = spec_.beta2 * second_ + (1.0 - spec_.beta2) * gradient * gradient;
    const double mean = first_ / (1.0 - std::pow(spec_.beta1, step_));
    const double variance = second_ / (1.0 - std::pow(spec_.beta2, step_));
    return mean / (std::sqrt(variance) + spec_.epsilon);
  }

  OptimizerSpec spec_;
  int step_ = 0;
  double first_ = 0.0, second_ = 0.0;
};

const std::vector<OptimizerSpec>& AllOptimizers() {
  static const std::vector<OptimizerSpec> all = {
      {.kind = OptimizerKind::kSgd, .momentum = 0.0},
      {.kind = OptimizerKind::kSgd, .momentum = 0.0, .weight_decay = 0.01},
      {.kind = OptimizerKind::kSgd, .momentum = 0.9, .weight_decay = 0.01},
      {.kind = OptimizerKind::kSgd, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01},
      {.kind = OptimizerKind::kAdam},
      {.kind = OptimizerKind::kAdam, .weight_decay = 0.1},
      {.kind = OptimizerKind::kAdamW, .weight_decay = 0.1, .beta1 = 0.8, .beta2 = 0.95},
  };
  return all;
}

std::string Describe(const OptimizerSpec& spec) {
  return NameOf(spec.kind) + " momentum " + std::to_string(spec.momentum) + " nesterov " +
         std::to_string(spec.nesterov) + " decay " + std::to_string(spec.weight_decay);
}

// One shard with its own buffers, filled from host vectors that hold the whole model.
struct HostedShard {
  ParamShard::Range range;
  Buffer parameters, gradients;
  std::unique_ptr<ParamShard> shard;
};

class ParamShardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = test::OpenCpu({.thread_count = 2});
    auto queue = Queue::Create(*device_);
    ASSERT_TRUE(queue.ok()) << queue.status();
    queue_ = std::move(*queue);
  }

  ParamShard::Range Whole() const { return {.begin = 0, .end = layout_.total()}; }

  HostedShard Host(ParamShard::Range range, const OptimizerSpec& spec, const std::vector<float>& parameters) {
    HostedShard hosted = {.range = range};
    hosted.parameters = NewBuffer(range);
    hosted.gradients = NewBuffer(range);
    Write(hosted, hosted.parameters, parameters);
    auto shard = ParamShard::Create(*device_, queue_, layout_, range, spec, hosted.parameters, hosted.gradients);
    EXPECT_TRUE(shard.ok()) << shard.status();
    hosted.shard = std::make_unique<ParamShard>(std::move(*shard));
    return hosted;
  }

  Buffer NewBuffer(ParamShard::Range range) {
    auto buffer = Buffer::Create(*device_, static_cast<uint64_t>(range.end - range.begin) * sizeof(float));
    EXPECT_TRUE(buffer.ok()) << buffer.status();
    return std::move(*buffer);
  }

  void Write(const HostedShard& hosted, const Buffer& target, const std::vector<float>& whole) {
    const std::span<const float> part(whole.data() + hosted.range.begin, whole.data() + hosted.range.end);
    if (part.empty()) return;
    ASSERT_TRUE(queue_.Write(target, 0, std::as_bytes(part)).ok());
    ASSERT_TRUE(queue_.Wait().ok());
  }

  void Step(HostedShard& hosted, const std::vector<float>& gradients, const StepScalars& scalars) {
    Write(hosted, hosted.gradients, gradients);
    const absl::Status status = hosted.shard->Apply(scalars);
    ASSERT_TRUE(status.ok()) << status;
  }

  // Copies the shard's part over that of `whole`.
  void ReadInto(const HostedShard& hosted, std::vector<float>& whole) {
    const std::span<float> part(whole.data() + hosted.range.begin, whole.data() + hosted.range.end);
    if (part.empty()) return;
    ASSERT_TRUE(queue_.Read(hosted.parameters, 0, std::as_writable_bytes(part)).ok());
    const absl::Status status = queue_.Wait();
    ASSERT_TRUE(status.ok()) << status;
  }

  std::vector<float> Parameters(const HostedShard& hosted) {
    std::vector<float> whole(static_cast<size_t>(layout_.total()), 0.0f);
    ReadInto(hosted, whole);
    return whole;
  }

  // One trainable value as it moves under a constant gradient sum of 4 from 4 samples, at learning rate 0.5.
  std::vector<float> Path(const OptimizerSpec& spec, float start, int steps) {
    std::vector<float> values(static_cast<size_t>(layout_.total()), 0.0f);
    std::vector<float> gradients = values;
    values[0] = start;
    gradients[0] = 4.0f;
    HostedShard hosted = Host(Whole(), spec, values);
    std::vector<float> path;
    for (int step = 1; step <= steps; ++step) {
      Step(hosted, gradients, {.learning_rate = 0.5, .gradient_scale = 0.25, .step = step});
      path.push_back(Parameters(hosted)[0]);
    }
    return path;
  }

  const ParamLayout layout_ = Layout();
  std::unique_ptr<Device> device_;
  Queue queue_;
};

// Worked by hand in numbers that floats hold exactly: g = 1, v = 1, 1.5, 1.75.
TEST_F(ParamShardTest, MomentumSumsPastGradients) {
  EXPECT_THAT(Path({.momentum = 0.0}, 1.0f, 3), ElementsAre(0.5f, 0.0f, -0.5f));
  EXPECT_THAT(Path({.momentum = 0.5}, 1.0f, 3), ElementsAre(0.5f, -0.25f, -1.125f));
}

TEST_F(ParamShardTest, NesterovLooksOneMomentumAhead) {
  EXPECT_THAT(Path({.momentum = 0.5, .nesterov = true}, 1.0f, 2), ElementsAre(0.25f, -0.625f));
}

// From 2: g = 1 + 0.5 p, so p - 0.5 g.
TEST_F(ParamShardTest, WeightDecayPullsTowardsZero) {
  EXPECT_THAT(Path({.momentum = 0.0, .weight_decay = 0.5}, 2.0f, 2), ElementsAre(1.0f, 0.25f));
}

// Bias correction makes the first step as long as the learning rate, whatever the gradient.
TEST_F(ParamShardTest, AdamFirstStepsByTheLearningRate) {
  EXPECT_NEAR(Path({.kind = OptimizerKind::kAdam}, 1.0f, 1).front(), 0.5f, 1e-6f);
}

TEST_F(ParamShardTest, DecoupledDecayDoesNotEnterTheMoments) {
  // 1 - 0.5 * 0.25 of decay, then a step of 0.5.
  EXPECT_NEAR(Path({.kind = OptimizerKind::kAdamW, .weight_decay = 0.25}, 1.0f, 1).front(), 0.375f, 1e-6f);
  EXPECT_NEAR(Path({.kind = OptimizerKind::kAdam, .weight_decay = 0.25}, 1.0f, 1).front(), 0.5f, 1e-6f);
}

TEST_F(ParamShardTest, FollowsPyTorchsFormulasOverManySteps) {
  constexpr int kSteps = 20;
  constexpr double kScale = 0.25;
  for (const OptimizerSpec& spec : AllOptimizers()) {
    const std::vector<float> start = RandomVector(layout_, 1);
    std::vector<double> expected(start.begin(), start.end());
    std::vector<DoubleOptimizer> reference(start.size(), DoubleOptimizer(spec));
    HostedShard hosted = Host(Whole(), spec, start);
    for (int step = 1; step <= kSteps; ++step) {
      const std::vector<float> gradients = RandomVector(layout_, 100 + static_cast<uint64_t>(step));
      const double rate = 0.1 / step;
      Step(hosted, gradients, {.learning_rate = rate, .gradient_scale = kScale, .step = step});
      for (int64_t i = 0; i < layout_.trainable_end(); ++i) {
        const auto at = static_cast<size_t>(i);
        reference[at].Step(rate, static_cast<double>(gradients[at]) * kScale, expected[at]);
      }
    }
    const std::vector<float> actual = Parameters(hosted);
    for (int64_t i = 0; i < layout_.trainable_end(); ++i) {
      const auto at = static_cast<size_t>(i);
      ASSERT_NEAR(static_cast<double>(actual[at]), expected[at], 5e-6 * (1.0 + std::abs(expected[at])))
          << Describe(spec) << ", element " << i;
    }
  }
}

// However the vector is cut, inside a parameter, a section or across sections, the bits are those of one step over all.
TEST_F(ParamShardTest, ShardsGiveTheBitsOfTheWhole) {
  const std::vector<int64_t> cuts = {0,
                                     64,
                                     192,
                                     17024,
                                     layout_.trainable_end() - 64,
                                     layout_.trainable_end() + 64,
                                     layout_.gradient_end() + 64,
                                     layout_.total()};
  for (const OptimizerSpec& spec : AllOptimizers()) {
    const std::vector<float> start = RandomVector(layout_, 1);
    HostedShard whole = Host(Whole(), spec, start);
    std::vector<HostedShard> shards;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      shards.push_back(Host({.begin = cuts[i], .end = cuts[i + 1]}, spec, start));
    }
    for (int step = 1; step <= 3; ++step) {
      const std::vector<float> gradients = RandomVector(layout_, 100 + static_cast<uint64_t>(step));
      const StepScalars scalars = {
          .learning_rate = 0.03, .gradient_scale = 1.0 / 48, .statistic_scale = 1.0 / 96, .step = step};
      Step(whole, gradients, scalars);
      for (HostedShard& shard : shards) Step(shard, gradients, scalars);
    }
    std::vector<float> joined(start.size(), 0.0f);
    for (const HostedShard& shard : shards) ReadInto(shard, joined);
    EXPECT_EQ(layout_.Hash(joined), layout_.Hash(Parameters(whole))) << Describe(spec);
    EXPECT_NE(layout_.Hash(joined), layout_.Hash(start)) << Describe(spec);
  }
}

TEST_F(ParamShardTest, LeavesFrozenAndConstantValuesAlone) {
  const std::vector<float> start = RandomVector(layout_, 1);
  HostedShard hosted = Host(Whole(), {.weight_decay = 0.1}, start);
  Step(hosted, RandomVector(layout_, 2), {.learning_rate = 0.1});
  const std::vector<float> after = Parameters(hosted);
  const auto tail = static_cast<std::ptrdiff_t>(layout_.gradient_end());
  EXPECT_TRUE(std::equal(after.begin() + tail, after.end(), start.begin() + tail));
  EXPECT_FALSE(std::equal(after.begin(), after.begin() + tail, start.begin()));
}

TEST_F(ParamShardTest, GapsStayZero) {
  for (const OptimizerSpec& spec : AllOptimizers()) {
    HostedShard hosted = Host(Whole(), spec, RandomVector(layout_, 1));
    for (int step = 1; step <= 3; ++step) {
      Step(hosted, RandomVector(layout_, 2), {.learning_rate = 0.1, .step = step});
    }
    std::vector<float> after = Parameters(hosted);
    for (const ParamSlice& slice : layout_.slices()) {
      std::fill(after.begin() + slice.begin, after.begin() + slice.end, 0.0f);
    }
    EXPECT_THAT(after, ::testing::Each(0.0f)) << Describe(spec);
  }
}

TEST_F(ParamShardTest, RunningStatisticsMoveTowardsTheMeanOfTheSums) {
  std::vector<float> values(static_cast<size_t>(layout_.total()), 0.0f);
  std::vector<float> gradients = values;
  const auto at = static_cast<size_t>(layout_.Find("bn.running_var")->begin);
  values[at] = 8.0f;
  gradients[at] = 64.0f;  // of 16 samples: mean 4
  HostedShard hosted = Host(Whole(), {.statistics_keep = 0.75}, values);
  Step(hosted, gradients, {.learning_rate = 1.0, .gradient_scale = 100.0, .statistic_scale = 1.0 / 16});
  EXPECT_EQ(Parameters(hosted)[at], 7.0f);
}

TEST_F(ParamShardTest, SumSquaresCoversTrainableGradientsOnly) {
  std::vector<float> gradients(static_cast<size_t>(layout_.total()), 0.0f);
  gradients[0] = 3.0f;
  gradients[static_cast<size_t>(layout_.Find("fc.weight")->end) - 1] = 4.0f;
  gradients[static_cast<size_t>(layout_.trainable_end())] = std::numeric_limits<float>::quiet_NaN();
  HostedShard hosted = Host(Whole(), {}, RandomVector(layout_, 1));
  Write(hosted, hosted.gradients, gradients);
  const auto sum = hosted.shard->GradientSumSquares();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(*sum, 25.0);
}

TEST_F(ParamShardTest, SumSquaresOfShardsAddUpToThatOfTheWhole) {
  const std::vector<float> gradients = RandomVector(layout_, 2);
  HostedShard whole = Host(Whole(), {}, gradients);
  Write(whole, whole.gradients, gradients);
  double parts = 0.0;
  for (const ParamShard::Range range : {ParamShard::Range{0, 12800}, ParamShard::Range{12800, layout_.total()}}) {
    HostedShard shard = Host(range, {}, gradients);
    Write(shard, shard.gradients, gradients);
    parts += shard.shard->GradientSumSquares().value();
  }
  EXPECT_NEAR(parts / whole.shard->GradientSumSquares().value(), 1.0, 1e-6);
}

TEST_F(ParamShardTest, SumSquaresShowsAGradientThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> gradients = RandomVector(layout_, 2);
    gradients[20000] = bad;
    HostedShard hosted = Host(Whole(), {}, gradients);
    Write(hosted, hosted.gradients, gradients);
    EXPECT_FALSE(std::isfinite(hosted.shard->GradientSumSquares().value())) << bad;
  }
}

TEST_F(ParamShardTest, GoesOnBitForBitFromStateThatWasReadAndWritten) {
  for (const OptimizerSpec& spec : AllOptimizers()) {
    HostedShard first = Host(Whole(), spec, RandomVector(layout_, 1));
    for (int step = 1; step <= 2; ++step) {
      Step(first, RandomVector(layout_, 2), {.learning_rate = 0.1, .step = step});
    }
    HostedShard second = Host(Whole(), spec, Parameters(first));
    for (size_t i = 0; i < first.shard->StateNames().size(); ++i) {
      std::vector<float> state(static_cast<size_t>(first.shard->state_size()));
      ASSERT_TRUE(first.shard->ReadState(i, state).ok());
      EXPECT_NE(state[0], 0.0f);
      ASSERT_TRUE(second.shard->WriteState(i, state).ok());
    }
    for (HostedShard* each : {&first, &second}) {
      Step(*each, RandomVector(layout_, 3), {.learning_rate = 0.1, .step = 3});
    }
    EXPECT_EQ(layout_.Hash(Parameters(second)), layout_.Hash(Parameters(first))) << Describe(spec);
  }
}

TEST_F(ParamShardTest, StateStartsAtZero) {
  HostedShard hosted = Host(Whole(), {.kind = OptimizerKind::kAdam}, RandomVector(layout_, 1));
  std::vector<float> state(static_cast<size_t>(hosted.shard->state_size()), 1.0f);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(hosted.shard->ReadState(i, state).ok());
    EXPECT_THAT(state, ::testing::Each(0.0f));
  }
}

TEST_F(ParamShardTest, NamesItsStateVectors) {
  const std::vector<float> start = RandomVector(layout_, 1);
  EXPECT_THAT(Host(Whole(), {}, start).shard->StateNames(), ElementsAre("velocity"));
  EXPECT_THAT(Host(Whole(), {.momentum = 0.0}, start).shard->StateNames(), IsEmpty());
  EXPECT_THAT(Host(Whole(), {.kind = OptimizerKind::kAdamW}, start).shard->StateNames(), ElementsAre("m", "v"));
}

TEST_F(ParamShardTest, ARangeBehindTheTrainablePartHasNoState) {
  const std::vector<float> start = RandomVector(layout_, 1);
  HostedShard hosted = Host({.begin = layout_.trainable_end(), .end = layout_.total()}, {}, start);
  EXPECT_EQ(hosted.shard->state_size(), 0);
  EXPECT_EQ(hosted.shard->GradientSumSquares().value(), 0.0);
  EXPECT_TRUE(hosted.shard->ReadState(0, {}).ok());
  EXPECT_TRUE(hosted.shard->WriteState(0, {}).ok());
}

TEST_F(ParamShardTest, AnEmptyRangeDoesNothing) {
  HostedShard hosted = Host({.begin = 64, .end = 64}, {.kind = OptimizerKind::kAdam}, RandomVector(layout_, 1));
  EXPECT_TRUE(hosted.shard->Apply({.learning_rate = 0.1}).ok());
  EXPECT_EQ(hosted.shard->state_size(), 0);
}

using ParamShardDeathTest = ParamShardTest;

TEST_F(ParamShardDeathTest, ARangeThatCutsThroughAnAlignmentUnitIsABug) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const Buffer buffer = NewBuffer(Whole());
  EXPECT_DEATH(
      { auto shard = ParamShard::Create(*device_, queue_, layout_, {.begin = 32, .end = 128}, {}, buffer, buffer); },
      "not cut at multiples of 64");
}

// The cpu backend, but with bindings aligned as coarsely as the interface allows.
TEST_F(ParamShardTest, ADeviceWithCoarserAlignmentThanTheLayoutIsRefused) {
  static const eddl_backend* cpu = nullptr;
  cpu = &device_->table();
  eddl_backend table = *cpu;
  table.name = "coarse";
  table.device_info = [](uint32_t index, eddl_device_info* info, eddl_error* error) {
    const eddl_code code = cpu->device_info(index, info, error);
    info->alignment_bytes = 4096;
    return code;
  };
  const auto backend = Backend::FromTable(&table, "coarse");
  ASSERT_TRUE(backend.ok()) << backend.status();
  const auto device = Device::Open(**backend, 0, {.thread_count = 1});
  ASSERT_TRUE(device.ok()) << device.status();
  Queue queue = Queue::Create(**device).value();
  const Buffer buffer = Buffer::Create(**device, static_cast<uint64_t>(layout_.total()) * sizeof(float)).value();
  const absl::Status status = ParamShard::Create(**device, queue, layout_, Whole(), {}, buffer, buffer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(MessageOf(status), HasSubstr("coarse:0 needs multiples of 4096"));
}

// The cpu backend without one op, and without memory that the host sees.
const eddl_backend& CpuWithout(const eddl_backend& cpu, eddl_op_kind lacking) {
  static const eddl_backend* whole = nullptr;
  static eddl_op_kind absent = 0;
  static eddl_backend table;
  whole = &cpu;
  absent = lacking;
  table = cpu;
  table.name = "poor";
  table.buffer_host_pointer = nullptr;
  table.op_prepare = [](eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                        eddl_error* error) -> eddl_code {
    if (desc->kind != absent) return whole->op_prepare(device, desc, op, info, error);
    std::snprintf(error->message, sizeof(error->message), "this backend lacks it");
    return EDDL_UNIMPLEMENTED;
  };
  return table;
}

// Parameters and state after two steps, and the norm of the gradient, with what the device lacks done by the fallback.
struct Stepped {
  std::vector<float> parameters, state;
  double norm = 0.0;
};

Stepped StepTwice(Device& device, Device* fallback, const ParamLayout& layout) {
  Queue queue = Queue::Create(device).value();
  const auto bytes = static_cast<uint64_t>(layout.total()) * sizeof(float);
  const Buffer parameters = Buffer::Create(device, bytes).value(), gradients = Buffer::Create(device, bytes).value();
  Stepped stepped = {.parameters = RandomVector(layout, 1)};
  EXPECT_TRUE(queue.Write(parameters, 0, std::as_bytes(std::span(stepped.parameters))).ok());
  auto shard = ParamShard::Create(device, queue, layout, {.begin = 0, .end = layout.total()}, {}, parameters, gradients,
                                  fallback);
  EXPECT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard.ok() && shard->on_fallback(), fallback != nullptr);
  for (int64_t step = 1; shard.ok() && step <= 2; ++step) {
    const std::vector<float> gradient = RandomVector(layout, 10 + static_cast<uint64_t>(step));
    EXPECT_TRUE(queue.Write(gradients, 0, std::as_bytes(std::span(gradient))).ok());
    stepped.norm = shard->GradientSumSquares().value_or(-1.0);
    EXPECT_TRUE(shard->Apply({.learning_rate = 0.1, .step = step}).ok());
    EXPECT_TRUE(queue.Wait().ok());
  }
  EXPECT_TRUE(queue.Read(parameters, 0, std::as_writable_bytes(std::span(stepped.parameters))).ok());
  EXPECT_TRUE(queue.Wait().ok());
  if (!shard.ok()) return stepped;
  stepped.state.resize(static_cast<size_t>(shard->state_size()));
  EXPECT_TRUE(shard->ReadState(0, stepped.state).ok());
  return stepped;
}

TEST_F(ParamShardTest, WhatTheDeviceLacksTheFallbackSteps) {
  const Stepped expected = StepTwice(*device_, nullptr, layout_);
  for (const eddl_op_kind kind : {EDDL_OP_SGD, EDDL_OP_STATISTICS_UPDATE, EDDL_OP_SUM_SQUARES}) {
    const auto backend = Backend::FromTable(&CpuWithout(device_->table(), kind), "poor");
    ASSERT_TRUE(backend.ok()) << backend.status();
    const auto poor = Device::Open(**backend, 0, {.thread_count = 1});
    ASSERT_TRUE(poor.ok()) << poor.status();
    const Stepped stepped = StepTwice(**poor, device_.get(), layout_);
    EXPECT_EQ(stepped.parameters, expected.parameters) << kind;
    EXPECT_EQ(stepped.state, expected.state) << kind;
    EXPECT_EQ(stepped.norm, expected.norm) << kind;
  }
}

TEST(OptimizerSpecTest, NamesAreReadBack) {
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    const auto parsed = ParseOptimizerKind(NameOf(kind));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, kind);
  }
}

TEST(OptimizerSpecTest, UnknownNameSuggestsTheNearest) {
  EXPECT_EQ(MessageOf(ParseOptimizerKind("adam_w").status()),
            "no optimizer named 'adam_w'; did you mean 'adamw'? (there are: sgd, adam, adamw)");
}

TEST(OptimizerSpecTest, ValidateNamesTheKeyAndTheRange) {
  const OptimizerKind adam = OptimizerKind::kAdam;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<OptimizerSpec, std::string>> bad = {
      {{.momentum = 1.0}, "momentum must be in [0, 1), got 1"},
      {{.momentum = nan}, "momentum must be in [0, 1)"},
      {{.momentum = 0.0, .nesterov = true}, "momentum must be above 0 where nesterov is on, got 0"},
      {{.weight_decay = -0.1}, "weight_decay must be a finite number of at least 0, got -0.1"},
      {{.weight_decay = nan}, "weight_decay must be"},
      {{.statistics_keep = 1.0}, "statistics_keep must be in [0, 1), got 1"},
      {{.kind = adam, .beta1 = 1.0}, "beta1 must be in [0, 1), got 1"},
      {{.kind = adam, .beta2 = -0.5}, "beta2 must be in [0, 1), got -0.5"},
      {{.kind = adam, .epsilon = 0.0}, "epsilon must be a finite number above 0, got 0"},
      {{.kind = adam, .epsilon = 1e-60}, "epsilon must be a finite number above 0, got 1e-60"},
  };
  for (const auto& [spec, message] : bad) {
    const absl::Status status = Validate(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(MessageOf(status), HasSubstr(message));
  }
  for (const OptimizerSpec& spec : AllOptimizers()) EXPECT_TRUE(Validate(spec).ok()) << Describe(spec);
}

}  // namespace
}  // namespace eddl
