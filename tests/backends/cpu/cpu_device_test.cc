// The CPU backend's device: its threads, memory, messages and what an enqueue allocates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>

#include "bench/kernels/cases.h"

// Every allocation of C++ code in the process, oneDNN's included, passes here.
namespace {
std::atomic<uint64_t> allocation_count = 0;
}
// Not inlined, so that the compiler does not compare the two sides of a pair that it sees half of.
__attribute__((noinline)) void* operator new(std::size_t size) {
  ++allocation_count;
  if (void* data = std::malloc(size > 0 ? size : 1)) return data;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* data) noexcept { std::free(data); }
__attribute__((noinline)) void operator delete(void* data, std::size_t) noexcept { std::free(data); }

namespace eddl::bench {
namespace {

using ::testing::HasSubstr;

const eddl_backend* Backend() {
  static const eddl_backend* const backend = LoadBackend(EDDL_DEFAULT_BACKEND_DIR);
  return backend;
}

int64_t ThreadCount() {
  int64_t count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

OpSpec LargeRelu() {
  const eddl_tensor_desc flat = Tensor({1 << 20});
  return {.kind = EDDL_OP_RELU, .inputs = {flat}, .outputs = {flat}};
}

OpSpec LargeMatmul() {
  OpSpec spec = {.kind = EDDL_OP_MATMUL,
                 .inputs = {Tensor({256, 256}), Tensor({256, 256}), Absent()},
                 .outputs = {Tensor({256, 256})}};
  return spec.With(eddl_matmul_attrs{});
}

// The pool of threads only grows, so that the small count comes first.
TEST(CpuDeviceTest, ComputesOnAsManyThreadsAsTheDeviceWasOpenedWith) {
  const int64_t before = ThreadCount();
  for (const uint32_t threads : {1u, 3u}) {
    const Session session(Backend(), threads);
    for (const OpSpec& spec : {LargeRelu(), LargeMatmul()}) OpRunner(session, spec).Run();
    EXPECT_EQ(ThreadCount(), before + threads - 1) << "opened with " << threads;
  }
}

TEST(CpuDeviceTest, NoThreadCountMeansAllCores) {
  eddl_device_info info = {};
  info.struct_size = sizeof(info);
  eddl_error error = NoError();
  ASSERT_EQ(Backend()->device_info(0, &info, &error), EDDL_OK) << error.message;
  EXPECT_GE(info.compute_units, 1u);
  EXPECT_GT(info.score, 0u);
  EXPECT_GT(info.memory_total_bytes, info.memory_free_bytes);
  EXPECT_EQ(info.flags, EDDL_DEVICE_INTEGRATED | EDDL_DEVICE_DETERMINISTIC);
  EXPECT_THAT(info.name, HasSubstr("("));
}

TEST(CpuDeviceTest, BuffersStayBelowTheMemoryLimit) {
  const Session session(Backend(), 1, /*memory_limit_bytes=*/4096);
  const eddl_backend& table = session.table();
  eddl_error error = NoError();
  eddl_buffer* first = session.NewBuffer(3000);
  eddl_buffer* second = nullptr;
  EXPECT_EQ(table.buffer_create(session.device(), 2000, EDDL_BUFFER_DEVICE, &second, &error), EDDL_RESOURCE_EXHAUSTED);
  EXPECT_STREQ(
      error.message,
      "a buffer of 2000 bytes does not fit: 3000 of the limit of 4096 bytes are in use; raise the memory limit or "
      "make the batch smaller");
  EXPECT_EQ(error.flags, EDDL_ERROR_OUT_OF_MEMORY);
  table.buffer_destroy(first);
  ASSERT_EQ(table.buffer_create(session.device(), 2000, EDDL_BUFFER_DEVICE, &second, &error), EDDL_OK);
  table.buffer_destroy(second);
}

TEST(CpuDeviceTest, MessagesNameTheOpAndTheValues) {
  const Session session(Backend(), 1);
  const auto message = [&](const OpSpec& spec) {
    eddl_error error = NoError();
    const eddl_op_desc desc = spec.Describe();
    const eddl_code code = session.table().op_prepare(session.device(), &desc, nullptr, nullptr, &error);
    return std::to_string(code) + " " + error.message;
  };
  OpSpec matmul = LargeMatmul();
  matmul.inputs[1] = Tensor({255, 256});
  EXPECT_EQ(message(matmul), "3 matmul: b is f32 [255, 256], expected f32 [256, 256]");
  OpSpec relu = LargeRelu();
  relu.inputs[0].dtype = relu.outputs[0].dtype = EDDL_I32;
  EXPECT_EQ(message(relu), "12 relu: x is i32 [1048576], the cpu backend computes it as f32 [1048576] only");
  relu.kind = 9999;
  EXPECT_EQ(message(relu), "12 op kind 9999 is not known to the cpu backend");
}

TEST(CpuDeviceTest, AnEnqueueOutsideItsBufferIsRefusedAndChangesNothing) {
  const Session session(Backend(), 1);
  OpRunner relu(session, {.kind = EDDL_OP_RELU, .inputs = {Tensor({64})}, .outputs = {Tensor({64})}});
  const std::vector<float> before = relu.Output(0);
  relu.outputs()[0].offset_bytes = 64;
  eddl_error error = NoError();
  EXPECT_EQ(session.table().op_enqueue(session.queue(), relu.op(), &relu.args(), &error), EDDL_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "output: bytes [64, +256) lie beyond the buffer's 256");
  EXPECT_EQ(error.tag, uint64_t{EDDL_OP_RELU});
  relu.outputs()[0].offset_bytes = 0;
  EXPECT_EQ(relu.Output(0), before);
}

TEST(CpuDeviceTest, ALabelBeyondTheClassesStaysInTheQueue) {
  const Session session(Backend(), 1);
  OpRunner xent(session, {.kind = EDDL_OP_SOFTMAX_XENT,
                          .inputs = {Tensor({2, 3}), Tensor({2}, EDDL_I32)},
                          .outputs = {Tensor({1}), Tensor({1})}});
  xent.Write<int32_t>(xent.inputs()[1], {1, 3});
  eddl_queue* queue = nullptr;
  eddl_error error = NoError();
  ASSERT_EQ(session.table().queue_create(session.device(), EDDL_QUEUE_COMPUTE, &queue, &error), EDDL_OK);
  session.table().op_enqueue(queue, xent.op(), &xent.args(), nullptr);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(session.table().queue_wait(queue, &error), EDDL_INVALID_ARGUMENT);
    EXPECT_STREQ(error.message, "softmax_xent: the label of row 1 is 3, but there are 3 classes");
    EXPECT_EQ(error.tag, uint64_t{EDDL_OP_SOFTMAX_XENT});
  }
  session.table().queue_destroy(queue);
}

// A leader runs the optimizer on memory that the network filled.
TEST(CpuDeviceTest, ImportedMemoryIsUpdatedInPlaceWithTheSameBits) {
  const Session session(Backend(), 1);
  const Case sgd = FlatCases(1000).front();
  ASSERT_EQ(sgd.spec.kind, eddl_op_kind{EDDL_OP_SGD});
  OpRunner on_device(session, sgd.spec);
  OpRunner on_host(session, sgd.spec);
  alignas(64) static float param[1008];
  const std::vector<float> start = on_host.Input(1);
  std::copy(start.begin(), start.end(), param);
  eddl_buffer* imported = nullptr;
  eddl_error error = NoError();
  ASSERT_EQ(session.table().buffer_import(session.device(), param, sizeof(param), &imported, &error), EDDL_OK);
  EXPECT_EQ(session.table().buffer_host_pointer(imported), param);
  const eddl_binding device_param = on_host.inputs()[1];
  on_host.inputs()[1] = on_host.outputs()[0] = {.buffer = imported, .offset_bytes = 0};
  on_device.Run();
  on_host.Run();
  EXPECT_EQ(std::vector<float>(param, param + 1000), on_device.Output(0));
  EXPECT_EQ(on_host.Read(device_param, 4000), start);
  session.table().buffer_destroy(imported);

  EXPECT_EQ(session.table().buffer_import(session.device(), param + 1, 64, &imported, &error), EDDL_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("is not aligned to 64 bytes"));
}

TEST(CpuDeviceTest, OwnKernelsAllocateNothingPerEnqueue) {
  const Session session(Backend(), 1);
  std::vector<Case> cases = ZooCases(3);
  for (const Case& c : FlatCases(1000)) cases.push_back(c);
  int counted = 0;
  for (const Case& c : cases) {
    std::unique_ptr<OpRunner> forward;
    if (c.forward.kind != 0) forward = std::make_unique<OpRunner>(session, c.forward);
    if (forward != nullptr) forward->Run();
    OpRunner op(session, c.spec, forward.get());
    const std::string implementation = op.info().implementation;
    if (implementation.rfind("loop", 0) != 0 && implementation.rfind("direct", 0) != 0) continue;
    op.Run();
    const uint64_t before = allocation_count;
    op.Run();
    op.Run();
    EXPECT_EQ(allocation_count - before, 0u) << c.name;
    ++counted;
  }
  EXPECT_GT(counted, 20);
}

// What oneDNN itself needs per primitive is its argument list, never a buffer that grows with the batch.
TEST(CpuDeviceTest, LibraryKernelsAllocateAsMuchForALargeBatchAsForASmallOne) {
  const Session session(Backend(), 1);
  const auto allocations = [&](int64_t batch) {
    std::vector<uint64_t> counts;
    for (const Case& c : ZooCases(batch)) {
      if (c.spec.kind != EDDL_OP_CONV2D && c.spec.kind != EDDL_OP_CONV2D_GRAD_WEIGHT) continue;
      OpRunner op(session, c.spec);
      op.Run();
      const uint64_t before = allocation_count;
      op.Run();
      counts.push_back(allocation_count - before);
    }
    return counts;
  };
  const std::vector<uint64_t> counts = allocations(2);
  EXPECT_EQ(counts, allocations(16));
  for (const uint64_t count : counts) EXPECT_LE(count, 100u);
}

TEST(CpuDeviceTest, NanPassesThroughTheReluEpilogueOfEveryKernel) {
  const Session session(Backend(), 1);
  int checked = 0;
  for (const Case& c : ZooCases(2)) {
    if (c.spec.epilogue != EDDL_EPILOGUE_RELU) continue;
    OpRunner op(session, c.spec);
    std::vector<float> x = op.Input(0);
    std::fill(x.begin(), x.end(), std::numeric_limits<float>::quiet_NaN());
    op.Write(op.inputs()[0], x);
    op.Run();
    for (const float value : op.Output(0)) {
      ASSERT_TRUE(std::isnan(value)) << c.name << " (" << op.info().implementation << ")";
    }
    ++checked;
  }
  EXPECT_GT(checked, 10);
}

}  // namespace
}  // namespace eddl::bench
