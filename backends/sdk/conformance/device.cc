#include "backends/sdk/conformance/device.h"

namespace eddl::conformance {

void BufferDeleter::operator()(eddl_buffer* buffer) const {
  device->table().queue_wait(device->queue(), nullptr);
  device->table().buffer_destroy(buffer);
}

Device::~Device() {
  queue_.reset();
  if (raw_ != nullptr) table_.device_close(raw_);
}

Problem Device::Open(uint32_t index, const eddl_device_options& options) {
  ErrorRecord error;
  info_.struct_size = sizeof(info_);
  if (Problem problem = Expect("device_info", table_.device_info(index, &info_, error.get()), error)) return problem;
  const uint32_t alignment_bytes = info_.alignment_bytes;
  if (alignment_bytes == 0 || alignment_bytes > 4096 || (alignment_bytes & (alignment_bytes - 1)) != 0) {
    return Text("device_info says alignment_bytes ", alignment_bytes, "; a power of two up to 4096 is possible");
  }
  if (Problem problem = Expect("device_open", table_.device_open(index, &options, &raw_, error.get()), error))
    return problem;
  return CreateQueue(&queue_);
}

Problem Device::CreateBuffer(uint64_t size_bytes, BufferPtr* buffer, eddl_buffer_kind kind) const {
  ErrorRecord error;
  eddl_buffer* made = nullptr;
  const eddl_code code = table_.buffer_create(raw_, size_bytes, kind, &made, error.get());
  if (code == EDDL_OK) *buffer = Own(made);
  return Expect(Text("buffer_create of ", size_bytes, " bytes"), code, error);
}

Problem Device::CreateQueue(QueuePtr* queue, eddl_queue_kind kind) const {
  ErrorRecord error;
  eddl_queue* made = nullptr;
  const eddl_code code = table_.queue_create(raw_, kind, &made, error.get());
  if (code == EDDL_OK) *queue = QueuePtr(made, table_.queue_destroy);
  return Expect("queue_create", code, error);
}

Problem Device::Write(eddl_buffer* target, uint64_t offset_bytes, std::span<const std::byte> source) const {
  ErrorRecord error;
  return Expect("write", table_.write(queue(), target, offset_bytes, source.data(), source.size(), error.get()), error);
}

Problem Device::Wait() const {
  ErrorRecord error;
  return Expect("queue_wait", table_.queue_wait(queue(), error.get()), error);
}

Problem Device::Read(const eddl_buffer* source, uint64_t offset_bytes, std::span<std::byte> target) const {
  ErrorRecord error;
  const eddl_code code = table_.read(queue(), source, offset_bytes, target.data(), target.size(), error.get());
  if (Problem problem = Expect("read", code, error)) return problem;
  return Wait();
}

}  // namespace eddl::conformance
