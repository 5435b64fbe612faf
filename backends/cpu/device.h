// The handles of this backend: a device (threads and a memory budget), buffers in host memory, a queue that has no
// length.
//
// A queue computes inside the enqueueing call, so that "asynchronous" work is done when the call returns; its first
// error still waits in the queue, as the interface asks. Devices and buffers are thread-safe, a queue belongs to one
// thread at a time.
#pragma once

#include <atomic>
#include <mutex>

#include "backends/cpu/op.h"

struct eddl_device {
  int thread_count = 1;
  uint64_t memory_limit_bytes = 0;  // 0: none
  std::atomic<uint64_t> memory_used_bytes = 0;
};

struct eddl_buffer {
  eddl_device* device = nullptr;
  std::byte* data = nullptr;
  uint64_t size_bytes = 0;
  bool imported = false;
};

struct eddl_queue {
  eddl_device* device = nullptr;
  eddl::cpu::Status first_error;
  uint64_t first_error_tag = 0;
};

// Prepared work and what its bindings are checked against.
struct eddl_op {
  eddl_device* device = nullptr;
  eddl::cpu::PreparedOp prepared;
  uint32_t input_count = 0;
  uint32_t output_count = 0;
  std::array<uint64_t, eddl::cpu::kTensorsMax> input_bytes = {};
  std::array<uint64_t, eddl::cpu::kTensorsMax> output_bytes = {};
  std::array<bool, eddl::cpu::kTensorsMax> input_present = {};
  std::array<bool, eddl::cpu::kTensorsMax> output_present = {};
  uint64_t tag = 0;
  // Ops on oneDNN bind addresses to objects that they own, so that one op runs once at a time.
  std::mutex mutex;
};

struct eddl_event {
  uint64_t time_ns = 0;
};

namespace eddl::cpu {

// From /proc and the CPU's own flags. thread_count is the count of cores that this process may use.
void FillDeviceInfo(eddl_device_info* info);

// The cores that this process may use, at least 1.
int CoreCount();

// EDDL_RESOURCE_EXHAUSTED beyond the device's limit or the host's memory.
Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer** buffer);
void DestroyBuffer(eddl_buffer* buffer);

// The bytes [offset, offset + size) of a buffer. EDDL_INVALID_ARGUMENT beyond its end; role names it in the message.
Status Range(const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role,
             std::byte** bytes);

}  // namespace eddl::cpu
