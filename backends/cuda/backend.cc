// The table that eddl_backend_get_v1 returns. Everything here converts: handles to C++, exceptions and statuses to
// codes.
#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "backends/cuda/copy.h"
#include "backends/cuda/device.h"
#include "backends/cuda/op.h"
#ifdef EDDL_CUDA_NCCL
#include "backends/cuda/group.h"
#endif

namespace eddl::cuda {
namespace {

// "0.1.0 (CUDA 13.0, cuBLAS)". CUDART_VERSION is 1000 major + 10 minor.
std::string Version() {
  return std::string(EDDL_VERSION) + " (CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
         std::to_string(CUDART_VERSION % 1000 / 10) + ", cuBLAS)";
}

eddl_code Report(const Status& status, uint64_t tag, eddl_error* error) {
  if (status.ok() || error == nullptr) return status.code;
  error->code = status.code;
  error->flags = status.code == EDDL_RESOURCE_EXHAUSTED ? EDDL_ERROR_OUT_OF_MEMORY
                 : status.code == EDDL_UNAVAILABLE      ? EDDL_ERROR_DEVICE_LOST
                                                        : 0;
  error->reserved = 0;
  error->tag = tag;
  const size_t size = std::min(status.message.size(), sizeof(error->message) - 1);
  std::memcpy(error->message, status.message.data(), size);
  error->message[size] = '\0';
  return status.code;
}

// Runs a body that may throw (allocation) and lets nothing but a code out.
template <typename Body>
Status Guarded(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error(EDDL_RESOURCE_EXHAUSTED, "the host is out of memory");
  } catch (const std::exception& exception) {
    return Error(EDDL_INTERNAL, "the cuda backend failed: %s", exception.what());
  }
}
template <typename Body>
eddl_code Guard(uint64_t tag, eddl_error* error, const Body& body) {
  return Report(Guarded(body), tag, error);
}

// For work on a queue: a failure of the device stays in the queue, a wrong argument does not.
template <typename Body>
eddl_code GuardQueue(eddl_queue* queue, uint64_t tag, eddl_error* error, const Body& body) {
  const Status status = Guarded(body);
  if (!status.ok() && status.code != EDDL_INVALID_ARGUMENT && queue->first_error.ok()) {
    queue->first_error = status;
    queue->first_error_tag = tag;
  }
  return Report(status, tag, error);
}

eddl_code DeviceCount(uint32_t* count, eddl_error* error) {
  return Guard(0, error, [&] { return CountDevices(count); });
}

eddl_code DeviceInfo(uint32_t index, eddl_device_info* info, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    eddl_device_info full = {};
    full.struct_size = info->struct_size;
    EDDL_CUDA_RETURN_IF_ERROR(FillDeviceInfo(index, &full));
    std::memcpy(static_cast<void*>(info), &full, std::min<size_t>(info->struct_size, sizeof(full)));
    return {};
  });
}

eddl_code DeviceOpen(uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    eddl_device_options full = {};
    if (options != nullptr) std::memcpy(&full, options, std::min<size_t>(options->struct_size, sizeof(full)));
    return OpenDevice(index, full, device);
  });
}

void DeviceClose(eddl_device* device) { delete device; }

eddl_code BufferCreate(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                       eddl_error* error) {
  return Guard(0, error, [&] { return CreateBuffer(*device, size_bytes, kind, buffer); });
}

void BufferDestroy(eddl_buffer* buffer) { delete buffer; }

void* BufferHostPointer(eddl_buffer* buffer) {
  return buffer->kind == EDDL_BUFFER_HOST_PINNED ? buffer->data : nullptr;
}

eddl_code QueueCreate(eddl_device* device, eddl_queue_kind, eddl_queue** queue, eddl_error* error) {
  return Guard(0, error, [&] { return CreateQueue(*device, queue); });
}

eddl_code QueueWait(eddl_queue* queue, eddl_error* error) {
  const Status status = Guarded([&] { return WaitForQueue(*queue); });
  if (!status.ok() && queue->first_error.ok()) queue->first_error = status;
  return Report(queue->first_error, queue->first_error_tag, error);
}

void QueueDestroy(eddl_queue* queue) {
  if (queue == nullptr) return;
  // Its error, if any, is of work that nobody asked about.
  if (!Guarded([&] { return WaitForQueue(*queue); }).ok()) queue->first_error_tag = 0;
  delete queue;
}

eddl_code Write(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source, uint64_t size_bytes,
                eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_CUDA_RETURN_IF_ERROR(CheckRange(target, offset_bytes, size_bytes, "write"));
    return size_bytes == 0 ? Status{} : WriteBytes(*queue, *target, offset_bytes, source, size_bytes);
  });
}

eddl_code Read(eddl_queue* queue, const eddl_buffer* source, uint64_t offset_bytes, void* target, uint64_t size_bytes,
               eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_CUDA_RETURN_IF_ERROR(CheckRange(source, offset_bytes, size_bytes, "read"));
    return size_bytes == 0 ? Status{} : ReadBytes(*queue, *source, offset_bytes, target, size_bytes);
  });
}

eddl_code Copy(eddl_queue* queue, const eddl_buffer* source, uint64_t source_offset_bytes, eddl_buffer* target,
               uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_CUDA_RETURN_IF_ERROR(CheckRange(source, source_offset_bytes, size_bytes, "copy source"));
    EDDL_CUDA_RETURN_IF_ERROR(CheckRange(target, target_offset_bytes, size_bytes, "copy target"));
    if (size_bytes == 0) return {};
    return CopyBytes(*queue, *source, source_offset_bytes, *target, target_offset_bytes, size_bytes);
  });
}

eddl_code Fill(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern,
               uint64_t pattern_size, uint64_t size_bytes, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    const bool known = pattern_size == 1 || pattern_size == 2 || pattern_size == 4 || pattern_size == 8;
    EDDL_KERNELS_REQUIRE(
        known && size_bytes % pattern_size == 0 && offset_bytes % pattern_size == 0,
        "fill of %llu bytes with a pattern of %llu; patterns have 1, 2, 4 or 8 bytes and divide offset and size",
        static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(pattern_size));
    EDDL_CUDA_RETURN_IF_ERROR(CheckRange(target, offset_bytes, size_bytes, "fill"));
    return size_bytes == 0 ? Status{} : FillBytes(*queue, *target, offset_bytes, pattern, pattern_size, size_bytes);
  });
}

eddl_code OpPrepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                    eddl_error* error) {
  return Guard(desc->tag, error, [&]() -> Status {
    eddl_op_desc full = {};
    std::memcpy(&full, desc, std::min<size_t>(desc->struct_size, sizeof(full)));
    return PrepareOp(*device, full, op, info);
  });
}

eddl_code OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error) {
  return GuardQueue(queue, op->tag, error, [&] { return EnqueueOp(*queue, *op, *args); });
}

void OpDestroy(eddl_op* op) { delete op; }

eddl_code EventRecord(eddl_queue* queue, eddl_event** event, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&] { return RecordEvent(*queue, event); });
}

eddl_code QueueWaitEvent(eddl_queue* queue, eddl_event* event, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue->device));
    EDDL_CUDA_CALL(cudaStreamWaitEvent(queue->stream, event->event, 0), "waiting for another queue");
    return {};
  });
}

eddl_code EventWait(eddl_event* event, eddl_error* error) {
  return Guard(0, error, [&] { return WaitForEvent(*event); });
}

void EventDestroy(eddl_event* event) { delete event; }

eddl_code EventTimesNs(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error* error) {
  return Guard(0, error, [&] { return EventTimes(*begin, *end, begin_ns, end_ns); });
}

#ifdef EDDL_CUDA_NCCL
eddl_code GroupCreate(eddl_device* const* devices, uint32_t device_count, eddl_group** group, eddl_error* error) {
  return Guard(0, error, [&] { return CreateGroup(devices, device_count, group); });
}

// What fails for one stays in all queues: the others wait for what does not come.
eddl_code GroupAllReduce(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                         eddl_dtype dtype, eddl_error* error) {
  const Status status = Guarded([&] { return AllReduce(*group, queues, targets, count, dtype); });
  const bool stays = !status.ok() && status.code != EDDL_INVALID_ARGUMENT && status.code != EDDL_UNIMPLEMENTED;
  for (size_t i = 0; stays && i < group->devices.size(); ++i) {
    if (queues[i]->first_error.ok()) queues[i]->first_error = status;
  }
  return Report(status, 0, error);
}

void GroupDestroy(eddl_group* group) { delete group; }
#endif

constexpr eddl_backend kBackend = {
    // but for version, which is text in the making
    .struct_size = sizeof(eddl_backend),
    .abi_major = EDDL_ABI_MAJOR,
    .abi_minor = EDDL_ABI_MINOR,
    .name = "cuda",
    .version = "",
    .device_count = DeviceCount,
    .device_info = DeviceInfo,
    .device_open = DeviceOpen,
    .device_close = DeviceClose,
    .buffer_create = BufferCreate,
    .buffer_destroy = BufferDestroy,
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
    .buffer_import = nullptr,  // device memory: a copy is needed, and the runtime makes it
    .buffer_host_pointer = BufferHostPointer,
    .event_record = EventRecord,
    .queue_wait_event = QueueWaitEvent,
    .event_wait = EventWait,
    .event_destroy = EventDestroy,
    .event_times = EventTimesNs,
#ifdef EDDL_CUDA_NCCL
    .group_create = GroupCreate,
    .all_reduce = GroupAllReduce,
    .group_destroy = GroupDestroy,
#endif
};

}  // namespace
}  // namespace eddl::cuda

extern "C" EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host*) {
  static const std::string version = eddl::cuda::Version();
  static const eddl_backend backend = [] {
    eddl_backend table = eddl::cuda::kBackend;
    table.version = version.c_str();
    return table;
  }();
  return &backend;
}
