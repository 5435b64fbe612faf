#include "runtime/device/device.h"

#include <cstring>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "runtime/device/device_info.h"

namespace eddl {
namespace {

constexpr uint64_t kProbeBytes = 64;

eddl_error NewError() { return {.struct_size = sizeof(eddl_error)}; }

OpInfo FromAbi(const eddl_op_info& abi) {
  return {.workspace_bytes = abi.workspace_bytes,
          .state_bytes = abi.state_bytes,
          .implementation = std::string(abi.implementation, strnlen(abi.implementation, sizeof(abi.implementation)))};
}

}  // namespace

absl::Status StatusFromAbi(const eddl_backend& table, eddl_code code, const eddl_error& error) {
  if (code == EDDL_OK) return absl::OkStatus();
  std::string message(error.message, strnlen(error.message, sizeof(error.message)));
  if (message.empty()) message = "failed with code " + std::to_string(code) + " and no message";
  if (error.tag != 0) message += " (op tag " + std::to_string(error.tag) + ")";
  const bool known = code > 0 && code <= static_cast<eddl_code>(absl::StatusCode::kUnauthenticated);
  return MakeStatus(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                    std::string(table.name) + ": " + message);
}

// ---- Device ----

absl::StatusOr<std::unique_ptr<Device>> Device::Open(const Backend& backend, uint32_t index,
                                                     const DeviceOptions& options) {
  const eddl_backend& table = backend.table();
  EDDL_ASSIGN_OR_RETURN(const uint32_t count, CountDevices(table));
  if (index >= count) {
    return NotFound("no device '" + backend.name() + ":" + std::to_string(index) + "': backend " + backend.name() +
                    " has " + std::to_string(count) + ", counted from 0");
  }
  EDDL_ASSIGN_OR_RETURN(DeviceInfo info, QueryDevice(table, index));

  eddl_device_options abi = {.struct_size = sizeof(eddl_device_options),
                             .thread_count = options.thread_count,
                             .memory_limit_bytes = options.memory_limit_bytes,
                             .cache_dir = options.cache_dir.empty() ? nullptr : options.cache_dir.c_str()};
  if (options.deterministic) abi.flags |= EDDL_OPEN_DETERMINISTIC;
  if (options.profile) abi.flags |= EDDL_OPEN_PROFILE;
  if (options.allow_tf32) abi.flags |= EDDL_OPEN_ALLOW_TF32;
  eddl_device* raw = nullptr;
  eddl_error error = NewError();
  const eddl_code code = CallPlugin("device_open", error, [&] { return table.device_open(index, &abi, &raw, &error); });
  if (code != EDDL_OK) return WithContext(StatusFromAbi(table, code, error), "opening device " + info.Id());
  if (raw == nullptr) return FailedPrecondition("opening device " + info.Id() + ": device_open said OK and gave none");
  std::unique_ptr<Device> device(new Device(table, raw, std::move(info), options));
  if (table.buffer_host_pointer != nullptr) {
    EDDL_ASSIGN_OR_RETURN(const Buffer probe, Buffer::Create(*device, kProbeBytes));
    device->host_visible_ = probe.host_data() != nullptr;
  }
  return device;
}

Device::Device(const eddl_backend& table, eddl_device* raw, DeviceInfo info, DeviceOptions options)
    : table_(&table), raw_(raw), info_(std::move(info)), options_(std::move(options)) {}

Device::~Device() { table_->device_close(raw_); }

absl::StatusOr<OpInfo> Device::Query(const eddl_op_desc& desc) const {
  eddl_op_info info = {.struct_size = sizeof(eddl_op_info)};
  eddl_error error = NewError();
  if (const eddl_code code = table_->op_prepare(raw_, &desc, nullptr, &info, &error); code != EDDL_OK) {
    return StatusFromAbi(*table_, code, error);
  }
  return FromAbi(info);
}

// ---- Buffer ----

absl::StatusOr<Buffer> Buffer::Create(Device& device, uint64_t size_bytes, eddl_buffer_kind kind) {
  const eddl_backend& table = device.table();
  Buffer buffer;
  eddl_error error = NewError();
  if (const eddl_code code = table.buffer_create(device.raw(), size_bytes, kind, &buffer.raw_, &error);
      code != EDDL_OK) {
    buffer.raw_ = nullptr;
    return StatusFromAbi(table, code, error);
  }
  buffer.table_ = &table;
  buffer.size_bytes_ = size_bytes;
  if (table.buffer_host_pointer != nullptr) {
    buffer.host_data_ = static_cast<std::byte*>(table.buffer_host_pointer(buffer.raw_));
  }
  return buffer;
}

absl::StatusOr<Buffer> Buffer::Import(Device& device, std::span<std::byte> bytes) {
  const eddl_backend& table = device.table();
  if (table.buffer_import == nullptr) {
    return Unimplemented(device.info().Id() +
                         ": this backend can't import host memory; create a buffer and write to it");
  }
  Buffer buffer;
  eddl_error error = NewError();
  if (const eddl_code code = table.buffer_import(device.raw(), bytes.data(), bytes.size(), &buffer.raw_, &error);
      code != EDDL_OK) {
    buffer.raw_ = nullptr;
    return StatusFromAbi(table, code, error);
  }
  buffer.table_ = &table;
  buffer.size_bytes_ = bytes.size();
  if (table.buffer_host_pointer != nullptr) {
    buffer.host_data_ = static_cast<std::byte*>(table.buffer_host_pointer(buffer.raw_));
  }
  return buffer;
}

Buffer::~Buffer() {
  if (raw_ != nullptr) table_->buffer_destroy(raw_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : table_(other.table_),
      raw_(std::exchange(other.raw_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      host_data_(std::exchange(other.host_data_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  Buffer taken(std::move(other));
  std::swap(table_, taken.table_);
  std::swap(raw_, taken.raw_);
  std::swap(size_bytes_, taken.size_bytes_);
  std::swap(host_data_, taken.host_data_);
  return *this;
}

// ---- PreparedOp ----

absl::StatusOr<PreparedOp> PreparedOp::Create(Device& device, const eddl_op_desc& desc) {
  const eddl_backend& table = device.table();
  PreparedOp op;
  eddl_op_info info = {.struct_size = sizeof(eddl_op_info)};
  eddl_error error = NewError();
  if (const eddl_code code = table.op_prepare(device.raw(), &desc, &op.raw_, &info, &error); code != EDDL_OK) {
    op.raw_ = nullptr;
    return StatusFromAbi(table, code, error);
  }
  op.table_ = &table;
  op.info_ = FromAbi(info);
  return op;
}

PreparedOp::~PreparedOp() {
  if (raw_ != nullptr) table_->op_destroy(raw_);
}

PreparedOp::PreparedOp(PreparedOp&& other) noexcept
    : table_(other.table_), raw_(std::exchange(other.raw_, nullptr)), info_(std::move(other.info_)) {}

PreparedOp& PreparedOp::operator=(PreparedOp&& other) noexcept {
  PreparedOp taken(std::move(other));
  std::swap(table_, taken.table_);
  std::swap(raw_, taken.raw_);
  std::swap(info_, taken.info_);
  return *this;
}

// ---- Queue ----

absl::StatusOr<Queue> Queue::Create(Device& device, eddl_queue_kind kind) {
  const eddl_backend& table = device.table();
  Queue queue;
  eddl_error error = NewError();
  if (const eddl_code code = table.queue_create(device.raw(), kind, &queue.raw_, &error); code != EDDL_OK) {
    queue.raw_ = nullptr;
    return StatusFromAbi(table, code, error);
  }
  queue.table_ = &table;
  return queue;
}

Queue::~Queue() {
  if (raw_ != nullptr) table_->queue_destroy(raw_);
}

Queue::Queue(Queue&& other) noexcept : table_(other.table_), raw_(std::exchange(other.raw_, nullptr)) {}

Queue& Queue::operator=(Queue&& other) noexcept {
  Queue taken(std::move(other));
  std::swap(table_, taken.table_);
  std::swap(raw_, taken.raw_);
  return *this;
}

absl::Status Queue::Write(const Buffer& target, uint64_t offset_bytes, std::span<const std::byte> source) {
  EDDL_CHECK(raw_ != nullptr) << "write to an empty queue";
  eddl_error error = NewError();
  return StatusFromAbi(*table_, table_->write(raw_, target.raw(), offset_bytes, source.data(), source.size(), &error),
                       error);
}

absl::Status Queue::Read(const Buffer& source, uint64_t offset_bytes, std::span<std::byte> target) {
  EDDL_CHECK(raw_ != nullptr) << "read from an empty queue";
  eddl_error error = NewError();
  return StatusFromAbi(*table_, table_->read(raw_, source.raw(), offset_bytes, target.data(), target.size(), &error),
                       error);
}

absl::Status Queue::Copy(const Buffer& source, uint64_t source_offset_bytes, const Buffer& target,
                         uint64_t target_offset_bytes, uint64_t size_bytes) {
  EDDL_CHECK(raw_ != nullptr) << "copy on an empty queue";
  eddl_error error = NewError();
  return StatusFromAbi(
      *table_,
      table_->copy(raw_, source.raw(), source_offset_bytes, target.raw(), target_offset_bytes, size_bytes, &error),
      error);
}

absl::Status Queue::FillZero(const Buffer& target, uint64_t offset_bytes, uint64_t size_bytes) {
  EDDL_CHECK(raw_ != nullptr) << "fill on an empty queue";
  constexpr uint8_t kZero = 0;
  eddl_error error = NewError();
  return StatusFromAbi(
      *table_, table_->fill(raw_, target.raw(), offset_bytes, &kZero, sizeof(kZero), size_bytes, &error), error);
}

absl::Status Queue::Enqueue(const PreparedOp& op, const eddl_op_args& args) {
  EDDL_CHECK(raw_ != nullptr && op.raw() != nullptr) << "enqueue of an empty op or on an empty queue";
  eddl_error error = NewError();
  return StatusFromAbi(*table_, table_->op_enqueue(raw_, op.raw(), &args, &error), error);
}

absl::Status Queue::Wait() {
  EDDL_CHECK(raw_ != nullptr) << "wait for an empty queue";
  eddl_error error = NewError();
  return StatusFromAbi(*table_, table_->queue_wait(raw_, &error), error);
}

}  // namespace eddl
