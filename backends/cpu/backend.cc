// The table that eddl_backend_get_v1 returns. Everything here converts: handles to C++, exceptions and statuses to
// codes.
#include <omp.h>
#include <oneapi/dnnl/dnnl_version.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "backends/cpu/device.h"

namespace eddl::cpu {
namespace {

#define EDDL_CPU_TEXT_OF(value) #value
#define EDDL_CPU_TEXT(value) EDDL_CPU_TEXT_OF(value)
constexpr const char* kVersion = EDDL_VERSION " (oneDNN " EDDL_CPU_TEXT(DNNL_VERSION_MAJOR) "." EDDL_CPU_TEXT(
    DNNL_VERSION_MINOR) "." EDDL_CPU_TEXT(DNNL_VERSION_PATCH) ")";

constexpr int kThreadsMax = 1024;

// Runs a body that may throw (oneDNN, allocation) and lets nothing but a code out.
template <typename Body>
eddl_code Guard(uint64_t tag, eddl_error* error, const Body& body) {
  try {
    return Report(body(), tag, error);
  } catch (const std::bad_alloc&) {
    return Report(Error(EDDL_RESOURCE_EXHAUSTED, "the host is out of memory"), tag, error);
  } catch (const std::exception& exception) {
    return Report(Error(EDDL_INTERNAL, "the cpu backend failed: %s", exception.what()), tag, error);
  }
}

// The device's thread count holds for the thread that calls: OpenMP keeps it per thread.
void UseThreadsOf(const eddl_device& device) {
  if (omp_get_max_threads() != device.thread_count) omp_set_num_threads(device.thread_count);
}

eddl_code DeviceCount(uint32_t* count, eddl_error*) {
  *count = 1;
  return EDDL_OK;
}

Status CheckIndex(uint32_t index) {
  if (index == 0) return {};
  return Error(EDDL_NOT_FOUND, "the cpu backend has one device, index 0; asked for index %u", index);
}

eddl_code DeviceInfo(uint32_t index, eddl_device_info* info, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    EDDL_CPU_RETURN_IF_ERROR(CheckIndex(index));
    eddl_device_info full = {};
    full.struct_size = info->struct_size;
    FillDeviceInfo(&full);
    std::memcpy(static_cast<void*>(info), &full, std::min<size_t>(info->struct_size, sizeof(full)));
    return {};
  });
}

eddl_code DeviceOpen(uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    EDDL_CPU_RETURN_IF_ERROR(CheckIndex(index));
    eddl_device_options full = {};
    if (options != nullptr) std::memcpy(&full, options, std::min<size_t>(options->struct_size, sizeof(full)));
    EDDL_CPU_REQUIRE(full.thread_count <= kThreadsMax, "thread_count %u is above %d", full.thread_count, kThreadsMax);
    auto opened = std::make_unique<eddl_device>();
    opened->thread_count = full.thread_count == 0 ? CoreCount() : static_cast<int>(full.thread_count);
    opened->memory_limit_bytes = full.memory_limit_bytes;
    *device = opened.release();
    return {};
  });
}

void DeviceClose(eddl_device* device) { delete device; }

eddl_code BufferCreate(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind, eddl_buffer** buffer,
                       eddl_error* error) {
  return Guard(0, error, [&] { return CreateBuffer(*device, size_bytes, buffer); });
}

eddl_code BufferImport(eddl_device* device, void* data, uint64_t size_bytes, eddl_buffer** buffer, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    EDDL_CPU_REQUIRE(data != nullptr || size_bytes == 0, "cannot import %llu bytes at NULL",
                     static_cast<unsigned long long>(size_bytes));
    EDDL_CPU_REQUIRE(reinterpret_cast<uintptr_t>(data) % kAlignmentBytes == 0,
                     "imported memory at %p is not aligned to %llu bytes", data,
                     static_cast<unsigned long long>(kAlignmentBytes));
    *buffer = new eddl_buffer{
        .device = device, .data = static_cast<std::byte*>(data), .size_bytes = size_bytes, .imported = true};
    return {};
  });
}

void* BufferHostPointer(eddl_buffer* buffer) { return buffer->data; }

eddl_code QueueCreate(eddl_device* device, eddl_queue_kind, eddl_queue** queue, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    *queue = new eddl_queue{.device = device, .first_error = {}, .first_error_tag = 0};
    return {};
  });
}

void QueueDestroy(eddl_queue* queue) { delete queue; }

eddl_code QueueWait(eddl_queue* queue, eddl_error* error) {
  return Report(queue->first_error, queue->first_error_tag, error);
}

eddl_code Write(eddl_queue*, eddl_buffer* target, uint64_t offset_bytes, const void* source, uint64_t size_bytes,
                eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    std::byte* bytes = nullptr;
    EDDL_CPU_RETURN_IF_ERROR(Range(target, offset_bytes, size_bytes, "write", &bytes));
    if (size_bytes > 0) std::memcpy(bytes, source, size_bytes);
    return {};
  });
}

eddl_code Read(eddl_queue*, const eddl_buffer* source, uint64_t offset_bytes, void* target, uint64_t size_bytes,
               eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    std::byte* bytes = nullptr;
    EDDL_CPU_RETURN_IF_ERROR(Range(source, offset_bytes, size_bytes, "read", &bytes));
    if (size_bytes > 0) std::memcpy(target, bytes, size_bytes);
    return {};
  });
}

eddl_code Copy(eddl_queue*, const eddl_buffer* source, uint64_t source_offset_bytes, eddl_buffer* target,
               uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    std::byte* from = nullptr;
    std::byte* to = nullptr;
    EDDL_CPU_RETURN_IF_ERROR(Range(source, source_offset_bytes, size_bytes, "copy source", &from));
    EDDL_CPU_RETURN_IF_ERROR(Range(target, target_offset_bytes, size_bytes, "copy target", &to));
    if (size_bytes > 0) std::memmove(to, from, size_bytes);
    return {};
  });
}

eddl_code Fill(eddl_queue*, eddl_buffer* target, uint64_t offset_bytes, const void* pattern, uint64_t pattern_size,
               uint64_t size_bytes, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    const bool known = pattern_size == 1 || pattern_size == 2 || pattern_size == 4 || pattern_size == 8;
    EDDL_CPU_REQUIRE(known && size_bytes % pattern_size == 0,
                     "fill of %llu bytes with a pattern of %llu; patterns have 1, 2, 4 or 8 bytes and divide the size",
                     static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(pattern_size));
    std::byte* bytes = nullptr;
    EDDL_CPU_RETURN_IF_ERROR(Range(target, offset_bytes, size_bytes, "fill", &bytes));
    uint8_t block[8];
    for (uint64_t i = 0; i < sizeof(block); i += pattern_size) std::memcpy(block + i, pattern, pattern_size);
    const bool uniform = std::all_of(block, block + sizeof(block), [&](uint8_t byte) { return byte == block[0]; });
    if (uniform) {
      if (size_bytes > 0) std::memset(bytes, block[0], size_bytes);
      return {};
    }
    for (uint64_t i = 0; i < size_bytes; i += sizeof(block)) {
      std::memcpy(bytes + i, block, std::min<uint64_t>(sizeof(block), size_bytes - i));
    }
    return {};
  });
}

void DescribeBindings(const eddl_op_desc& desc, eddl_op* op) {
  op->tag = desc.tag;
  op->input_count = desc.input_count;
  op->output_count = desc.output_count;
  for (uint32_t i = 0; i < desc.input_count; ++i) {
    op->input_bytes[i] = ByteCount(desc.inputs[i]);
    op->input_present[i] = IsPresent(desc.inputs[i]);
  }
  for (uint32_t i = 0; i < desc.output_count; ++i) {
    op->output_bytes[i] = ByteCount(desc.outputs[i]);
    op->output_present[i] = IsPresent(desc.outputs[i]);
  }
}

eddl_code OpPrepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                    eddl_error* error) {
  return Guard(desc->tag, error, [&]() -> Status {
    UseThreadsOf(*device);
    auto made = std::make_unique<eddl_op>();
    eddl_op_desc full = {};
    std::memcpy(&full, desc, std::min<size_t>(desc->struct_size, sizeof(full)));
    EDDL_CPU_RETURN_IF_ERROR(PrepareOp(full, {.thread_count = device->thread_count}, &made->prepared));
    if (info != nullptr) {
      eddl_op_info answer = {};
      answer.struct_size = info->struct_size;
      answer.workspace_bytes = made->prepared.workspace_bytes;
      answer.state_bytes = made->prepared.state_bytes;
      std::strncpy(answer.implementation, made->prepared.implementation.c_str(), sizeof(answer.implementation) - 1);
      std::memcpy(static_cast<void*>(info), &answer, std::min<size_t>(info->struct_size, sizeof(answer)));
    }
    if (op == nullptr) return {};
    made->device = device;
    DescribeBindings(full, made.get());
    *op = made.release();
    return {};
  });
}

Status Resolve(const eddl_binding& binding, uint64_t size_bytes, const char* role, void** address) {
  std::byte* bytes = nullptr;
  EDDL_CPU_RETURN_IF_ERROR(Range(binding.buffer, binding.offset_bytes, size_bytes, role, &bytes));
  EDDL_CPU_REQUIRE(binding.offset_bytes % kAlignmentBytes == 0, "%s: offset %llu is not a multiple of %llu", role,
                   static_cast<unsigned long long>(binding.offset_bytes),
                   static_cast<unsigned long long>(kAlignmentBytes));
  *address = bytes;
  return {};
}

Status ResolveAll(const eddl_op& op, const eddl_op_args& args, Args* resolved) {
  *resolved = {};
  for (uint32_t i = 0; i < op.input_count; ++i) {
    if (!op.input_present[i]) continue;
    void* address = nullptr;
    EDDL_CPU_RETURN_IF_ERROR(Resolve(args.inputs[i], op.input_bytes[i], "input", &address));
    resolved->inputs[i] = address;
  }
  for (uint32_t i = 0; i < op.output_count; ++i) {
    if (!op.output_present[i]) continue;
    EDDL_CPU_RETURN_IF_ERROR(Resolve(args.outputs[i], op.output_bytes[i], "output", &resolved->outputs[i]));
  }
  if (op.prepared.workspace_bytes > 0) {
    EDDL_CPU_RETURN_IF_ERROR(
        Resolve(args.workspace, op.prepared.workspace_bytes, "workspace", &resolved->workspace_bytes));
  }
  const uint64_t state_bytes = std::max(op.prepared.state_bytes, op.prepared.state_read_bytes);
  if (state_bytes > 0) EDDL_CPU_RETURN_IF_ERROR(Resolve(args.state, state_bytes, "state", &resolved->state_bytes));
  EDDL_CPU_REQUIRE(args.scalar_count >= op.prepared.scalar_count, "the op needs %u scalars, got %u",
                   op.prepared.scalar_count, args.scalar_count);
  resolved->scalars = args.scalars;
  return {};
}

eddl_code OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error) {
  return Guard(op->tag, error, [&]() -> Status {
    Args resolved;
    EDDL_CPU_RETURN_IF_ERROR(ResolveAll(*op, *args, &resolved));
    UseThreadsOf(*op->device);
    const std::lock_guard lock(op->mutex);
    Status status = op->prepared.run(resolved);
    if (!status.ok() && queue->first_error.ok()) {
      queue->first_error = status;
      queue->first_error_tag = op->tag;
    }
    return status;
  });
}

void OpDestroy(eddl_op* op) { delete op; }

eddl_code EventRecord(eddl_queue*, eddl_event** event, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    *event = new eddl_event{
        .time_ns = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count())};
    return {};
  });
}

// Recorded work is done already: a queue computes inside the call.
eddl_code QueueWaitEvent(eddl_queue*, eddl_event*, eddl_error*) { return EDDL_OK; }
eddl_code EventWait(eddl_event*, eddl_error*) { return EDDL_OK; }
void EventDestroy(eddl_event* event) { delete event; }

eddl_code EventTimes(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error*) {
  *begin_ns = begin->time_ns;
  *end_ns = end->time_ns;
  return EDDL_OK;
}

constexpr eddl_backend kBackend = {
    .struct_size = sizeof(eddl_backend),
    .abi_major = EDDL_ABI_MAJOR,
    .abi_minor = EDDL_ABI_MINOR,
    .name = "cpu",
    .version = kVersion,
    .device_count = DeviceCount,
    .device_info = DeviceInfo,
    .device_open = DeviceOpen,
    .device_close = DeviceClose,
    .buffer_create = BufferCreate,
    .buffer_destroy = DestroyBuffer,
    .queue_create = QueueCreate,
    .queue_destroy = QueueDestroy,
    .queue_wait = QueueWait,
    .write = Write,
    .read = Read,
    .copy = Copy,
    .fill = Fill,
    .op_prepare = OpPrepare,
    .op_enqueue = OpEnqueue,
    .op_destroy = OpDestroy,
    .buffer_import = BufferImport,
    .buffer_host_pointer = BufferHostPointer,
    .event_record = EventRecord,
    .queue_wait_event = QueueWaitEvent,
    .event_wait = EventWait,
    .event_destroy = EventDestroy,
    .event_times = EventTimes,
};

}  // namespace
}  // namespace eddl::cpu

extern "C" EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host*) { return &eddl::cpu::kBackend; }
