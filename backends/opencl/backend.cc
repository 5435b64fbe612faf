// The table that eddl_backend_get_v1 returns. Everything here converts: handles to C++, exceptions and statuses to
// codes.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "backends/opencl/device.h"
#include "backends/opencl/op.h"

namespace eddl::opencl {
namespace {

constexpr const char* kVersion = EDDL_VERSION " (OpenCL 1.2, CLBlast)";

// The runtime's side, given once, before anything else is called.
const eddl_host* host = nullptr;

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

// Runs a body that may throw (allocation, CLBlast) and lets nothing but a code out.
template <typename Body>
Status Guarded(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error(EDDL_RESOURCE_EXHAUSTED, "the host is out of memory");
  } catch (const std::exception& exception) {
    return Error(EDDL_INTERNAL, "the opencl backend failed: %s", exception.what());
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
  const eddl_code code = Guard(0, error, [&]() -> Status {
    std::string why;
    *count = static_cast<uint32_t>(FindDevices(&why).size());
    return *count > 0 ? Status{} : Error(EDDL_UNAVAILABLE, "%s", why.c_str());
  });
  // A device that was never there is not lost.
  if (code != EDDL_OK && error != nullptr) error->flags = 0;
  return code;
}

eddl_code DeviceInfo(uint32_t index, eddl_device_info* info, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    std::string why;
    const std::vector<PlatformDevice> devices = FindDevices(&why);
    if (index >= devices.size()) {
      return Error(EDDL_NOT_FOUND, "no OpenCL device %u: there are %zu, counted from 0", index, devices.size());
    }
    eddl_device_info full = {};
    full.struct_size = info->struct_size;
    FillDeviceInfo(devices[index], &full);
    std::memcpy(static_cast<void*>(info), &full, std::min<size_t>(info->struct_size, sizeof(full)));
    return {};
  });
}

eddl_code DeviceOpen(uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    eddl_device_options full = {};
    if (options != nullptr) std::memcpy(&full, options, std::min<size_t>(options->struct_size, sizeof(full)));
    auto opened = std::make_unique<eddl_device>();
    EDDL_OPENCL_RETURN_IF_ERROR(UseDevice(index, full.cache_dir, &opened->shared));
    opened->memory_limit_bytes = full.memory_limit_bytes;
    opened->profile = (full.flags & EDDL_OPEN_PROFILE) != 0;
    *device = opened.release();
    return {};
  });
}

void DeviceClose(eddl_device* device) { delete device; }

Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer) {
  const SharedDevice& shared = *device.shared;
  const auto bytes = [](uint64_t count) { return static_cast<unsigned long long>(count); };
  if (size_bytes > shared.allocation_max_bytes) {
    return Error(EDDL_RESOURCE_EXHAUSTED,
                 "a buffer of %llu bytes is larger than the device allows in one piece (%llu); make the batch smaller",
                 bytes(size_bytes), bytes(shared.allocation_max_bytes));
  }
  const cl_mem_flags flags = CL_MEM_READ_WRITE | (kind == EDDL_BUFFER_HOST_PINNED ? CL_MEM_ALLOC_HOST_PTR : 0u);
  cl_int error = CL_SUCCESS;
  // An empty buffer is a buffer too; OpenCL has none.
  Memory memory(clCreateBuffer(shared.context.get(), flags, std::max<uint64_t>(size_bytes, 1), nullptr, &error));
  EDDL_OPENCL_CALL(error, "creating a buffer of " + std::to_string(size_bytes) + " bytes");
  *buffer = new eddl_buffer{.device = &device, .memory = std::move(memory), .size_bytes = size_bytes};
  return {};
}

eddl_code BufferCreate(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                       eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    const uint64_t used = device->memory_used_bytes.fetch_add(size_bytes) + size_bytes;
    const uint64_t limit = device->memory_limit_bytes;
    Status status;
    if (limit != 0 && (used > limit || used < size_bytes)) {
      status =
          Error(EDDL_RESOURCE_EXHAUSTED,
                "a buffer of %llu bytes does not fit: %llu of the limit of %llu bytes are in use; raise the memory "
                "limit or make the batch smaller",
                static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(used - size_bytes),
                static_cast<unsigned long long>(limit));
    } else {
      status = CreateBuffer(*device, size_bytes, kind, buffer);
    }
    if (!status.ok()) device->memory_used_bytes.fetch_sub(size_bytes);
    return status;
  });
}

void BufferDestroy(eddl_buffer* buffer) {
  if (buffer == nullptr) return;
  buffer->device->memory_used_bytes.fetch_sub(buffer->size_bytes);
  delete buffer;
}

eddl_code QueueCreate(eddl_device* device, eddl_queue_kind, eddl_queue** queue, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    const SharedDevice& shared = *device->shared;
    cl_int code = CL_SUCCESS;
    CommandQueue made(clCreateCommandQueue(shared.context.get(), shared.where.device,
                                           device->profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code));
    EDDL_OPENCL_CALL(code, "creating a queue");
    *queue = new eddl_queue{.device = device, .queue = std::move(made), .first_error = {}};
    return {};
  });
}

eddl_code QueueWait(eddl_queue* queue, eddl_error* error) {
  const Status status = Guarded([&]() -> Status {
    queue->unflushed = 0;
    EDDL_OPENCL_CALL(clFinish(queue->queue.get()), "waiting for the device");
    return {};
  });
  if (!status.ok() && queue->first_error.ok()) queue->first_error = status;
  return Report(queue->first_error, queue->first_error_tag, error);
}

void QueueDestroy(eddl_queue* queue) {
  if (queue == nullptr) return;
  clFinish(queue->queue.get());
  delete queue;
}

eddl_code Write(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source, uint64_t size_bytes,
                eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_OPENCL_RETURN_IF_ERROR(CheckRange(target, offset_bytes, size_bytes, "write"));
    if (size_bytes == 0) return {};
    EDDL_OPENCL_CALL(clEnqueueWriteBuffer(queue->queue.get(), target->memory.get(), CL_FALSE, offset_bytes, size_bytes,
                                          source, 0, nullptr, nullptr),
                     "writing to the device");
    return CountCommand(*queue);
  });
}

eddl_code Read(eddl_queue* queue, const eddl_buffer* source, uint64_t offset_bytes, void* target, uint64_t size_bytes,
               eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_OPENCL_RETURN_IF_ERROR(CheckRange(source, offset_bytes, size_bytes, "read"));
    if (size_bytes == 0) return {};
    EDDL_OPENCL_CALL(clEnqueueReadBuffer(queue->queue.get(), source->memory.get(), CL_FALSE, offset_bytes, size_bytes,
                                         target, 0, nullptr, nullptr),
                     "reading from the device");
    return CountCommand(*queue);
  });
}

eddl_code Copy(eddl_queue* queue, const eddl_buffer* source, uint64_t source_offset_bytes, eddl_buffer* target,
               uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    EDDL_OPENCL_RETURN_IF_ERROR(CheckRange(source, source_offset_bytes, size_bytes, "copy source"));
    EDDL_OPENCL_RETURN_IF_ERROR(CheckRange(target, target_offset_bytes, size_bytes, "copy target"));
    if (size_bytes == 0) return {};
    EDDL_OPENCL_CALL(clEnqueueCopyBuffer(queue->queue.get(), source->memory.get(), target->memory.get(),
                                         source_offset_bytes, target_offset_bytes, size_bytes, 0, nullptr, nullptr),
                     "copying on the device");
    return CountCommand(*queue);
  });
}

eddl_code Fill(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern,
               uint64_t pattern_size, uint64_t size_bytes, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    const bool known = pattern_size == 1 || pattern_size == 2 || pattern_size == 4 || pattern_size == 8;
    EDDL_KERNELS_REQUIRE(
        known && size_bytes % pattern_size == 0,
        "fill of %llu bytes with a pattern of %llu; patterns have 1, 2, 4 or 8 bytes and divide the size",
        static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(pattern_size));
    EDDL_OPENCL_RETURN_IF_ERROR(CheckRange(target, offset_bytes, size_bytes, "fill"));
    if (size_bytes == 0) return {};
    EDDL_OPENCL_CALL(clEnqueueFillBuffer(queue->queue.get(), target->memory.get(), pattern, pattern_size, offset_bytes,
                                         size_bytes, 0, nullptr, nullptr),
                     "filling a buffer");
    return CountCommand(*queue);
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
  return GuardQueue(queue, 0, error, [&]() -> Status {
    cl_event marker = nullptr;
    EDDL_OPENCL_CALL(clEnqueueMarkerWithWaitList(queue->queue.get(), 0, nullptr, &marker), "recording an event");
    Event owned(marker);
    // Another queue may wait for it: this one must not sit on it.
    queue->unflushed = 0;
    EDDL_OPENCL_CALL(clFlush(queue->queue.get()), "starting enqueued work");
    *event = new eddl_event{std::move(owned)};
    return {};
  });
}

eddl_code QueueWaitEvent(eddl_queue* queue, eddl_event* event, eddl_error* error) {
  return GuardQueue(queue, 0, error, [&]() -> Status {
    const cl_event raw = event->event.get();
    EDDL_OPENCL_CALL(clEnqueueBarrierWithWaitList(queue->queue.get(), 1, &raw, nullptr), "waiting for another queue");
    return CountCommand(*queue);
  });
}

eddl_code EventWait(eddl_event* event, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    const cl_event raw = event->event.get();
    EDDL_OPENCL_CALL(clWaitForEvents(1, &raw), "waiting for an event");
    return {};
  });
}

void EventDestroy(eddl_event* event) { delete event; }

eddl_code EventTimes(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error* error) {
  return Guard(0, error, [&]() -> Status {
    const auto time = [](eddl_event* event, uint64_t* ns) -> Status {
      cl_ulong value = 0;
      EDDL_OPENCL_CALL(
          clGetEventProfilingInfo(event->event.get(), CL_PROFILING_COMMAND_END, sizeof(value), &value, nullptr),
          "asking for an event's time");
      *ns = value;
      return {};
    };
    EDDL_OPENCL_RETURN_IF_ERROR(time(begin, begin_ns));
    return time(end, end_ns);
  });
}

constexpr eddl_backend kBackend = {
    .struct_size = sizeof(eddl_backend),
    .abi_major = EDDL_ABI_MAJOR,
    .abi_minor = EDDL_ABI_MINOR,
    .name = "opencl",
    .version = kVersion,
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
    .buffer_import = nullptr,        // device memory: a copy is needed, and the runtime makes it
    .buffer_host_pointer = nullptr,  // likewise
    .event_record = EventRecord,
    .queue_wait_event = QueueWaitEvent,
    .event_wait = EventWait,
    .event_destroy = EventDestroy,
    .event_times = EventTimes,
};

}  // namespace

void Log(const std::string& line) {
  constexpr size_t kNeeded = offsetof(eddl_host, log) + sizeof(eddl_host::log);
  if (host == nullptr || host->struct_size < kNeeded || host->log == nullptr) return;
  host->log(host->context, EDDL_LOG_INFO, line.data(), line.size());
}

}  // namespace eddl::opencl

extern "C" EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host* from_runtime) {
  eddl::opencl::host = from_runtime;
  return &eddl::opencl::kBackend;
}
