// What the conformance suite, which runs on every backend, does not ask of this one: staging memory, events that
// deliver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/backends/cuda/cuda_backend.h"

namespace eddl {
namespace {

using testing::HasSubstr;

class CudaDeviceTest : public testing::TestWithParam<eddl_open_flags> {
 protected:
  void SetUp() override {
    EDDL_NEEDS_CUDA(backend);
    table_ = &backend->table();
    const eddl_device_options options = {.struct_size = sizeof(options), .flags = GetParam()};
    ASSERT_EQ(table_->device_open(0, &options, &device_, &error_), EDDL_OK) << error_.message;
    ASSERT_EQ(table_->queue_create(device_, EDDL_QUEUE_COPY, &queue_, &error_), EDDL_OK) << error_.message;
    ASSERT_EQ(table_->buffer_create(device_, kBytes, EDDL_BUFFER_DEVICE, &buffer_, &error_), EDDL_OK);
    std::iota(sent_.begin(), sent_.end(), 0u);
  }
  void TearDown() override {
    if (queue_ != nullptr) table_->queue_destroy(queue_);
    if (buffer_ != nullptr) table_->buffer_destroy(buffer_);
    if (device_ != nullptr) table_->device_close(device_);
  }

  // Twice what the staging memory of a queue holds, and a bit.
  static constexpr uint64_t kBytes = (uint64_t{9} << 20) + 4;

  const eddl_backend* table_ = nullptr;
  eddl_device* device_ = nullptr;
  eddl_queue* queue_ = nullptr;
  eddl_buffer* buffer_ = nullptr;
  eddl_error error_ = {.struct_size = sizeof(error_)};
  std::vector<uint32_t> sent_ = std::vector<uint32_t>(kBytes / sizeof(uint32_t));
  std::vector<uint32_t> got_ = std::vector<uint32_t>(kBytes / sizeof(uint32_t));
};

TEST_P(CudaDeviceTest, MovesMoreThanItsStagingMemoryHolds) {
  ASSERT_EQ(table_->write(queue_, buffer_, 0, sent_.data(), kBytes, &error_), EDDL_OK) << error_.message;
  ASSERT_EQ(table_->read(queue_, buffer_, 0, got_.data(), kBytes, &error_), EDDL_OK) << error_.message;
  ASSERT_EQ(table_->queue_wait(queue_, &error_), EDDL_OK) << error_.message;
  EXPECT_TRUE(got_ == sent_);
}

// Whoever waits for the event has what was read before it; the queue goes on.
TEST_P(CudaDeviceTest, AnEventDeliversWhatWasReadBeforeIt) {
  eddl_event* event = nullptr;
  uint32_t later = 0;
  ASSERT_EQ(table_->write(queue_, buffer_, 0, sent_.data(), 64, &error_), EDDL_OK);
  ASSERT_EQ(table_->read(queue_, buffer_, 0, got_.data(), 64, &error_), EDDL_OK);
  ASSERT_EQ(table_->event_record(queue_, &event, &error_), EDDL_OK);
  ASSERT_EQ(table_->read(queue_, buffer_, 4, &later, sizeof(later), &error_), EDDL_OK);
  ASSERT_EQ(table_->event_wait(event, &error_), EDDL_OK) << error_.message;
  EXPECT_TRUE(std::equal(got_.begin(), got_.begin() + 16, sent_.begin()));
  ASSERT_EQ(table_->queue_wait(queue_, &error_), EDDL_OK);
  EXPECT_EQ(later, 1u);
  table_->event_destroy(event);
}

TEST_P(CudaDeviceTest, EventsHaveTimesIfTheDeviceWasOpenedForThat) {
  eddl_event *begin = nullptr, *end = nullptr;
  ASSERT_EQ(table_->event_record(queue_, &begin, &error_), EDDL_OK);
  ASSERT_EQ(table_->write(queue_, buffer_, 0, sent_.data(), 64, &error_), EDDL_OK);
  ASSERT_EQ(table_->event_record(queue_, &end, &error_), EDDL_OK);
  ASSERT_EQ(table_->queue_wait(queue_, &error_), EDDL_OK);
  uint64_t begin_ns = 0, end_ns = 0;
  const eddl_code code = table_->event_times(begin, end, &begin_ns, &end_ns, &error_);
  if (GetParam() == EDDL_OPEN_PROFILE) {
    EXPECT_EQ(code, EDDL_OK) << error_.message;
    EXPECT_LT(begin_ns, end_ns);
  } else {
    EXPECT_EQ(code, EDDL_FAILED_PRECONDITION);
    EXPECT_THAT(error_.message, HasSubstr("opened without EDDL_OPEN_PROFILE"));
  }
  table_->event_destroy(begin);
  table_->event_destroy(end);
}

INSTANTIATE_TEST_SUITE_P(Flags, CudaDeviceTest, testing::Values(eddl_open_flags{0}, EDDL_OPEN_PROFILE));

}  // namespace
}  // namespace eddl
