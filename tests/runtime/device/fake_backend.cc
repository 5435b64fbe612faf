#include "tests/runtime/device/fake_backend.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "backends/sdk/op_table.h"

struct eddl_device {
  uint64_t memory_limit_bytes;
  std::atomic<uint64_t> memory_used_bytes;
};
struct eddl_buffer {
  eddl_device* device;
  std::unique_ptr<std::byte[]> owned;
  std::byte* data;
  uint64_t size_bytes;
};
struct eddl_queue {
  uint64_t failed_tag = 0;
  bool failed = false;
};
struct eddl_op {
  eddl_op_kind kind;
  uint64_t tag;
  uint64_t elements;
};
struct eddl_event {
  uint64_t time_ns;
};

namespace eddl {
namespace {

std::atomic<int> live_handles = 0;
std::atomic<uint64_t> clock_ns = 0;

eddl_code Fail(eddl_error* error, eddl_code code, const char* message, uint64_t tag = 0) {
  if (error != nullptr) {
    error->code = code;
    error->tag = tag;
    std::snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return code;
}

template <typename T>
void Keep(T** handle, T* value) {
  *handle = value;
  ++live_handles;
}

template <typename T>
void Destroy(T* handle) {
  delete handle;
  --live_handles;
}

eddl_code DeviceCount(uint32_t* count, eddl_error*) {
  *count = 1;
  return EDDL_OK;
}

eddl_code DeviceInfo(uint32_t, eddl_device_info* info, eddl_error*) {
  info->flags = EDDL_DEVICE_DETERMINISTIC;
  info->memory_total_bytes = 1 << 20;
  info->memory_free_bytes = 1 << 19;
  info->alignment_bytes = kFakeAlignment;
  info->dtype_mask = EDDL_DTYPE_BIT(EDDL_F32);
  info->compute_units = 2;
  info->score = 5;
  std::snprintf(info->name, sizeof(info->name), "Fake device");
  return EDDL_OK;
}

eddl_code DeviceOpen(uint32_t, const eddl_device_options* options, eddl_device** device, eddl_error*) {
  Keep(device, new eddl_device{options->memory_limit_bytes, 0});
  return EDDL_OK;
}

eddl_code BufferCreate(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind, eddl_buffer** buffer,
                       eddl_error* error) {
  if (device->memory_limit_bytes != 0 && device->memory_used_bytes + size_bytes > device->memory_limit_bytes) {
    return Fail(error, EDDL_RESOURCE_EXHAUSTED, "the memory limit is reached");
  }
  device->memory_used_bytes += size_bytes;
  auto owned = std::make_unique<std::byte[]>(std::max<uint64_t>(size_bytes, 1));
  std::byte* const data = owned.get();
  Keep(buffer, new eddl_buffer{device, std::move(owned), data, size_bytes});
  return EDDL_OK;
}

void BufferDestroy(eddl_buffer* buffer) {
  if (buffer->owned) buffer->device->memory_used_bytes -= buffer->size_bytes;
  Destroy(buffer);
}

eddl_code QueueCreate(eddl_device*, eddl_queue_kind, eddl_queue** queue, eddl_error*) {
  Keep(queue, new eddl_queue{});
  return EDDL_OK;
}

eddl_code QueueWait(eddl_queue* queue, eddl_error* error) {
  if (queue->failed) return Fail(error, EDDL_INTERNAL, "the kernel failed", queue->failed_tag);
  return EDDL_OK;
}

eddl_code Write(eddl_queue*, eddl_buffer* target, uint64_t offset, const void* source, uint64_t size, eddl_error*) {
  if (size > 0) std::memcpy(target->data + offset, source, size);
  return EDDL_OK;
}

eddl_code Read(eddl_queue*, const eddl_buffer* source, uint64_t offset, void* target, uint64_t size, eddl_error*) {
  if (size > 0) std::memcpy(target, source->data + offset, size);
  return EDDL_OK;
}

eddl_code Copy(eddl_queue*, const eddl_buffer* source, uint64_t source_offset, eddl_buffer* target,
               uint64_t target_offset, uint64_t size, eddl_error*) {
  if (size > 0) std::memcpy(target->data + target_offset, source->data + source_offset, size);
  return EDDL_OK;
}

eddl_code Fill(eddl_queue*, eddl_buffer* target, uint64_t offset, const void* pattern, uint64_t pattern_size,
               uint64_t size, eddl_error*) {
  for (uint64_t i = 0; i < size; i += pattern_size) std::memcpy(target->data + offset + i, pattern, pattern_size);
  return EDDL_OK;
}

eddl_code OpPrepare(eddl_device*, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info, eddl_error* error) {
  const OpTraits* const traits = FindOpTraits(desc->kind);
  if (traits == nullptr || desc->kind == EDDL_OP_MATMUL) {
    return Fail(error, EDDL_UNIMPLEMENTED, "the fake backend does not multiply matrices");
  }
  if (info != nullptr) {
    info->workspace_bytes = kFakeWorkspaceBytes;
    info->state_bytes = traits->state == OpState::kLeaves ? kFakeStateBytes : 0;
    std::snprintf(info->implementation, sizeof(info->implementation), "fake:%s", traits->name);
  }
  if (op == nullptr) return EDDL_OK;
  uint64_t elements = 1;
  for (uint32_t d = 0; d < desc->outputs[0].rank; ++d) elements *= static_cast<uint64_t>(desc->outputs[0].shape[d]);
  Keep(op, new eddl_op{desc->kind, desc->tag, elements});
  return EDDL_OK;
}

eddl_code OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error*) {
  if (op->kind == EDDL_OP_ABS_MAX && !queue->failed) {
    queue->failed = true;
    queue->failed_tag = op->tag;
  }
  if (op->kind != EDDL_OP_RELU) return EDDL_OK;
  std::vector<float> values(op->elements);
  std::memcpy(values.data(), args->inputs[0].buffer->data + args->inputs[0].offset_bytes, op->elements * sizeof(float));
  for (float& value : values) value = std::max(value, 0.0f);
  std::memcpy(args->outputs[0].buffer->data + args->outputs[0].offset_bytes, values.data(),
              op->elements * sizeof(float));
  return EDDL_OK;
}

eddl_code BufferImport(eddl_device* device, void* data, uint64_t size_bytes, eddl_buffer** buffer, eddl_error*) {
  Keep(buffer, new eddl_buffer{device, nullptr, static_cast<std::byte*>(data), size_bytes});
  return EDDL_OK;
}

eddl_code EventRecord(eddl_queue*, eddl_event** event, eddl_error*) {
  Keep(event, new eddl_event{++clock_ns});
  return EDDL_OK;
}

eddl_code EventTimes(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error*) {
  *begin_ns = begin->time_ns;
  *end_ns = end->time_ns;
  return EDDL_OK;
}

}  // namespace

eddl_backend FakeTable(const char* name) {
  return {.struct_size = sizeof(eddl_backend),
          .abi_major = EDDL_ABI_MAJOR,
          .abi_minor = EDDL_ABI_MINOR,
          .name = name,
          .version = "1.0 (fake)",
          .device_count = DeviceCount,
          .device_info = DeviceInfo,
          .device_open = DeviceOpen,
          .device_close = Destroy<eddl_device>,
          .buffer_create = BufferCreate,
          .buffer_destroy = BufferDestroy,
          .queue_create = QueueCreate,
          .queue_destroy = Destroy<eddl_queue>,
          .queue_wait = QueueWait,
          .write = Write,
          .read = Read,
          .copy = Copy,
          .fill = Fill,
          .op_prepare = OpPrepare,
          .op_enqueue = OpEnqueue,
          .op_destroy = Destroy<eddl_op>,
          .buffer_import = BufferImport,
          .buffer_host_pointer = [](eddl_buffer* buffer) -> void* { return buffer->data; },
          .event_record = EventRecord,
          .queue_wait_event = [](eddl_queue*, eddl_event*, eddl_error*) -> eddl_code { return EDDL_OK; },
          .event_wait = [](eddl_event*, eddl_error*) -> eddl_code { return EDDL_OK; },
          .event_destroy = Destroy<eddl_event>,
          .event_times = EventTimes};
}

int FakeLiveHandles() { return live_handles; }

}  // namespace eddl
