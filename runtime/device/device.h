// Device, Buffer, Queue, PreparedOp: RAII over a backend's table. They add ownership and absl::Status, and nothing
// else.
//
// A Device outlives everything made from it. Device is thread-safe; a Queue belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/sdk/eddl_backend.h"

namespace eddl {

class Backend;  // runtime/device/backend.h: a loaded table

struct DeviceInfo {
  std::string backend;  // "cpu"
  uint32_t index = 0;   // among the backend's devices
  std::string name;     // as the vendor calls it
  uint64_t memory_total_bytes = 0;
  uint64_t memory_free_bytes = 0;
  uint64_t alignment_bytes = 1;
  uint32_t dtype_mask = 0;
  uint32_t compute_units = 0;
  uint32_t score = 0;
  eddl_device_flags flags = 0;

  // "cpu:0"
  std::string Id() const;
};

struct DeviceOptions {
  uint32_t thread_count = 0;        // 0: the backend's choice
  uint64_t memory_limit_bytes = 0;  // 0: none
  std::string cache_dir;
  bool deterministic = false;
  bool profile = false;
  bool allow_tf32 = false;
};

// What op_prepare answers.
struct OpInfo {
  uint64_t workspace_bytes = 0;
  uint64_t state_bytes = 0;
  std::string implementation;
};

class Device {
 public:
  // kNotFound if the backend has no device of that index; otherwise what device_open says.
  static absl::StatusOr<std::unique_ptr<Device>> Open(const Backend& backend, uint32_t index,
                                                      const DeviceOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  const DeviceOptions& options() const { return options_; }
  const eddl_backend& table() const { return *table_; }
  eddl_device* raw() const { return raw_; }
  // Whether buffers have a host pointer (host_data() != nullptr), so that no copies are needed.
  bool host_visible() const { return host_visible_; }

  // Dry run: whether the device has the op, and what it needs. kUnimplemented if not.
  absl::StatusOr<OpInfo> Query(const eddl_op_desc& desc) const;

 private:
  Device(const eddl_backend& table, eddl_device* raw, DeviceInfo info, DeviceOptions options);

  const eddl_backend* table_;
  eddl_device* raw_;
  DeviceInfo info_;
  DeviceOptions options_;
  bool host_visible_ = false;
};

// Owner of device bytes; move-only.
class Buffer {
 public:
  Buffer() = default;
  static absl::StatusOr<Buffer> Create(Device& device, uint64_t size_bytes, eddl_buffer_kind kind = EDDL_BUFFER_DEVICE);
  // Wraps the caller's bytes, which outlive the buffer. kUnimplemented where the backend can't.
  static absl::StatusOr<Buffer> Import(Device& device, std::span<std::byte> bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  uint64_t size_bytes() const { return size_bytes_; }
  eddl_buffer* raw() const { return raw_; }
  bool valid() const { return raw_ != nullptr; }
  // The bytes as the host sees them, or nullptr. Reading them needs Queue::Wait first.
  std::byte* host_data() const { return host_data_; }

 private:
  const eddl_backend* table_ = nullptr;
  eddl_buffer* raw_ = nullptr;
  uint64_t size_bytes_ = 0;
  std::byte* host_data_ = nullptr;
};

// A prepared op; move-only.
class PreparedOp {
 public:
  PreparedOp() = default;
  static absl::StatusOr<PreparedOp> Create(Device& device, const eddl_op_desc& desc);
  ~PreparedOp();
  PreparedOp(PreparedOp&& other) noexcept;
  PreparedOp& operator=(PreparedOp&& other) noexcept;

  eddl_op* raw() const { return raw_; }
  const OpInfo& info() const { return info_; }

 private:
  const eddl_backend* table_ = nullptr;
  eddl_op* raw_ = nullptr;
  OpInfo info_;
};

// An in-order stream of work; move-only. Asynchronous: host bytes stay valid until the queue has passed them.
class Queue {
 public:
  Queue() = default;
  static absl::StatusOr<Queue> Create(Device& device, eddl_queue_kind kind = EDDL_QUEUE_COMPUTE);
  ~Queue();
  Queue(Queue&& other) noexcept;
  Queue& operator=(Queue&& other) noexcept;

  // Transfers between host and device, or within the device. REQUIRES: ranges within their buffers; copies don't
  // overlap.
  absl::Status Write(const Buffer& target, uint64_t offset_bytes, std::span<const std::byte> source);
  absl::Status Read(const Buffer& source, uint64_t offset_bytes, std::span<std::byte> target);
  absl::Status Copy(const Buffer& source, uint64_t source_offset_bytes, const Buffer& target,
                    uint64_t target_offset_bytes, uint64_t size_bytes);
  absl::Status FillZero(const Buffer& target, uint64_t offset_bytes, uint64_t size_bytes);
  // args' arrays are as long as the op's description said; they are read during the call only.
  absl::Status Enqueue(const PreparedOp& op, const eddl_op_args& args);
  // Returns when all enqueued work is done; the first asynchronous error, sticky.
  absl::Status Wait();

  eddl_queue* raw() const { return raw_; }

 private:
  const eddl_backend* table_ = nullptr;
  eddl_queue* raw_ = nullptr;
};

// The status for a failed call: the code, the message, and which backend said so.
absl::Status StatusFromAbi(const eddl_backend& table, eddl_code code, const eddl_error& error);

}  // namespace eddl
