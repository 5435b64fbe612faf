// Device, Buffer, Queue and PreparedOp over a fake table: ownership and errors.
#include "runtime/device/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "backends/sdk/eddl_ops.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "tests/runtime/device/fake_backend.h"

namespace eddl {
namespace {

using ::testing::ElementsAre;

class DeviceTest : public ::testing::Test {
 protected:
  DeviceTest() : DeviceTest(FakeTable("fake")) {}
  explicit DeviceTest(const eddl_backend& table) : backend_(*Backend::FromTable(&table, "here")) {}
  ~DeviceTest() override {
    device_.reset();
    EXPECT_EQ(FakeLiveHandles(), 0);
  }

  Device& Open(const DeviceOptions& options = {}) {
    device_ = *Device::Open(*backend_, 0, options);
    return *device_;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Device> device_;
};

// One op on f32 [4], with the arrays that its description borrows.
struct UnaryOp {
  explicit UnaryOp(eddl_op_kind kind, uint64_t tag = 0) {
    desc = {.struct_size = sizeof(eddl_op_desc),
            .kind = kind,
            .input_count = 1,
            .output_count = 1,
            .inputs = &tensor,
            .outputs = &tensor,
            .tag = tag};
  }
  eddl_tensor_desc tensor = {.shape = {4}, .rank = 1, .dtype = EDDL_F32};
  eddl_op_desc desc;
};

TEST_F(DeviceTest, OpenPassesTheOptionsOn) {
  static eddl_device_options seen;
  eddl_backend table = FakeTable("options");
  table.device_open = [](uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error) {
    seen = *options;
    EXPECT_STREQ(options->cache_dir, "/tmp/cache");
    return FakeTable("").device_open(index, options, device, error);
  };
  const auto backend = *Backend::FromTable(&table, "here");
  const auto device = Device::Open(*backend, 0,
                                   {.thread_count = 3,
                                    .memory_limit_bytes = 1000,
                                    .cache_dir = "/tmp/cache",
                                    .deterministic = true,
                                    .allow_tf32 = true});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(seen.struct_size, sizeof(eddl_device_options));
  EXPECT_EQ(seen.thread_count, 3u);
  EXPECT_EQ(seen.memory_limit_bytes, 1000u);
  EXPECT_EQ(seen.flags, static_cast<eddl_open_flags>(EDDL_OPEN_DETERMINISTIC | EDDL_OPEN_ALLOW_TF32));
  EXPECT_EQ((*device)->options().thread_count, 3u);
}

TEST_F(DeviceTest, OpenOfAMissingIndexIsNotFound) {
  EXPECT_EQ(Device::Open(*backend_, 1, {}).status(),
            NotFound("no device 'fake:1': backend fake has 1, counted from 0"));
}

TEST_F(DeviceTest, RunsAnOpAndReadsItsResult) {
  Device& device = Open();
  const UnaryOp relu(EDDL_OP_RELU);
  const PreparedOp op = *PreparedOp::Create(device, relu.desc);
  EXPECT_EQ(op.info().workspace_bytes, kFakeWorkspaceBytes);
  EXPECT_EQ(op.info().implementation, "fake:relu");
  const Buffer x = *Buffer::Create(device, 16);
  const Buffer y = *Buffer::Create(device, 16);
  Queue queue = *Queue::Create(device);
  const std::array<float, 4> in = {-1, 2, -3, 4};
  std::array<float, 4> out = {};
  ASSERT_TRUE(queue.Write(x, 0, std::as_bytes(std::span(in))).ok());
  const eddl_binding from = {x.raw(), 0}, to = {y.raw(), 0};
  ASSERT_TRUE(queue.Enqueue(op, {.struct_size = sizeof(eddl_op_args), .inputs = &from, .outputs = &to}).ok());
  ASSERT_TRUE(queue.Read(y, 0, std::as_writable_bytes(std::span(out))).ok());
  ASSERT_TRUE(queue.Wait().ok());
  EXPECT_THAT(out, ElementsAre(0, 2, 0, 4));
}

TEST_F(DeviceTest, CopiesAndFillsRanges) {
  Device& device = Open();
  const Buffer a = *Buffer::Create(device, 4), b = *Buffer::Create(device, 4);
  Queue queue = *Queue::Create(device);
  const std::array<std::byte, 4> bytes = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  ASSERT_TRUE(queue.Write(a, 0, bytes).ok());
  ASSERT_TRUE(queue.FillZero(b, 0, 4).ok());
  ASSERT_TRUE(queue.Copy(a, 1, b, 2, 2).ok());
  ASSERT_TRUE(queue.FillZero(a, 0, 3).ok());
  ASSERT_TRUE(queue.Wait().ok());
  EXPECT_THAT(std::span(b.host_data(), 4), ElementsAre(std::byte{0}, std::byte{0}, std::byte{2}, std::byte{3}));
  EXPECT_THAT(std::span(a.host_data(), 4), ElementsAre(std::byte{0}, std::byte{0}, std::byte{0}, std::byte{4}));
}

TEST_F(DeviceTest, QueryIsADryRun) {
  Device& device = Open();
  const UnaryOp pool(EDDL_OP_MAX_POOL2D);
  const int before = FakeLiveHandles();
  const auto info = device.Query(pool.desc);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->state_bytes, kFakeStateBytes);
  EXPECT_EQ(FakeLiveHandles(), before);
  const UnaryOp matmul(EDDL_OP_MATMUL);
  EXPECT_EQ(device.Query(matmul.desc).status(), Unimplemented("fake: the fake backend does not multiply matrices"));
  EXPECT_EQ(PreparedOp::Create(device, matmul.desc).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(DeviceTest, AsynchronousErrorNamesTheOpAndIsSticky) {
  Device& device = Open();
  const UnaryOp failing(EDDL_OP_ABS_MAX, /*tag=*/77);
  const PreparedOp op = *PreparedOp::Create(device, failing.desc);
  const Buffer buffer = *Buffer::Create(device, 16);
  Queue queue = *Queue::Create(device);
  const eddl_binding binding = {buffer.raw(), 0};
  ASSERT_TRUE(queue.Enqueue(op, {.struct_size = sizeof(eddl_op_args), .inputs = &binding, .outputs = &binding}).ok());
  const absl::Status expected = absl::Status(absl::StatusCode::kInternal, "fake: the kernel failed (op tag 77)");
  EXPECT_EQ(queue.Wait(), expected);
  EXPECT_EQ(queue.Wait(), expected);
}

TEST_F(DeviceTest, MemoryLimitIsResourceExhaustedAndTheBufferIsNotMade) {
  Device& device = Open({.memory_limit_bytes = 100});
  EXPECT_EQ(Buffer::Create(device, 101).status(), ResourceExhausted("fake: the memory limit is reached"));
}

TEST_F(DeviceTest, ImportWrapsTheCallersBytes) {
  Device& device = Open();
  std::vector<std::byte> bytes(32, std::byte{7});
  const auto buffer = Buffer::Import(device, bytes);
  ASSERT_TRUE(buffer.ok()) << buffer.status();
  EXPECT_EQ(buffer->host_data(), bytes.data());
  EXPECT_EQ(buffer->size_bytes(), 32u);
}

TEST_F(DeviceTest, ImportIsUnimplementedWhereTheBackendLacksIt) {
  eddl_backend table = FakeTable("plain");
  table.buffer_import = nullptr;
  const auto backend = *Backend::FromTable(&table, "here");
  const auto device = *Device::Open(*backend, 0, {});
  std::vector<std::byte> bytes(32);
  EXPECT_EQ(Buffer::Import(*device, bytes).status(),
            Unimplemented("plain:0: this backend can't import host memory; create a buffer and write to it"));
}

TEST_F(DeviceTest, HandlesMoveAndAreDestroyedOnce) {
  Device& device = Open();
  const UnaryOp relu(EDDL_OP_RELU);
  const int before = FakeLiveHandles();
  {
    Buffer buffer = *Buffer::Create(device, 8);
    eddl_buffer* const raw = buffer.raw();
    Buffer moved = std::move(buffer);
    EXPECT_FALSE(buffer.valid());
    EXPECT_EQ(buffer.size_bytes(), 0u);
    EXPECT_EQ(moved.raw(), raw);
    moved = *Buffer::Create(device, 16);
    EXPECT_EQ(moved.size_bytes(), 16u);
    PreparedOp op = *PreparedOp::Create(device, relu.desc);
    op = *PreparedOp::Create(device, relu.desc);
    Queue queue = *Queue::Create(device);
    queue = *Queue::Create(device);
    Queue last = std::move(queue);
    EXPECT_TRUE(last.Wait().ok());
    EXPECT_EQ(FakeLiveHandles(), before + 3);
  }
  EXPECT_EQ(FakeLiveHandles(), before);
}

TEST_F(DeviceTest, StatusSurvivesABadErrorRecord) {
  const eddl_backend table = FakeTable("odd");
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  EXPECT_EQ(StatusFromAbi(table, EDDL_OK, error), absl::OkStatus());
  EXPECT_EQ(MessageOf(StatusFromAbi(table, EDDL_INTERNAL, error)), "odd: failed with code 13 and no message");
  EXPECT_EQ(StatusFromAbi(table, 1000, error).code(), absl::StatusCode::kUnknown);
  std::fill(std::begin(error.message), std::end(error.message), 'x');  // not terminated
  EXPECT_EQ(MessageOf(StatusFromAbi(table, EDDL_INTERNAL, error)), "odd: " + std::string(sizeof(error.message), 'x'));
}

TEST_F(DeviceTest, EmptyQueueIsABug) {
  Queue queue;
  EXPECT_DEATH((void)queue.Wait(), "wait for an empty queue");
}

}  // namespace
}  // namespace eddl
