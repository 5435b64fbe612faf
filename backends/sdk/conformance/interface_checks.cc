#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "backends/sdk/conformance/checks.h"
#include "backends/sdk/conformance/prepared.h"

namespace eddl::conformance {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Counting(size_t size, int first = 1) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((first + static_cast<int>(i) * 7) & 0xff);
  return bytes;
}

// A buffer that holds these bytes once the queue has passed it.
Problem MakeBuffer(const Device& device, const Bytes& bytes, BufferPtr* buffer,
                   eddl_buffer_kind kind = EDDL_BUFFER_DEVICE) {
  if (Problem problem = device.CreateBuffer(bytes.size(), buffer, kind)) return problem;
  return device.Write(buffer->get(), 0, bytes);
}

Problem ExpectBytes(const char* what, const Bytes& got, const Bytes& expected) {
  const auto [at, unused] = std::mismatch(got.begin(), got.end(), expected.begin());
  if (at == got.end()) return std::nullopt;
  const auto i = static_cast<size_t>(at - got.begin());
  return Text(what, ": byte ", i, " is ", std::to_integer<int>(got[i]), ", expected ",
              std::to_integer<int>(expected[i]));
}

// y = alpha x on 64 floats: the op that the checks below use where they need one.
class ScaleOp {
 public:
  static constexpr int64_t kCount = 64;
  static constexpr uint64_t kBytes = kCount * sizeof(float);

  explicit ScaleOp(const Device& device) : device_(device), prepared_(device), workspace_(device.NoBuffer()) {}

  Problem Prepare(std::string* lacking) {
    const kernels::Op op(EDDL_OP_SCALE, {kernels::F32({kCount})}, {kernels::F32({kCount})});
    if (Problem problem = conformance::Prepare(device_, op, &prepared_)) return problem;
    if (prepared_.lacking) *lacking = "needs the op scale: " + prepared_.refusal;
    if (prepared_.info.workspace_bytes == 0) return std::nullopt;
    return device_.CreateBuffer(prepared_.info.workspace_bytes, &workspace_);
  }

  Problem Enqueue(eddl_queue* queue, eddl_buffer* x, eddl_buffer* y, double alpha, uint64_t offset_bytes = 0) const {
    const eddl_binding input = {x, offset_bytes}, output = {y, offset_bytes};
    const eddl_scalar scalar = {.f = alpha};
    const eddl_op_args args = {.struct_size = sizeof(args),
                               .scalar_count = 1,
                               .inputs = &input,
                               .outputs = &output,
                               .workspace = {workspace_.get(), 0},
                               .state = {},
                               .scalars = &scalar};
    ErrorRecord error;
    return Expect("op_enqueue", device_.table().op_enqueue(queue, prepared_.op.get(), &args, error.get()), error);
  }

 private:
  const Device& device_;
  Prepared prepared_;
  BufferPtr workspace_;
};

Bytes Floats(double value) {
  const std::vector<float> floats(ScaleOp::kCount, static_cast<float>(value));
  Bytes bytes(ScaleOp::kBytes);
  std::memcpy(bytes.data(), floats.data(), bytes.size());
  return bytes;
}

Problem WriteAndReadAtOffsets(const Device& device, std::string*) {
  Bytes expected = Counting(5000);
  BufferPtr buffer = device.NoBuffer();
  if (Problem problem = MakeBuffer(device, expected, &buffer)) return problem;
  const Bytes patch = Counting(1001, 100);
  if (Problem problem = device.Write(buffer.get(), 1237, patch)) return problem;
  std::copy(patch.begin(), patch.end(), expected.begin() + 1237);
  Bytes all(expected.size()), part(999);
  if (Problem problem = device.Read(buffer.get(), 0, all)) return problem;
  if (Problem problem = ExpectBytes("after a write at offset 1237", all, expected)) return problem;
  if (Problem problem = device.Read(buffer.get(), 1301, part)) return problem;
  return ExpectBytes("a read at offset 1301", part, Bytes(expected.begin() + 1301, expected.begin() + 2300));
}

Problem CopyAtOffsets(const Device& device, std::string*) {
  const Bytes source = Counting(3000), target = Counting(3000, 50);
  BufferPtr from = device.NoBuffer(), to = device.NoBuffer();
  if (Problem problem = MakeBuffer(device, source, &from)) return problem;
  if (Problem problem = MakeBuffer(device, target, &to)) return problem;
  ErrorRecord error;
  const auto copy = [&](eddl_buffer* a, uint64_t at, eddl_buffer* b, uint64_t place, uint64_t size) {
    return Expect("copy", device.table().copy(device.queue(), a, at, b, place, size, error.get()), error);
  };
  if (Problem problem = copy(from.get(), 17, to.get(), 1003, 801)) return problem;
  if (Problem problem = copy(to.get(), 1003, to.get(), 5, 300)) return problem;
  Bytes expected = target, got(target.size()), still(source.size());
  std::copy_n(source.begin() + 17, 801, expected.begin() + 1003);
  std::copy_n(expected.begin() + 1003, 300, expected.begin() + 5);
  if (Problem problem = device.Read(to.get(), 0, got)) return problem;
  if (Problem problem = ExpectBytes("the target of a copy", got, expected)) return problem;
  if (Problem problem = device.Read(from.get(), 0, still)) return problem;
  return ExpectBytes("the source of a copy", still, source);
}

Problem FillPatterns(const Device& device, std::string*) {
  const Bytes pattern = Counting(8, 200);
  for (const size_t pattern_size : {1, 2, 4, 8}) {
    Bytes expected = Counting(1024), got(1024);
    BufferPtr buffer = device.NoBuffer();
    if (Problem problem = MakeBuffer(device, expected, &buffer)) return problem;
    const uint64_t offset_bytes = 24, size_bytes = 408;
    ErrorRecord error;
    const eddl_code code = device.table().fill(device.queue(), buffer.get(), offset_bytes, pattern.data(), pattern_size,
                                               size_bytes, error.get());
    if (Problem problem = Expect("fill", code, error)) return problem;
    for (size_t i = 0; i < size_bytes; ++i) expected[offset_bytes + i] = pattern[i % pattern_size];
    if (Problem problem = device.Read(buffer.get(), 0, got)) return problem;
    if (Problem problem = ExpectBytes(Text("a fill with ", pattern_size, " bytes").c_str(), got, expected))
      return problem;
  }
  return std::nullopt;
}

Problem ZeroSizes(const Device& device, std::string*) {
  BufferPtr empty = device.NoBuffer(), buffer = device.NoBuffer();
  if (Problem problem = device.CreateBuffer(0, &empty)) return problem;
  Bytes bytes = Counting(64), got(64);
  if (Problem problem = MakeBuffer(device, bytes, &buffer)) return problem;
  const eddl_backend& table = device.table();
  ErrorRecord error;
  std::byte host{};
  const uint32_t pattern = 0;
  if (Problem problem =
          Expect("write of 0 bytes", table.write(device.queue(), empty.get(), 0, &host, 0, error.get()), error)) {
    return problem;
  }
  if (Problem problem =
          Expect("read of 0 bytes", table.read(device.queue(), empty.get(), 0, &host, 0, error.get()), error)) {
    return problem;
  }
  const eddl_code copied = table.copy(device.queue(), buffer.get(), 64, buffer.get(), 0, 0, error.get());
  if (Problem problem = Expect("copy of 0 bytes", copied, error)) return problem;
  const eddl_code filled = table.fill(device.queue(), buffer.get(), 64, &pattern, 4, 0, error.get());
  if (Problem problem = Expect("fill of 0 bytes", filled, error)) return problem;
  if (Problem problem = device.Read(buffer.get(), 0, got)) return problem;
  return ExpectBytes("after calls with 0 bytes", got, bytes);
}

Problem PinnedBuffers(const Device& device, std::string*) {
  const Bytes bytes = Counting(777);
  BufferPtr buffer = device.NoBuffer();
  if (Problem problem = MakeBuffer(device, bytes, &buffer, EDDL_BUFFER_HOST_PINNED)) return problem;
  Bytes got(bytes.size());
  if (Problem problem = device.Read(buffer.get(), 0, got)) return problem;
  return ExpectBytes("a pinned buffer", got, bytes);
}

Problem WaitsForNothing(const Device& device, std::string*) {
  QueuePtr queue = device.NoQueue();
  if (Problem problem = device.CreateQueue(&queue, EDDL_QUEUE_COPY)) return problem;
  ErrorRecord error;
  for (int i = 0; i < 2; ++i) {
    const eddl_code code = device.table().queue_wait(queue.get(), error.get());
    if (Problem problem = Expect("queue_wait of an empty queue", code, error)) return problem;
  }
  return std::nullopt;
}

// Many enqueues and one wait: each must see what the one before has left.
Problem KeepsTheOrder(const Device& device, std::string* lacking) {
  ScaleOp scale(device);
  if (Problem problem = scale.Prepare(lacking); problem || !lacking->empty()) return problem;
  BufferPtr x = device.NoBuffer(), y = device.NoBuffer();
  const Bytes ones = Floats(1), zeros = Floats(0);
  if (Problem problem = MakeBuffer(device, ones, &x)) return problem;
  if (Problem problem = MakeBuffer(device, zeros, &y)) return problem;
  for (int i = 0; i < 10; ++i) {
    if (Problem problem = scale.Enqueue(device.queue(), x.get(), x.get(), 2)) return problem;
  }
  ErrorRecord error;
  const eddl_code copied = device.table().copy(device.queue(), x.get(), 0, y.get(), 0, ScaleOp::kBytes, error.get());
  if (Problem problem = Expect("copy", copied, error)) return problem;
  if (Problem problem = scale.Enqueue(device.queue(), x.get(), x.get(), 0)) return problem;
  if (Problem problem = scale.Enqueue(device.queue(), y.get(), y.get(), -1)) return problem;
  Bytes got(ScaleOp::kBytes);
  if (Problem problem = device.Read(y.get(), 0, got)) return problem;
  return ExpectBytes("ten doublings, a copy and a change of sign", got, Floats(-1024));
}

Problem ImportsHostMemory(const Device& device, std::string* lacking) {
  if (device.table().buffer_import == nullptr) {
    *lacking = "no buffer_import";
    return std::nullopt;
  }
  ScaleOp scale(device);
  if (Problem problem = scale.Prepare(lacking); problem || !lacking->empty()) return problem;
  const uint64_t alignment_bytes = device.info().alignment_bytes;
  Bytes memory(ScaleOp::kBytes + 2 * alignment_bytes);
  const uintptr_t address =
      (reinterpret_cast<uintptr_t>(memory.data()) + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
  auto* const begin = reinterpret_cast<std::byte*>(address);
  const Bytes ones = Floats(1), tripled = Floats(3);
  std::copy(ones.begin(), ones.end(), begin);
  ErrorRecord error;
  eddl_buffer* imported = nullptr;
  const eddl_code code = device.table().buffer_import(device.raw(), begin, ScaleOp::kBytes, &imported, error.get());
  if (Problem problem = Expect("buffer_import", code, error)) return problem;
  const BufferPtr buffer = device.Own(imported);
  if (Problem problem = scale.Enqueue(device.queue(), imported, imported, 3)) return problem;
  if (Problem problem = device.Wait()) return problem;
  if (device.table().buffer_host_pointer != nullptr && device.table().buffer_host_pointer(imported) != begin) {
    return "buffer_host_pointer of an imported buffer is not where it was imported from";
  }
  return ExpectBytes("imported memory after an op", Bytes(begin, begin + ScaleOp::kBytes), tripled);
}

Problem ShowsHostPointers(const Device& device, std::string* lacking) {
  ScaleOp scale(device);
  if (Problem problem = scale.Prepare(lacking); problem || !lacking->empty()) return problem;
  BufferPtr buffer = device.NoBuffer();
  const Bytes ones = Floats(1), fives = Floats(5);
  if (Problem problem = MakeBuffer(device, ones, &buffer)) return problem;
  const auto host_pointer = device.table().buffer_host_pointer;
  auto* const host = static_cast<std::byte*>(host_pointer == nullptr ? nullptr : host_pointer(buffer.get()));
  if (host == nullptr) {
    *lacking = "buffers have no host pointer";
    return device.Wait();  // what is copied goes before the buffer
  }
  if (Problem problem = scale.Enqueue(device.queue(), buffer.get(), buffer.get(), 5)) return problem;
  if (Problem problem = device.Wait()) return problem;
  return ExpectBytes("a host pointer after an op", Bytes(host, host + ScaleOp::kBytes), fives);
}

Problem OrdersQueuesByEvents(const Device& device, std::string* lacking) {
  const eddl_backend& table = device.table();
  const int slots = (table.event_record != nullptr) + (table.queue_wait_event != nullptr) +
                    (table.event_wait != nullptr) + (table.event_destroy != nullptr);
  if (slots == 0) {
    *lacking = "no events";
    return std::nullopt;
  }
  if (slots != 4) return "some event slots are NULL and others are not";
  ScaleOp scale(device);
  if (Problem problem = scale.Prepare(lacking); problem || !lacking->empty()) return problem;
  BufferPtr buffer = device.NoBuffer();
  QueuePtr other = device.NoQueue();  // goes first, and waits
  if (Problem problem = device.CreateQueue(&other)) return problem;
  const Bytes ones = Floats(1), expected = Floats(6);
  if (Problem problem = MakeBuffer(device, ones, &buffer)) return problem;
  if (Problem problem = scale.Enqueue(device.queue(), buffer.get(), buffer.get(), 2)) return problem;
  ErrorRecord error;
  eddl_event* event = nullptr;
  if (Problem problem = Expect("event_record", table.event_record(device.queue(), &event, error.get()), error))
    return problem;
  const std::unique_ptr<eddl_event, void (*)(eddl_event*)> owner(event, table.event_destroy);
  if (Problem problem = Expect("queue_wait_event", table.queue_wait_event(other.get(), event, error.get()), error)) {
    return problem;
  }
  if (Problem problem = scale.Enqueue(other.get(), buffer.get(), buffer.get(), 3)) return problem;
  Bytes got(ScaleOp::kBytes);
  const eddl_code code = table.read(other.get(), buffer.get(), 0, got.data(), got.size(), error.get());
  if (Problem problem = Expect("read", code, error)) return problem;
  if (Problem problem = Expect("event_wait", table.event_wait(event, error.get()), error)) return problem;
  if (Problem problem = Expect("queue_wait", table.queue_wait(other.get(), error.get()), error)) return problem;
  if (Problem problem = device.Wait()) return problem;
  return ExpectBytes("two queues joined by an event", got, expected);
}

// Doubles its own buffer on its own queue, as one of several threads.
Problem DoubleTwentyTimes(const Device& device) {
  std::string lacking;
  ScaleOp scale(device);
  if (Problem problem = scale.Prepare(&lacking); problem || !lacking.empty()) return problem;
  BufferPtr buffer = device.NoBuffer();
  QueuePtr queue = device.NoQueue();  // goes first, and waits
  if (Problem problem = device.CreateQueue(&queue)) return problem;
  if (Problem problem = device.CreateBuffer(ScaleOp::kBytes, &buffer)) return problem;
  const Bytes ones = Floats(1);
  Bytes got(ScaleOp::kBytes);
  ErrorRecord error;
  const eddl_backend& table = device.table();
  const eddl_code written = table.write(queue.get(), buffer.get(), 0, ones.data(), ones.size(), error.get());
  if (Problem problem = Expect("write", written, error)) return problem;
  for (int i = 0; i < 20; ++i) {
    if (Problem problem = scale.Enqueue(queue.get(), buffer.get(), buffer.get(), 2)) return problem;
  }
  const eddl_code read = table.read(queue.get(), buffer.get(), 0, got.data(), got.size(), error.get());
  if (Problem problem = Expect("read", read, error)) return problem;
  if (Problem problem = Expect("queue_wait", table.queue_wait(queue.get(), error.get()), error)) return problem;
  return ExpectBytes("a queue of its own in one of two threads", got, Floats(1 << 20));
}

Problem ServesTwoThreads(const Device& device, std::string* lacking) {
  ScaleOp scale(device);
  if (Problem problem = scale.Prepare(lacking); problem || !lacking->empty()) return problem;
  Problem first, second;
  std::thread other([&] { second = DoubleTwentyTimes(device); });
  first = DoubleTwentyTimes(device);
  other.join();
  return first ? first : second;
}

// Whoever does not ask why gets the same answer.
Problem NeedsNoErrorRecord(const Device& device, std::string*) {
  kernels::Op unknown({}, {kernels::F32({4})}, {kernels::F32({4})});
  unknown.kind = 9999;
  const eddl_op_desc desc = unknown.desc();
  const eddl_code code = device.table().op_prepare(device.raw(), &desc, nullptr, nullptr, nullptr);
  if (code != EDDL_UNIMPLEMENTED) {
    return Text("op_prepare without info and error returned ", NameOf(code), " for an unknown kind, not UNIMPLEMENTED");
  }
  const eddl_code waited = device.table().queue_wait(device.queue(), nullptr);
  return waited == EDDL_OK ? std::nullopt : Problem(Text("queue_wait without error returned ", NameOf(waited)));
}

// The inputs and the output of one op in three buffers, each at another offset.
Problem BindsSeveralBuffers(const Device& device, std::string* lacking) {
  const std::vector<eddl_tensor_desc> shape(2, kernels::F32({ScaleOp::kCount}));
  Prepared add(device);
  if (Problem problem = Prepare(device, {EDDL_OP_ADD, shape, {shape[0]}}, &add)) return problem;
  if (add.lacking) *lacking = "needs the op add: " + add.refusal;
  if (add.lacking) return std::nullopt;
  BufferPtr buffers[] = {device.NoBuffer(), device.NoBuffer(), device.NoBuffer(), device.NoBuffer()};
  const uint64_t alignment_bytes = device.info().alignment_bytes;
  const Bytes values[] = {Floats(2), Floats(5), Floats(0)};
  eddl_binding bindings[3];
  for (size_t i = 0; i < 3; ++i) {
    bindings[i].offset_bytes = (2 - i) * alignment_bytes;
    if (Problem problem = device.CreateBuffer(bindings[i].offset_bytes + ScaleOp::kBytes, &buffers[i])) return problem;
    if (Problem problem = device.Write(buffers[i].get(), bindings[i].offset_bytes, values[i])) return problem;
    bindings[i].buffer = buffers[i].get();
  }
  eddl_op_args args = {.struct_size = sizeof(args), .inputs = bindings, .outputs = bindings + 2};
  if (add.info.workspace_bytes > 0) {
    if (Problem problem = device.CreateBuffer(add.info.workspace_bytes, &buffers[3])) return problem;
    args.workspace.buffer = buffers[3].get();
  }
  ErrorRecord error;
  const eddl_code code = device.table().op_enqueue(device.queue(), add.op.get(), &args, error.get());
  if (Problem problem = Expect("op_enqueue", code, error)) return problem;
  Bytes got(ScaleOp::kBytes);
  if (Problem problem = device.Read(bindings[2].buffer, bindings[2].offset_bytes, got)) return problem;
  return ExpectBytes("a sum of tensors in three buffers", got, Floats(7));
}

constexpr InterfaceCheck kChecks[] = {
    {"writes and reads at any offset", WriteAndReadAtOffsets},
    {"copies at any offset", CopyAtOffsets},
    {"fills with patterns of 1, 2, 4 and 8 bytes", FillPatterns},
    {"takes sizes of zero", ZeroSizes},
    {"has pinned buffers", PinnedBuffers},
    {"waits for an empty queue", WaitsForNothing},
    {"keeps the order of a queue", KeepsTheOrder},
    {"binds several buffers", BindsSeveralBuffers},
    {"imports host memory", ImportsHostMemory},
    {"shows host pointers", ShowsHostPointers},
    {"orders queues by events", OrdersQueuesByEvents},
    {"serves two threads", ServesTwoThreads},
    {"needs no error record", NeedsNoErrorRecord},
};

}  // namespace

std::span<const InterfaceCheck> InterfaceChecks() { return kChecks; }

}  // namespace eddl::conformance
