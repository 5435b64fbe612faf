// Three devices as one, behind the checked decorator: the sums, gradients and steps of a single device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "backends/checked/checked.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"
#include "tests/backends/conformance/cpu_group.h"
#include "tests/runtime/test_device.h"

namespace eddl {
namespace {

using conformance::CpuGroupTable;
using conformance::GroupMistake;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr int64_t kCount = 12;

class ReplicaGroupTest : public testing::Test {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<uint8_t>(i * i * 31 % 251);
    for (int32_t n = 0; n < kCount; ++n) {
      labels_.push_back(n % 3);
      samples_.push_back(100 + n);
    }
    for (uint32_t i = 0; i < conformance::kCpuGroupDevices; ++i) {
      devices_.push_back(*Device::Open(*backend_, i, {.thread_count = 1}));
      members_.push_back(devices_.back().get());
    }
    group_ = *DeviceGroup::Create(members_);
    const ModelSpec spec = {.name = "mlp", .widths = {20}, .dropout = 0.5};
    const Model model = *Model::Create(spec, {.sample_shape = {10, 10, 1}, .dtype = DType::kU8, .class_count = 3});
    one_ = *Replica::Create(model, *cpu_, nullptr, 7);
    three_ = *Replica::CreateGroup(model, *group_, nullptr, 7);
  }

  BatchView Samples(int64_t begin, int64_t end) const {
    const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    return {.count = end - begin,
            .x = std::as_bytes(std::span(x_)).subspan(first * 100, count * 100),
            .labels = std::span(labels_).subspan(first, count),
            .samples = std::span(samples_).subspan(first, count)};
  }

  // Both train the same batch; sums are compared.
  void TrainBoth(int64_t begin, int64_t end, bool accumulate) {
    const RunKeys keys = {.seed = 3, .epoch = 4};
    const auto expected = one_->Train(Samples(begin, end), keys, accumulate);
    const auto got = three_->Train(Samples(begin, end), keys, accumulate);
    ASSERT_TRUE(expected.ok() && got.ok()) << got.status();
    EXPECT_EQ(got->count, expected->count);
    EXPECT_EQ(got->correct, expected->correct);
    EXPECT_NEAR(got->loss, expected->loss, 1e-5 * expected->loss);
  }

  void CompareGradients() {
    std::vector<float> expected(static_cast<size_t>(one_->layout().gradient_end())), got = expected;
    ASSERT_TRUE(one_->ReadGradients(expected).ok());
    ASSERT_TRUE(three_->ReadGradients(got).ok());
    ExpectNear(got, expected);
  }
  // Up to the rounding of sums whose terms are as large as the largest result.
  static void ExpectNear(const std::vector<float>& got, const std::vector<float>& expected) {
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    EXPECT_GT(largest, 0);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-6 * largest) << i;
  }

  const std::unique_ptr<Device> cpu_ = test::OpenCpu({.thread_count = 1});
  const CheckedBackend checked_{CpuGroupTable()};
  const std::unique_ptr<Backend> backend_ = *Backend::FromTable(&checked_.table(), "here");
  std::vector<uint8_t> x_ = std::vector<uint8_t>(kCount * 100);
  std::vector<int32_t> labels_;
  std::vector<int64_t> samples_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<Device*> members_;
  std::unique_ptr<DeviceGroup> group_;
  std::unique_ptr<Replica> one_, three_;
};

TEST_F(ReplicaGroupTest, SharesOfABatchAddUpToIt) {
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 12}, {0, 10}, {3, 5}, {7, 8}}) {
    TrainBoth(begin, end, /*accumulate=*/false);
    CompareGradients();
  }
}

// With shares that are empty now and then, and read in between.
TEST_F(ReplicaGroupTest, MicroBatchesAccumulateOnAllDevices) {
  TrainBoth(0, 12, false);
  CompareGradients();
  TrainBoth(0, 1, false);
  TrainBoth(1, 6, true);
  TrainBoth(6, 8, true);
  CompareGradients();
  TrainBoth(8, 12, true);
  CompareGradients();
  CompareGradients();
}

TEST_F(ReplicaGroupTest, StepsAsOneDeviceDoes) {
  const ParamLayout& layout = one_->layout();
  const auto make = [&](Replica& replica) {
    return *ParamShard::Create(replica.device(), replica.queue(), layout, {0, layout.total()}, {}, replica.parameters(),
                               replica.gradients());
  };
  ParamShard one = make(*one_), three = make(*three_);
  for (int64_t step = 1; step <= 20; ++step) {
    TrainBoth(0, 11, false);
    const StepScalars scalars = {.learning_rate = 1e-5, .gradient_scale = 1.0 / 11, .step = step};
    ASSERT_TRUE(three_->SumGradients().ok());
    ASSERT_TRUE(one.Apply(scalars).ok() && three.Apply(scalars).ok());
    ASSERT_TRUE(three_->PublishParameters().ok());
    ASSERT_FALSE(HasFailure()) << "step " << step;
  }
  std::vector<float> expected(static_cast<size_t>(layout.total())), got = expected;
  ASSERT_TRUE(one_->ReadParameters(expected).ok() && three_->ReadParameters(got).ok());
  ExpectNear(got, expected);
  ASSERT_TRUE(one_->queue().Wait().ok() && three_->queue().Wait().ok());
}

TEST_F(ReplicaGroupTest, WrittenParametersReachAllDevices) {
  std::vector<float> values(static_cast<size_t>(one_->layout().total()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.01f * static_cast<float>(i % 17) - 0.08f;
  ASSERT_TRUE(one_->WriteParameters(values).ok() && three_->WriteParameters(values).ok());
  TrainBoth(0, 12, false);
  CompareGradients();
}

// A sum that was not made is not taken for one, and is made when the group works again.
TEST_F(ReplicaGroupTest, AMemberThatFailsIsAnErrorOfTheSum) {
  TrainBoth(0, 12, false);
  std::vector<float> values(static_cast<size_t>(three_->layout().gradient_end()));
  CpuGroupTable(GroupMistake::kLosesAMember);
  for (const absl::Status& status :
       {three_->SumGradients(), three_->ReadGradients(values), three_->PublishParameters()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(MessageOf(status), HasSubstr("device 1 is lost"));
  }
  CpuGroupTable();
  CompareGradients();
}

// Statistics are those of a share: three equal shares have the statistics, and so the gradients, of one of them thrice.
TEST_F(ReplicaGroupTest, BatchNormTakesItsStatisticsFromAShare) {
  const ModelSpec spec = {.name = "resnet20"};
  const Model model = *Model::Create(spec, {.sample_shape = {10, 10, 1}, .dtype = DType::kU8, .class_count = 3});
  one_ = *Replica::Create(model, *cpu_, nullptr, 7);
  three_ = *Replica::CreateGroup(model, *group_, nullptr, 7);
  for (size_t i = 400; i < x_.size(); ++i) x_[i] = x_[i - 400];
  for (size_t n = 4; n < labels_.size(); ++n) labels_[n] = labels_[n - 4];
  const auto share = one_->Train(Samples(0, 4), {.seed = 3}, false);
  const auto batch = three_->Train(Samples(0, 12), {.seed = 3}, false);
  ASSERT_TRUE(share.ok() && batch.ok()) << batch.status();
  EXPECT_NEAR(batch->loss, 3 * share->loss, 1e-5 * batch->loss);
  std::vector<float> expected(static_cast<size_t>(one_->layout().gradient_end())), got = expected;
  ASSERT_TRUE(one_->ReadGradients(expected).ok() && three_->ReadGradients(got).ok());
  for (float& value : expected) value *= 3;
  ExpectNear(got, expected);
}

TEST_F(ReplicaGroupTest, AMemoryLimitIsSaidOfTheWholeBatch) {
  const ModelSpec spec = {.name = "mlp", .widths = {20}};
  const Model model = *Model::Create(spec, {.sample_shape = {10, 10, 1}, .dtype = DType::kU8, .class_count = 3});
  const auto all = *Replica::CreateGroup(model, *group_, nullptr, 7);
  ASSERT_TRUE(all->Train(Samples(0, 6), {}).ok());
  const auto limited = *Replica::CreateGroup(model, *group_, nullptr, 7, all->allocated_bytes());
  ASSERT_TRUE(limited->Train(Samples(0, 6), {}).ok());
  const auto too_large = limited->Train(Samples(0, 12), {});
  EXPECT_EQ(too_large.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(too_large.status()), HasSubstr("a share of 4 samples, one for each of 3 devices, needs "));
  EXPECT_THAT(MessageOf(too_large.status()), ContainsRegex("the largest batch that fits is [69] "));
}

TEST_F(ReplicaGroupTest, WithoutGroupsItSaysWhatToDo) {
  const auto none = DeviceGroup::Create({cpu_.get(), cpu_.get()});
  EXPECT_EQ(MessageOf(none.status()), "backend cpu has no groups of devices; use one worker for each: --device cpu:0");
  CpuGroupTable(GroupMistake::kIsNotInstalled);
  const auto absent = DeviceGroup::Create(members_);
  CpuGroupTable();
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(absent.status()),
              HasSubstr("joining 3 devices: cpu_group_checked: the library is not installed"));
}

TEST_F(ReplicaGroupTest, TheRegistryOpensAllDevicesOfABackend) {
  BackendRegistry registry;
  ASSERT_TRUE(registry.Add(*Backend::FromTable(&checked_.table(), "here")).ok());
  const auto all = registry.OpenAll("cpu_group_checked", {});
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[2]->info().Id(), "cpu_group_checked:2");
  EXPECT_EQ(registry.OpenAll("nothing", {}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace eddl
