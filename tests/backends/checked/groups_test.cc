// Groups behind the decorator: what does not belong together is refused, and the suite finds nothing to say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "backends/checked/checked.h"
#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/conformance/cpu_group.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr uint64_t kCount = 64;
constexpr uint64_t kBytes = kCount * sizeof(float);

// Two devices with a queue and a buffer each, and a group over them.
class CheckedGroups : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint32_t i = 0; i < 2; ++i) {
      devices.emplace_back();
      queues.emplace_back();
      targets.emplace_back();
      ASSERT_EQ(table().device_open(i, &options, &devices.back(), &error), EDDL_OK) << error.message;
      ASSERT_EQ(table().queue_create(devices[i], EDDL_QUEUE_COMPUTE, &queues.back(), &error), EDDL_OK);
      ASSERT_EQ(table().buffer_create(devices[i], 2 * kBytes, EDDL_BUFFER_DEVICE, &targets.back().buffer, &error),
                EDDL_OK);
    }
    ASSERT_EQ(table().group_create(devices.data(), 2, &group, &error), EDDL_OK) << error.message;
  }
  void TearDown() override {
    for (eddl_queue* queue : queues) table().queue_wait(queue, &error);
    if (group != nullptr) table().group_destroy(group);
    for (const eddl_binding& target : targets) table().buffer_destroy(target.buffer);
    for (eddl_queue* queue : queues) table().queue_destroy(queue);
    for (eddl_device* device : devices) table().device_close(device);
    EXPECT_EQ(reported, "");
  }

  const eddl_backend& table() const { return checked_.table(); }
  // "" if the sum was enqueued.
  std::string Sum(uint64_t count = kCount, eddl_dtype dtype = EDDL_F32) {
    const eddl_code code = table().all_reduce(group, queues.data(), targets.data(), count, dtype, &error);
    return code == EDDL_OK ? "" : error.message;
  }

  std::string reported;
  eddl_device_options options = {.struct_size = sizeof(options)};
  eddl_error error = {.struct_size = sizeof(error)};
  std::vector<eddl_device*> devices;
  std::vector<eddl_queue*> queues;
  std::vector<eddl_binding> targets;
  eddl_group* group = nullptr;

 private:
  CheckedBackend checked_{conformance::CpuGroupTable(), [this](const std::string& message) { reported += message; }};
};

TEST_F(CheckedGroups, ACorrectSumPasses) {
  const std::vector<float> ones(kCount, 1);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(table().write(queues[i], targets[i].buffer, 0, ones.data(), kBytes, &error), EDDL_OK);
  }
  EXPECT_EQ(Sum(), "");
  std::vector<float> got(kCount);
  ASSERT_EQ(table().read(queues[1], targets[1].buffer, 0, got.data(), kBytes, &error), EDDL_OK);
  ASSERT_EQ(table().queue_wait(queues[1], &error), EDDL_OK);
  EXPECT_EQ(got, std::vector<float>(kCount, 2));
}

TEST_F(CheckedGroups, DevicesAreDifferentOnesAndAlive) {
  eddl_group* other = nullptr;
  eddl_device* const twice[] = {devices[0], devices[0]};
  EXPECT_EQ(table().group_create(twice, 2, &other, &error), EDDL_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, MatchesRegex("checked: group_create: device #[0-9]+ is twice in the group"));
  EXPECT_EQ(table().group_create(twice, 0, &other, &error), EDDL_INVALID_ARGUMENT);
  eddl_device* const wrong[] = {devices[0], reinterpret_cast<eddl_device*>(queues[0])};
  EXPECT_EQ(table().group_create(wrong, 2, &other, &error), EDDL_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("is no device of this backend"));
}

TEST_F(CheckedGroups, QueuesAndTargetsAreOfTheirDevices) {
  std::swap(queues[0], queues[1]);
  EXPECT_THAT(Sum(), MatchesRegex("checked: all_reduce: queue 0, #[0-9]+, is of device #.*the group's device 0 is .*"));
  std::swap(queues[0], queues[1]);
  std::swap(targets[0], targets[1]);
  EXPECT_THAT(Sum(), HasSubstr("target 0: buffer #"));
  std::swap(targets[0], targets[1]);
  EXPECT_EQ(Sum(), "");
}

TEST_F(CheckedGroups, TargetsLieInTheirBuffersAndAreAligned) {
  EXPECT_THAT(Sum(2 * kCount + 1), HasSubstr("target 0: 516 bytes at offset 0 leave buffer #"));
  EXPECT_THAT(Sum(uint64_t{1} << 63), HasSubstr("elements overflow"));
  EXPECT_THAT(Sum(kCount, 77), HasSubstr("there is no dtype 77"));
  targets[1].offset_bytes = 4;
  EXPECT_THAT(Sum(), HasSubstr("target 1: offset 4 is no multiple of the device's"));
  targets[1].offset_bytes = 0;
}

TEST_F(CheckedGroups, NothingGoesWhileASumMayBeUnderWay) {
  EXPECT_EQ(Sum(), "");
  table().group_destroy(group);
  EXPECT_THAT(std::exchange(reported, ""), HasSubstr("is destroyed while a sum of it may be under way"));
  table().buffer_destroy(targets[0].buffer);
  EXPECT_THAT(std::exchange(reported, ""), HasSubstr("checked: buffer_destroy: "));
}

TEST_F(CheckedGroups, ADeviceOutlivesItsGroups) {
  table().device_close(devices[0]);
  EXPECT_THAT(std::exchange(reported, ""), HasSubstr("and it is in 1 groups"));
  table().group_destroy(group);
  EXPECT_EQ(std::exchange(reported, ""), "");
  EXPECT_THAT(Sum(), MatchesRegex("checked: all_reduce: group #[0-9]+ is already destroyed"));
  group = nullptr;
}

TEST(CheckedGroupsSuite, TheSuitePassesBehindTheDecorator) {
  std::string violations;
  const CheckedBackend checked(conformance::CpuGroupTable(),
                               [&](const std::string& message) { violations += message + "\n"; });
  const auto report = conformance::RunConformance(checked.table(), 0, {.filter = "group/", .thread_count = 1});
  EXPECT_TRUE(report.ok()) << conformance::FormatReport(report);
  EXPECT_EQ(conformance::Summarize(report)[0].lacking, 0);
  EXPECT_EQ(violations, "");
}

}  // namespace
}  // namespace eddl
