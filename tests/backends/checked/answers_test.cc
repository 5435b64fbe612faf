// The other direction: a backend whose answers break the contract is blamed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "backends/checked/checked.h"
#include "tests/backends/checked/session.h"

namespace eddl {
namespace {

// The message of a call on a checked table, without what all have in common.
class CheckedAnswers : public ::testing::Test {
 protected:
  std::string Blamed(eddl_code code) const {
    const std::string message = error.message;
    constexpr char kStart[] = "checked: ";
    if (code != EDDL_INTERNAL || !message.starts_with(kStart)) return std::to_string(code) + " " + message;
    return message.substr(sizeof(kStart) - 1);
  }
  // Opens a device of a checked table; the caller closes it.
  eddl_device* Open(const eddl_backend& table) {
    eddl_device* device = nullptr;
    const eddl_device_options options = {.struct_size = sizeof(options)};
    EXPECT_EQ(table.device_open(0, &options, &device, &error), EDDL_OK) << error.message;
    return device;
  }
  static eddl_code Fail(eddl_error* error, eddl_code code, const char* message) {
    error->code = code;
    std::snprintf(error->message, sizeof(error->message), "%s", message);
    return code;
  }

  eddl_backend inner = FakeTable("fake");
  eddl_error error = {.struct_size = sizeof(eddl_error)};
};

TEST_F(CheckedAnswers, ErrorsOfTheBackendPassUnchanged) {
  inner.device_count = [](uint32_t*, eddl_error* out) { return Fail(out, EDDL_UNAVAILABLE, "no driver"); };
  const CheckedBackend checked(inner);
  uint32_t count = 0;
  EXPECT_EQ(checked.table().device_count(&count, &error), EDDL_UNAVAILABLE);
  EXPECT_STREQ(error.message, "no driver");
  EXPECT_EQ(checked.table().device_count(&count, nullptr), EDDL_UNAVAILABLE);
}

TEST_F(CheckedAnswers, NoDevicesIsAnError) {
  inner.device_count = [](uint32_t*, eddl_error*) -> eddl_code { return EDDL_OK; };
  const CheckedBackend checked(inner);
  uint32_t count = 7;
  EXPECT_EQ(Blamed(checked.table().device_count(&count, &error)),
            "device_count: the backend has no devices but returned EDDL_OK");
}

TEST_F(CheckedAnswers, CodesAreOfTheContract) {
  inner.device_count = [](uint32_t*, eddl_error* out) { return Fail(out, 99, "odd"); };
  const CheckedBackend checked(inner);
  uint32_t count = 0;
  EXPECT_EQ(Blamed(checked.table().device_count(&count, &error)),
            "device_count: the backend returned the unknown code 99");
}

TEST_F(CheckedAnswers, ErrorsHaveAMessageAndTheirCode) {
  static const char* message = "";
  static eddl_code recorded = 0;
  inner.device_count = [](uint32_t*, eddl_error* out) -> eddl_code {
    Fail(out, recorded, message);
    return EDDL_UNAVAILABLE;
  };
  const CheckedBackend checked(inner);
  uint32_t count = 0;
  EXPECT_EQ(Blamed(checked.table().device_count(&count, &error)),
            "device_count: the backend returned code 14 without a message");
  message = "no driver";
  EXPECT_EQ(Blamed(checked.table().device_count(&count, &error)),
            "device_count: the backend returned code 14 but error.code 0: no driver");
}

TEST_F(CheckedAnswers, MessagesAreTerminated) {
  inner.device_count = [](uint32_t*, eddl_error* out) -> eddl_code {
    std::memset(out->message, 'x', sizeof(out->message));
    return EDDL_UNAVAILABLE;
  };
  const CheckedBackend checked(inner);
  uint32_t count = 0;
  EXPECT_EQ(Blamed(checked.table().device_count(&count, &error)),
            "device_count: the backend returned code 14 with a message that is not terminated");
}

TEST_F(CheckedAnswers, DeviceInfoIsWithinTheContract) {
  static eddl_device_info answer;
  inner.device_info = [](uint32_t, eddl_device_info* info, eddl_error*) -> eddl_code {
    *info = answer;
    return EDDL_OK;
  };
  const CheckedBackend checked(inner);
  eddl_device_info info = {.struct_size = sizeof(info)};
  const auto blamed = [&](eddl_device_info given) {
    answer = given;
    return Blamed(checked.table().device_info(0, &info, &error));
  };
  EXPECT_EQ(blamed({.alignment_bytes = 24, .dtype_mask = 2, .name = "x"}),
            "device_info: the backend reports an alignment of 24 bytes; a power of two up to 4096");
  EXPECT_EQ(blamed({.alignment_bytes = 16, .dtype_mask = 2}),
            "device_info: the backend reports a device name that is empty or not terminated");
  EXPECT_EQ(blamed({.alignment_bytes = 16, .dtype_mask = 0, .name = "x"}),
            "device_info: the backend reports a device without dtypes");
  EXPECT_EQ(blamed({.memory_free_bytes = 5, .alignment_bytes = 16, .dtype_mask = 2, .name = "x"}),
            "device_info: the backend reports 5 free bytes of 0");
  answer.memory_total_bytes = 5;
  EXPECT_EQ(checked.table().device_info(0, &info, &error), EDDL_OK);
  EXPECT_EQ(info.struct_size, sizeof(info));
  EXPECT_EQ(info.memory_total_bytes, 5u);
}

TEST_F(CheckedAnswers, OkComesWithAHandle) {
  inner.device_open = [](uint32_t, const eddl_device_options*, eddl_device**, eddl_error*) -> eddl_code {
    return EDDL_OK;
  };
  const CheckedBackend checked(inner);
  eddl_device* device = nullptr;
  const eddl_device_options options = {.struct_size = sizeof(options)};
  EXPECT_EQ(Blamed(checked.table().device_open(0, &options, &device, &error)),
            "device_open: the backend returned EDDL_OK but no device");
}

TEST_F(CheckedAnswers, DryRunAgreesWithTheRealOne) {
  static bool refuse = true;
  inner.op_prepare = [](eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                        eddl_error* out) -> eddl_code {
    if (op != nullptr && refuse) return Fail(out, EDDL_UNIMPLEMENTED, "not after all");
    const eddl_code code = FakeTable("").op_prepare(device, desc, op, info, out);
    if (op != nullptr) info->workspace_bytes += 1;
    return code;
  };
  const CheckedBackend checked(inner);
  eddl_device* const device = Open(checked.table());
  Description relu(EDDL_OP_RELU);
  eddl_op* op = nullptr;
  EXPECT_EQ(Blamed(checked.table().op_prepare(device, relu.Get(), &op, nullptr, &error)),
            "op_prepare: the backend accepted the op in a dry run, then returned code 12");
  refuse = false;
  EXPECT_EQ(Blamed(checked.table().op_prepare(device, relu.Get(), &op, nullptr, &error)),
            "op_prepare: the backend wanted 32 bytes of workspace and 0 of state in a dry run, then 33 and 0");
  EXPECT_EQ(op, nullptr);
  checked.table().device_close(device);
  EXPECT_EQ(FakeLiveHandles(), 0);
}

TEST_F(CheckedAnswers, OnlyOpsThatLeaveStateWantSome) {
  inner.op_prepare = [](eddl_device*, const eddl_op_desc*, eddl_op**, eddl_op_info* info, eddl_error*) -> eddl_code {
    info->state_bytes = 4;
    std::snprintf(info->implementation, sizeof(info->implementation), "x");
    return EDDL_OK;
  };
  const CheckedBackend checked(inner);
  eddl_device* const device = Open(checked.table());
  Description relu(EDDL_OP_RELU);
  EXPECT_EQ(Blamed(checked.table().op_prepare(device, relu.Get(), nullptr, nullptr, &error)),
            "op_prepare: the backend wants 4 bytes of state for relu, which leaves none");
  checked.table().device_close(device);
}

TEST_F(CheckedAnswers, ImplementationsHaveAName) {
  inner.op_prepare = [](eddl_device*, const eddl_op_desc*, eddl_op**, eddl_op_info*, eddl_error*) -> eddl_code {
    return EDDL_OK;
  };
  const CheckedBackend checked(inner);
  eddl_device* const device = Open(checked.table());
  Description relu(EDDL_OP_RELU);
  EXPECT_EQ(Blamed(checked.table().op_prepare(device, relu.Get(), nullptr, nullptr, &error)),
            "op_prepare: the backend gives an implementation name that is empty or not terminated");
  checked.table().device_close(device);
}

TEST_F(CheckedAnswers, HostPointersAreAligned) {
  inner.buffer_host_pointer = [](eddl_buffer* buffer) -> void* {
    return static_cast<char*>(FakeTable("").buffer_host_pointer(buffer)) + 4;
  };
  const CheckedBackend checked(inner);
  eddl_device* const device = Open(checked.table());
  eddl_buffer* buffer = nullptr;
  EXPECT_EQ(Blamed(checked.table().buffer_create(device, 64, EDDL_BUFFER_DEVICE, &buffer, &error)),
            "buffer_create: the backend made a buffer whose host pointer is not aligned to 16 bytes");
  checked.table().device_close(device);
  EXPECT_EQ(FakeLiveHandles(), 0);
}

TEST_F(CheckedAnswers, ErrorsOfAQueueAreSticky) {
  static bool fails = true;
  inner.queue_wait = [](eddl_queue*, eddl_error* out) -> eddl_code {
    return fails ? Fail(out, EDDL_INTERNAL, "the kernel failed") : EDDL_OK;
  };
  const CheckedBackend checked(inner);
  const eddl_backend& table = checked.table();
  eddl_device* const device = Open(table);
  eddl_queue* queue = nullptr;
  EXPECT_EQ(table.queue_create(device, EDDL_QUEUE_COMPUTE, &queue, &error), EDDL_OK);
  EXPECT_EQ(Blamed(table.queue_wait(queue, &error)), "13 the kernel failed");
  fails = false;
  EXPECT_EQ(Blamed(table.queue_wait(queue, &error)),
            "queue_wait: the backend forgot the queue's error, which is sticky");
  table.queue_destroy(queue);
  table.device_close(device);
}

TEST_F(CheckedAnswers, EventTimesRunForward) {
  inner.event_times = [](eddl_event*, eddl_event*, uint64_t* begin_ns, uint64_t* end_ns, eddl_error*) -> eddl_code {
    *begin_ns = 9;
    *end_ns = 5;
    return EDDL_OK;
  };
  const CheckedBackend checked(inner);
  const eddl_backend& table = checked.table();
  const eddl_device_options options = {.struct_size = sizeof(options), .flags = EDDL_OPEN_PROFILE};
  eddl_device* device = nullptr;
  eddl_queue* queue = nullptr;
  eddl_event* event = nullptr;
  uint64_t begin_ns = 0, end_ns = 0;
  EXPECT_EQ(table.device_open(0, &options, &device, &error), EDDL_OK);
  EXPECT_EQ(table.queue_create(device, EDDL_QUEUE_COMPUTE, &queue, &error), EDDL_OK);
  EXPECT_EQ(table.event_record(queue, &event, &error), EDDL_OK);
  EXPECT_EQ(Blamed(table.event_times(event, event, &begin_ns, &end_ns, &error)),
            "event_times: the backend says that work began at 9 ns and ended at 5 ns");
  table.event_destroy(event);
  table.queue_destroy(queue);
  table.device_close(device);
}

}  // namespace
}  // namespace eddl
