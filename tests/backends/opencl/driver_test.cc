// What the backend asks of the driver, and what it makes of the driver's failures.
#include <CL/cl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/nn/model.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"
#include "tests/backends/opencl/driver_calls.h"
#include "tests/backends/opencl/opencl_backend.h"

namespace eddl {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::unique_ptr<Device> Open(const Backend& backend, const DeviceOptions& options = {}) {
  auto device = Device::Open(backend, 0, options);
  EXPECT_TRUE(device.ok()) << MessageOf(device.status());
  return std::move(device).value();
}

// The plugin's folder of compiled programs, empty at first. Must be the first test of the program: a device is set up
// once in a process.
TEST(OpenclDriverTest, BuildsCachesAndRefuses) {
  EDDL_NEEDS_OPENCL(backend);
  const std::string folder = testing::TempDir() + "/opencl_cache";
  std::filesystem::remove_all(folder);

  FailNext(DriverCall::kBuild, 0);
  const auto broken = Device::Open(*backend, 0, {.cache_dir = folder});
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(MessageOf(broken.status()),
              AllOf(HasSubstr("opening device opencl:0"), HasSubstr("refuses the kernels (-cl-std=CL1.2"),
                    HasSubstr("undeclared_name")));

  const auto device = Device::Open(*backend, 0, {.cache_dir = folder});
  ASSERT_TRUE(device.ok()) << MessageOf(device.status());
  ASSERT_TRUE(std::filesystem::exists(folder));
  const std::vector<std::filesystem::directory_entry> files(std::filesystem::directory_iterator(folder), {});
  ASSERT_EQ(files.size(), 2u);  // with LANES and without, on a CPU
  for (const auto& file : files) EXPECT_GT(std::filesystem::file_size(file), 10'000u);
}

TEST(OpenclDriverTest, NoPlatformIsOneLine) {
  EDDL_NEEDS_OPENCL(backend);
  FailNext(DriverCall::kPlatforms, -1001);
  const auto devices = backend->Devices();
  ASSERT_FALSE(devices.ok());
  EXPECT_EQ(devices.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(devices.status()),
              AllOf(HasSubstr("no OpenCL driver is installed"), HasSubstr("pocl-opencl-icd")));
}

TEST(OpenclDriverTest, NoMemoryIsSaidWithTheSize) {
  EDDL_NEEDS_OPENCL(backend);
  const auto device = Open(*backend);
  FailNext(DriverCall::kCreateBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE);
  const auto buffer = Buffer::Create(*device, 12345);
  EXPECT_EQ(buffer.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(buffer.status()), AllOf(HasSubstr("12345 bytes"), HasSubstr("out of memory")));
  const auto huge = Buffer::Create(*device, uint64_t{1} << 60);
  EXPECT_EQ(huge.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(huge.status()), HasSubstr("in one piece"));
  EXPECT_TRUE(Buffer::Create(*device, 12345).ok());
}

// y = alpha x on 64 floats.
struct ScaleOp {
  explicit ScaleOp(Device& device) : op(*PreparedOp::Create(device, desc)), buffer(*Buffer::Create(device, 256)) {
    binding = {.buffer = buffer.raw(), .offset_bytes = 0};
    args = {.struct_size = sizeof(args), .scalar_count = 1, .inputs = &binding, .outputs = &binding, .scalars = &alpha};
  }
  eddl_tensor_desc x = {.shape = {64}, .rank = 1, .dtype = EDDL_F32};
  eddl_op_desc desc = {.struct_size = sizeof(desc),
                       .kind = EDDL_OP_SCALE,
                       .input_count = 1,
                       .output_count = 1,
                       .inputs = &x,
                       .outputs = &x,
                       .tag = 77};
  PreparedOp op;
  Buffer buffer;
  eddl_binding binding;
  eddl_scalar alpha = {.f = 2};
  eddl_op_args args;
};

TEST(OpenclDriverTest, AFailedLaunchStaysInTheQueueWithItsTag) {
  EDDL_NEEDS_OPENCL(backend);
  const auto device = Open(*backend);
  ScaleOp scale(*device);
  Queue queue = *Queue::Create(*device);
  FailNext(DriverCall::kLaunch, CL_OUT_OF_RESOURCES);
  const absl::Status failed = queue.Enqueue(scale.op, scale.args);
  EXPECT_EQ(failed.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(failed), AllOf(HasSubstr("enqueueing flat_scale"), HasSubstr("op tag 77")));
  EXPECT_TRUE(queue.Enqueue(scale.op, scale.args).ok());
  const absl::Status waited = queue.Wait();
  EXPECT_THAT(MessageOf(waited), AllOf(HasSubstr("enqueueing flat_scale"), HasSubstr("op tag 77")));
  EXPECT_EQ(queue.Wait(), waited);
}

TEST(OpenclDriverTest, ALostDeviceIsSaidAndStays) {
  EDDL_NEEDS_OPENCL(backend);
  const auto device = Open(*backend);
  Queue queue = *Queue::Create(*device);
  FailNext(DriverCall::kFinish, CL_DEVICE_NOT_AVAILABLE);
  const absl::Status lost = queue.Wait();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(lost), AllOf(HasSubstr("the device is lost"), HasSubstr("restart")));
  EXPECT_EQ(queue.Wait(), lost);
  EXPECT_TRUE(Queue::Create(*device)->Wait().ok());
}

class OpenclStepTest : public testing::TestWithParam<const char*> {};

TEST_P(OpenclStepTest, AllocatesNothingAndWaitsOnceForTheLoss) {
  EDDL_NEEDS_OPENCL(backend);
  const auto device = Open(*backend);
  constexpr int64_t kBatch = 4, kSteps = 3;
  const Model model =
      *Model::Create({.name = GetParam()}, {.sample_shape = {12, 12, 3}, .dtype = DType::kU8, .class_count = 10});
  const std::unique_ptr<Replica> replica = *Replica::Create(model, *device, nullptr, 1);
  auto shard = ParamShard::Create(*device, replica->queue(), model.layout(), {0, model.layout().total()}, {},
                                  replica->parameters(), replica->gradients());
  ASSERT_TRUE(shard.ok()) << MessageOf(shard.status());
  const std::vector<std::byte> x(kBatch * 12 * 12 * 3, std::byte{3});
  const std::vector<int32_t> labels(kBatch, 1);
  const std::vector<int64_t> samples(kBatch, 5);
  const auto step = [&] {
    const auto sums = replica->Train({.count = kBatch, .x = x, .labels = labels, .samples = samples}, {});
    EXPECT_TRUE(sums.ok()) << MessageOf(sums.status());
    EXPECT_TRUE(shard->Apply({.learning_rate = 0.01, .gradient_scale = 1.0 / kBatch}).ok());
  };
  ResetDriverCalls();
  step();
  EXPECT_GT(DriverCallsSoFar().host_allocations + DriverCallsSoFar().device_allocations, 0) << "nothing is counted";
  ResetDriverCalls();
  for (int64_t i = 0; i < kSteps; ++i) step();
  const DriverCalls calls = DriverCallsSoFar();
  RecordProperty("launches_per_step", static_cast<int>(calls.launches / kSteps));
  std::printf("%s: %lld launches a step\n", GetParam(), static_cast<long long>(calls.launches / kSteps));
  EXPECT_GT(calls.launches, 0);
  EXPECT_EQ(calls.device_allocations, 0);
  EXPECT_EQ(calls.host_allocations, 0);
  EXPECT_EQ(calls.waits, kSteps);  // Train returns the loss
}

INSTANTIATE_TEST_SUITE_P(Zoo, OpenclStepTest,
                         testing::Values("pernet", "lenet5", "inception_small", "resnet20", "mobilenet_small"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace eddl
