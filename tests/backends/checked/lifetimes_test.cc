// Handles: each wrong use is refused, and says which handle and why.
#include <gmock/gmock.h>

#include <thread>

#include "tests/backends/checked/session.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class CheckedLifetimes : public Session {};

TEST_F(CheckedLifetimes, CorrectSessionIsSilentAndComputes) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  const std::array<float, 4> in = {-1, 2, -3, 4};
  std::array<float, 4> out = {};
  EXPECT_EQ(Say(table().write(queue, buffers[0], 0, in.data(), sizeof(in), &error)), "");
  EXPECT_EQ(Enqueue(relu, {.inputs = {At(0)}, .outputs = {At(1, 16)}}), "");
  EXPECT_EQ(Say(table().read(queue, buffers[1], 16, out.data(), sizeof(out), &error)), "");
  EXPECT_EQ(Say(table().queue_wait(queue, &error)), "");
  EXPECT_THAT(out, ::testing::ElementsAre(0, 2, 0, 4));
  EXPECT_STREQ(table().name, "fake_checked");
}

TEST_F(CheckedLifetimes, NullHandleIsRefused) {
  EXPECT_EQ(Say(table().queue_wait(nullptr, &error)), "INVALID_ARGUMENT checked: queue_wait: queue is NULL");
}

TEST_F(CheckedLifetimes, HandleOfAnotherKindIsRefused) {
  EXPECT_THAT(Say(table().queue_wait(reinterpret_cast<eddl_queue*>(buffers[0]), &error)),
              MatchesRegex("INVALID_ARGUMENT checked: queue_wait: 0x[0-9a-f]+ is no queue of this backend"));
}

TEST_F(CheckedLifetimes, PointerThatIsNoHandleIsRefused) {
  int unrelated = 0;
  EXPECT_THAT(Say(table().queue_wait(reinterpret_cast<eddl_queue*>(&unrelated), &error)),
              HasSubstr("is no queue of this backend"));
}

TEST_F(CheckedLifetimes, UseAfterDestroyIsRefusedAlsoWhenTheBackendReusesTheMemory) {
  eddl_buffer* const buffer = NewBuffer();
  table().buffer_destroy(buffer);
  Forget(buffer);
  NewBuffer();
  const float value = 0;
  EXPECT_THAT(Say(table().write(queue, buffer, 0, &value, 4, &error)),
              MatchesRegex("FAILED_PRECONDITION checked: write: target: buffer #[0-9]+ is already destroyed"));
}

TEST_F(CheckedLifetimes, DoubleDestroyIsReported) {
  eddl_buffer* const buffer = NewBuffer();
  table().buffer_destroy(buffer);
  Forget(buffer);
  EXPECT_EQ(Reported(), "");
  table().buffer_destroy(buffer);
  EXPECT_THAT(Reported(), MatchesRegex("checked: buffer_destroy: buffer #[0-9]+ is already destroyed"));
  eddl_op* const op = Prepared(Description(EDDL_OP_RELU));
  table().op_destroy(op);
  Forget(op);
  table().op_destroy(op);
  EXPECT_THAT(Reported(), MatchesRegex("checked: op_destroy: op #[0-9]+ is already destroyed"));
  eddl_queue* other = nullptr;
  EXPECT_EQ(Say(table().queue_create(device, EDDL_QUEUE_COPY, &other, &error)), "");
  table().queue_destroy(other);
  table().queue_destroy(other);
  EXPECT_THAT(Reported(), MatchesRegex("checked: queue_destroy: queue #[0-9]+ is already destroyed"));
}

TEST_F(CheckedLifetimes, OpIsNotEnqueuedAfterItsDestruction) {
  eddl_op* const op = Prepared(Description(EDDL_OP_RELU));
  table().op_destroy(op);
  Forget(op);
  EXPECT_THAT(Enqueue(op, {.inputs = {At(0)}, .outputs = {At(1)}}), HasSubstr("is already destroyed"));
}

TEST_F(CheckedLifetimes, ClosingADeviceWithLiveChildrenCountsThem) {
  Prepared(Description(EDDL_OP_RELU));
  table().device_close(device);
  EXPECT_THAT(Reported(), HasSubstr("is closed, but of it are not destroyed: 5 buffers, 1 queues, 1 ops, 0 events"));
}

TEST_F(CheckedLifetimes, DestroyingABufferThatWorkMayUseIsReported) {
  eddl_buffer* const buffer = NewBuffer();
  const float value = 0;
  EXPECT_EQ(Say(table().write(queue, buffer, 0, &value, 4, &error)), "");
  table().buffer_destroy(buffer);
  EXPECT_THAT(Reported(),
              MatchesRegex("checked: buffer_destroy: buffer #[0-9]+ is destroyed, but work of queue #[0-9]+ "
                           "may still use it; wait for the queue first"));
  EXPECT_EQ(Say(table().queue_wait(queue, &error)), "");
  table().buffer_destroy(buffer);
  Forget(buffer);
}

TEST_F(CheckedLifetimes, WaitingForAnEventCoversTheWorkBeforeIt) {
  eddl_buffer* const early = NewBuffer();
  eddl_buffer* const late = NewBuffer();
  const float value = 0;
  eddl_event* event = nullptr;
  EXPECT_EQ(Say(table().write(queue, early, 0, &value, 4, &error)), "");
  EXPECT_EQ(Say(table().event_record(queue, &event, &error)), "");
  EXPECT_EQ(Say(table().write(queue, late, 0, &value, 4, &error)), "");
  EXPECT_EQ(Say(table().event_wait(event, &error)), "");
  table().event_destroy(event);
  table().buffer_destroy(early);
  Forget(early);
  EXPECT_EQ(Reported(), "");
  table().buffer_destroy(late);
  EXPECT_THAT(Reported(), HasSubstr("may still use it"));
}

TEST_F(CheckedLifetimes, WaitingForAQueueCoversTheQueuesThatItWaitedFor) {
  eddl_buffer* const buffer = NewBuffer();
  eddl_queue* other = nullptr;
  eddl_event* event = nullptr;
  const float value = 0;
  EXPECT_EQ(Say(table().queue_create(device, EDDL_QUEUE_COPY, &other, &error)), "");
  EXPECT_EQ(Say(table().write(other, buffer, 0, &value, 4, &error)), "");
  EXPECT_EQ(Say(table().event_record(other, &event, &error)), "");
  EXPECT_EQ(Say(table().queue_wait_event(queue, event, &error)), "");
  EXPECT_EQ(Say(table().queue_wait(queue, &error)), "");
  table().buffer_destroy(buffer);
  Forget(buffer);
  table().event_destroy(event);
  table().queue_destroy(other);
}

TEST_F(CheckedLifetimes, DestroyedEventIsRefused) {
  eddl_event* event = nullptr;
  EXPECT_EQ(Say(table().event_record(queue, &event, &error)), "");
  table().event_destroy(event);
  EXPECT_THAT(Say(table().queue_wait_event(queue, event, &error)), HasSubstr("is already destroyed"));
  EXPECT_THAT(Say(table().event_wait(event, &error)), HasSubstr("is already destroyed"));
  table().event_destroy(event);
  EXPECT_THAT(Reported(), HasSubstr("checked: event_destroy: event #"));
}

TEST_F(CheckedLifetimes, EventTimesNeedADeviceOpenedForProfiles) {
  eddl_event* event = nullptr;
  uint64_t begin_ns = 0, end_ns = 0;
  EXPECT_EQ(Say(table().event_record(queue, &event, &error)), "");
  EXPECT_EQ(Say(table().event_times(event, event, &begin_ns, &end_ns, &error)),
            "FAILED_PRECONDITION checked: event_times: the device was opened without EDDL_OPEN_PROFILE");
  table().event_destroy(event);
}

TEST_F(CheckedLifetimes, HandlesOfTwoDevicesDoNotMix) {
  eddl_device* other = nullptr;
  eddl_buffer* foreign = nullptr;
  EXPECT_EQ(Say(table().device_open(0, &options, &other, &error)), "");
  EXPECT_EQ(Say(table().buffer_create(other, 64, EDDL_BUFFER_DEVICE, &foreign, &error)), "");
  const float value = 0;
  EXPECT_THAT(
      Say(table().write(queue, foreign, 0, &value, 4, &error)),
      MatchesRegex("INVALID_ARGUMENT checked: write: target: buffer #[0-9]+ is of device #[0-9]+, queue #[0-9]+ "
                   "of device #[0-9]+"));
  table().buffer_destroy(foreign);
  table().device_close(other);
}

TEST_F(CheckedLifetimes, HostPointerOfADestroyedBufferIsReported) {
  eddl_buffer* const buffer = NewBuffer();
  table().buffer_destroy(buffer);
  Forget(buffer);
  EXPECT_EQ(table().buffer_host_pointer(buffer), nullptr);
  EXPECT_THAT(Reported(), HasSubstr("checked: buffer_host_pointer: buffer #"));
}

TEST_F(CheckedLifetimes, StructsWithoutTheirSizeAreRefused) {
  eddl_device* other = nullptr;
  options.struct_size = 0;
  EXPECT_EQ(Say(table().device_open(0, &options, &other, &error)),
            "INVALID_ARGUMENT checked: device_open: options.struct_size is 0, set it to 32");
  eddl_device_info info = {};
  EXPECT_EQ(Say(table().device_info(0, &info, &error)),
            "INVALID_ARGUMENT checked: device_info: info.struct_size is 0, set it to 136");
  eddl_error unsized_error = {};
  uint32_t count = 0;
  EXPECT_EQ(table().device_count(&count, &unsized_error), EDDL_INVALID_ARGUMENT);
}

TEST_F(CheckedLifetimes, UnalignedImportIsRefused) {
  alignas(kFakeAlignment) std::array<std::byte, 64> bytes = {};
  eddl_buffer* buffer = nullptr;
  EXPECT_THAT(Say(table().buffer_import(device, bytes.data() + 4, 16, &buffer, &error)),
              MatchesRegex("INVALID_ARGUMENT checked: buffer_import: data 0x[0-9a-f]+ is not aligned to 16 bytes"));
  EXPECT_EQ(Say(table().buffer_import(device, nullptr, 16, &buffer, &error)),
            "INVALID_ARGUMENT checked: buffer_import: data is NULL for 16 bytes");
}

TEST_F(CheckedLifetimes, UnknownKindsAreRefused) {
  eddl_buffer* buffer = nullptr;
  eddl_queue* other = nullptr;
  EXPECT_EQ(Say(table().buffer_create(device, 4, 9, &buffer, &error)),
            "INVALID_ARGUMENT checked: buffer_create: unknown buffer kind 9");
  EXPECT_EQ(Say(table().queue_create(device, 9, &other, &error)),
            "INVALID_ARGUMENT checked: queue_create: unknown queue kind 9");
}

// While the backend is inside a call of the queue, another thread calls it too.
class CheckedThreads : public Session {
 protected:
  CheckedThreads() : Session(Reentrant()) {}

  static inline std::function<void()> during_write;

 private:
  static eddl_backend Reentrant() {
    eddl_backend table = FakeTable("fake");
    table.write = [](eddl_queue*, eddl_buffer*, uint64_t, const void*, uint64_t, eddl_error*) -> eddl_code {
      during_write();
      return EDDL_OK;
    };
    return table;
  }
};

TEST_F(CheckedThreads, QueueInTwoThreadsAtOnceIsRefused) {
  std::string second_call, destruction;
  during_write = [&] {
    std::thread([&] {
      second_call = Say(table().queue_wait(queue, &error));
      table().queue_destroy(queue);
      destruction = Reported();
    }).join();
  };
  const float value = 0;
  eddl_error own_error = {.struct_size = sizeof(eddl_error)};
  EXPECT_EQ(table().write(queue, buffers[0], 0, &value, 4, &own_error), EDDL_OK);
  EXPECT_THAT(second_call,
              MatchesRegex("FAILED_PRECONDITION checked: queue_wait: queue #[0-9]+ is used by two threads at once"));
  EXPECT_THAT(destruction, HasSubstr("is destroyed while another thread uses it"));
}

TEST(CheckedBackendTest, ViolationWithoutAHandlerEndsTheProcess) {
  const eddl_backend inner = FakeTable("fake");
  const CheckedBackend checked(inner);
  EXPECT_DEATH(checked.table().buffer_destroy(nullptr), "checked: buffer_destroy: buffer is NULL");
}

TEST(CheckedBackendTest, LacksTheOptionalSlotsThatTheBackendLacks) {
  eddl_backend inner = FakeTable("fake");
  inner.buffer_import = nullptr;
  inner.event_times = nullptr;
  const CheckedBackend checked(inner);
  EXPECT_EQ(checked.table().buffer_import, nullptr);
  EXPECT_EQ(checked.table().event_times, nullptr);
  EXPECT_NE(checked.table().event_record, nullptr);
}

TEST(CheckedBackendTest, TablesAreIndependentAndTheirPlacesAreReused) {
  const eddl_backend inner = FakeTable("fake");
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<CheckedBackend>> all;
    for (int i = 0; i < CheckedBackend::kTablesMax; ++i) all.push_back(std::make_unique<CheckedBackend>(inner));
    EXPECT_NE(all.front()->table().write, all.back()->table().write);
    EXPECT_DEATH(CheckedBackend one_more(inner), "more than CheckedBackend::kTablesMax");
  }
}

}  // namespace
}  // namespace eddl
