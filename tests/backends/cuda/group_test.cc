// Several GPUs as one: sums over a group, in turn with what else is on the queues. Needs two devices or more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/backends/cuda/cuda_backend.h"

namespace eddl {
namespace {

using testing::HasSubstr;

constexpr uint64_t kCount = 700;
constexpr uint64_t kBytes = kCount * sizeof(float);

class CudaGroupTest : public testing::Test {
 protected:
  void SetUp() override {
    EDDL_NEEDS_CUDA(backend);
    const auto devices = *backend->Devices();
    if (devices.size() < 2) GTEST_SKIP() << "one GPU only: a group needs two";
    table_ = &backend->table();
    if (table_->group_create == nullptr) GTEST_SKIP() << "the backend was built without NCCL's header";
    eddl_error error = {.struct_size = sizeof(error)};
    const eddl_device_options options = {.struct_size = sizeof(options)};
    for (uint32_t i = 0; i < devices.size(); ++i) {
      raw_.emplace_back();
      queues_.emplace_back();
      targets_.emplace_back();
      ASSERT_EQ(table_->device_open(i, &options, &raw_.back(), &error), EDDL_OK) << error.message;
      ASSERT_EQ(table_->queue_create(raw_[i], EDDL_QUEUE_COMPUTE, &queues_.back(), &error), EDDL_OK) << error.message;
      ASSERT_EQ(table_->buffer_create(raw_[i], kBytes, EDDL_BUFFER_DEVICE, &targets_.back().buffer, &error), EDDL_OK);
    }
  }
  void TearDown() override {
    for (eddl_queue* queue : queues_) table_->queue_destroy(queue);
    for (const eddl_binding& target : targets_) table_->buffer_destroy(target.buffer);
    for (eddl_device* device : raw_) table_->device_close(device);
  }

  // Member i writes i + 1 into every element of its buffer.
  void WriteRanks() {
    for (size_t i = 0; i < raw_.size(); ++i) {
      values_.assign(kCount, static_cast<float>(i + 1));
      eddl_error error = {.struct_size = sizeof(error)};
      ASSERT_EQ(table_->write(queues_[i], targets_[i].buffer, 0, values_.data(), kBytes, &error), EDDL_OK);
      ASSERT_EQ(table_->queue_wait(queues_[i], &error), EDDL_OK);
    }
  }

  std::vector<float> ReadMember(size_t i) {
    std::vector<float> got(kCount);
    eddl_error error = {.struct_size = sizeof(error)};
    EXPECT_EQ(table_->read(queues_[i], targets_[i].buffer, 0, got.data(), kBytes, &error), EDDL_OK);
    EXPECT_EQ(table_->queue_wait(queues_[i], &error), EDDL_OK) << error.message;
    return got;
  }

  const eddl_backend* table_ = nullptr;
  std::vector<eddl_device*> raw_;
  std::vector<eddl_queue*> queues_;
  std::vector<eddl_binding> targets_;
  std::vector<float> values_;
};

TEST_F(CudaGroupTest, EveryMemberGetsTheSumOfAll) {
  WriteRanks();
  eddl_group* group = nullptr;
  eddl_error error = {.struct_size = sizeof(error)};
  const auto count = static_cast<uint32_t>(raw_.size());
  ASSERT_EQ(table_->group_create(raw_.data(), count, &group, &error), EDDL_OK) << error.message;
  // Twice: the second one sums what the first one has left.
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(table_->all_reduce(group, queues_.data(), targets_.data(), kCount, EDDL_F32, &error), EDDL_OK)
        << error.message;
  }
  const float sum = static_cast<float>(count * (count + 1) / 2 * count);
  for (size_t i = 0; i < raw_.size(); ++i) EXPECT_EQ(ReadMember(i), std::vector<float>(kCount, sum)) << i;
  table_->group_destroy(group);
}

TEST_F(CudaGroupTest, RefusesWhatIsNotOneDeviceEach) {
  eddl_group* group = nullptr;
  eddl_error error = {.struct_size = sizeof(error)};
  eddl_device* const twice[] = {raw_[0], raw_[0]};
  EXPECT_EQ(table_->group_create(twice, 2, &group, &error), EDDL_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("GPU 0 is twice in the group"));
  EXPECT_EQ(table_->group_create(twice, 0, &group, &error), EDDL_INVALID_ARGUMENT);

  ASSERT_EQ(table_->group_create(raw_.data(), static_cast<uint32_t>(raw_.size()), &group, &error), EDDL_OK);
  std::swap(queues_[0], queues_[1]);
  EXPECT_EQ(table_->all_reduce(group, queues_.data(), targets_.data(), kCount, EDDL_F32, &error),
            EDDL_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("queue or target 0 is not of the group's device 0"));
  std::swap(queues_[0], queues_[1]);
  EXPECT_EQ(table_->all_reduce(group, queues_.data(), targets_.data(), kCount + 1, EDDL_F32, &error),
            EDDL_INVALID_ARGUMENT);
  EXPECT_EQ(table_->all_reduce(group, queues_.data(), targets_.data(), kCount, EDDL_I64, &error), EDDL_UNIMPLEMENTED);
  table_->group_destroy(group);
}

// Run with lose=ncclAllReduce:N, of the Nth call in the second round: that GPU is gone, and the others' sum waits for
// it.
TEST_F(CudaGroupTest, AGpuThatIsLostEndsTheSumOfAllWithAnError) {
  if (std::getenv("EDDL_CUDA_EMULATOR") == nullptr ||
      std::strstr(std::getenv("EDDL_CUDA_EMULATOR"), "lose=ncclAllReduce:5") == nullptr) {
    GTEST_SKIP() << "needs an emulated GPU that is lost in a sum (lose=ncclAllReduce:5)";
  }
  WriteRanks();
  eddl_group* group = nullptr;
  eddl_error error = {.struct_size = sizeof(error)};
  ASSERT_EQ(table_->group_create(raw_.data(), static_cast<uint32_t>(raw_.size()), &group, &error), EDDL_OK);
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(table_->all_reduce(group, queues_.data(), targets_.data(), kCount, EDDL_F32, &error), EDDL_OK)
        << error.message;
  }
  for (eddl_queue* queue : queues_) {
    EXPECT_EQ(table_->queue_wait(queue, &error), EDDL_UNAVAILABLE);
    EXPECT_EQ(error.flags & EDDL_ERROR_DEVICE_LOST, EDDL_ERROR_DEVICE_LOST);
    EXPECT_THAT(error.message, HasSubstr("GPU 1 of a group of 3 failed, and the others' sum with it was stopped"));
  }
  // The group stays as it is, and nothing waits any more.
  EXPECT_EQ(table_->all_reduce(group, queues_.data(), targets_.data(), kCount, EDDL_F32, &error), EDDL_UNAVAILABLE);
  EXPECT_THAT(error.message, HasSubstr("start again without it"));
  table_->group_destroy(group);
}

}  // namespace
}  // namespace eddl
