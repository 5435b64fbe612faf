// Device: an open device of the backend under test, with one queue. RAII over the table; move nothing, copy nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "backends/sdk/conformance/problem.h"
#include "backends/sdk/eddl_backend.h"

namespace eddl::conformance {

class Device;

// Waits for the device's queue first: a check that ends early, because a call has failed, may have enqueued work.
struct BufferDeleter {
  const Device* device;
  void operator()(eddl_buffer* buffer) const;
};

using BufferPtr = std::unique_ptr<eddl_buffer, BufferDeleter>;
using QueuePtr = std::unique_ptr<eddl_queue, void (*)(eddl_queue*)>;
using OpPtr = std::unique_ptr<eddl_op, void (*)(eddl_op*)>;

class Device {
 public:
  explicit Device(const eddl_backend& table) : table_(table), queue_(nullptr, table.queue_destroy) {}
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // REQUIRES: called once, before all others.
  Problem Open(uint32_t index, const eddl_device_options& options);

  const eddl_backend& table() const { return table_; }
  const eddl_device_info& info() const { return info_; }
  eddl_device* raw() const { return raw_; }
  eddl_queue* queue() const { return queue_.get(); }
  bool deterministic() const { return (info_.flags & EDDL_DEVICE_DETERMINISTIC) != 0; }

  // Each calls its slot and says what went wrong.
  Problem CreateBuffer(uint64_t size_bytes, BufferPtr* buffer, eddl_buffer_kind kind = EDDL_BUFFER_DEVICE) const;
  Problem CreateQueue(QueuePtr* queue, eddl_queue_kind kind = EDDL_QUEUE_COMPUTE) const;
  Problem Write(eddl_buffer* target, uint64_t offset_bytes, std::span<const std::byte> source) const;
  Problem Wait() const;
  // Enqueues the read and waits.
  Problem Read(const eddl_buffer* source, uint64_t offset_bytes, std::span<std::byte> target) const;

  BufferPtr NoBuffer() const { return Own(nullptr); }
  BufferPtr Own(eddl_buffer* buffer) const { return {buffer, BufferDeleter{this}}; }
  QueuePtr NoQueue() const { return {nullptr, table_.queue_destroy}; }
  OpPtr NoOp() const { return {nullptr, table_.op_destroy}; }

 private:
  const eddl_backend& table_;
  eddl_device_info info_ = {};
  eddl_device* raw_ = nullptr;
  QueuePtr queue_;
};

}  // namespace eddl::conformance
