// The slots of eddl_backend that are the same for every device backend built from kernels/*.knl: they copy argument
// structs of any size, check ranges, and turn statuses into codes.
//
// Backend is a class of static functions, which are what differs (backends/opencl/backend.cc and
// backends/cuda/backend.cc have one each); it is known when this is compiled, and nothing is looked up at run time. It
// also names kName and the types Device, Buffer, Queue, Event and Op behind the handles; all but the device are given
// back by delete.
#pragma once

#include "backends/device/guard.h"
#include "backends/device/op_steps.h"

namespace eddl::device {

// Counts size_bytes as used. EDDL_RESOURCE_EXHAUSTED where they go beyond the device's limit: they count all the same,
// until the buffer's end gives them back.
template <typename Device>
Status TakeMemory(Device& device, uint64_t size_bytes) {
  const uint64_t used = device.memory_used_bytes.fetch_add(size_bytes) + size_bytes;
  const uint64_t limit = device.memory_limit_bytes;
  if (limit == 0 || (used <= limit && used >= size_bytes)) return {};
  return Error(EDDL_RESOURCE_EXHAUSTED,
               "a buffer of %llu bytes does not fit: %llu of the limit of %llu bytes are in use; raise the memory "
               "limit or make the batch smaller",
               static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(used - size_bytes),
               static_cast<unsigned long long>(limit));
}

template <typename Backend>
struct Slots {
  using Device = typename Backend::Device;
  using Buffer = typename Backend::Buffer;
  using Queue = typename Backend::Queue;
  using Event = typename Backend::Event;
  using Op = typename Backend::Op;

  // Runs a body that gives a status.
  template <typename Body>
  static eddl_code Guard(uint64_t tag, eddl_error* error, const Body& body) {
    return Report(Guarded(Backend::kName, body), tag, error);
  }
  // For work on a queue: a failure of the device stays in the queue, a wrong argument does not.
  template <typename Body>
  static eddl_code GuardQueue(Queue* queue, uint64_t tag, eddl_error* error, const Body& body) {
    const Status status = Guarded(Backend::kName, body);
    if (status.code != EDDL_INVALID_ARGUMENT) Keep(*queue, status, tag);
    return Report(status, tag, error);
  }

  // Devices.
  static eddl_code DeviceCount(uint32_t* count, eddl_error* error) {
    const eddl_code code = Guard(0, error, [&] { return Backend::CountDevices(count); });
    // A device that was never there is not lost.
    if (code != EDDL_OK && error != nullptr) error->flags = 0;
    return code;
  }
  static eddl_code DeviceInfo(uint32_t index, eddl_device_info* info, eddl_error* error) {
    return Guard(0, error, [&]() -> Status {
      eddl_device_info full = {};
      full.struct_size = info->struct_size;
      EDDL_KERNELS_RETURN_IF_ERROR(Backend::FillDeviceInfo(index, &full));
      std::memcpy(static_cast<void*>(info), &full, std::min<size_t>(info->struct_size, sizeof(full)));
      return {};
    });
  }
  static eddl_code DeviceOpen(uint32_t index, const eddl_device_options* options, Device** device, eddl_error* error) {
    return Guard(0, error, [&] {
      eddl_device_options full = {};
      if (options != nullptr) std::memcpy(&full, options, std::min<size_t>(options->struct_size, sizeof(full)));
      return Backend::OpenDevice(index, full, device);
    });
  }
  static void DeviceClose(Device* device) { delete device; }

  // Buffers.
  static eddl_code BufferCreate(Device* device, uint64_t size_bytes, eddl_buffer_kind kind, Buffer** buffer,
                                eddl_error* error) {
    return Guard(0, error, [&] { return Backend::CreateBuffer(*device, size_bytes, kind, buffer); });
  }
  static void BufferDestroy(Buffer* buffer) { delete buffer; }

  static eddl_code QueueCreate(Device* device, eddl_queue_kind, Queue** queue, eddl_error* error) {
    return Guard(0, error, [&] { return Backend::CreateQueue(*device, queue); });
  }
  static eddl_code QueueWait(Queue* queue, eddl_error* error) {
    Keep(*queue, Guarded(Backend::kName, [&] { return Backend::WaitForQueue(*queue); }), 0);
    return Report(queue->first_error, queue->first_error_tag, error);
  }
  // Waits first: what is enqueued may use what is given back next.
  static void QueueDestroy(Queue* queue) {
    if (queue == nullptr) return;
    // Its error, if any, is of work that nobody asked about.
    Keep(*queue, Guarded(Backend::kName, [&] { return Backend::WaitForQueue(*queue); }), 0);
    delete queue;
  }

  // From host memory.
  static eddl_code Write(Queue* queue, Buffer* target, uint64_t offset_bytes, const void* source, uint64_t size_bytes,
                         eddl_error* error) {
    return GuardQueue(queue, 0, error, [&]() -> Status {
      EDDL_KERNELS_RETURN_IF_ERROR(CheckRange(target, offset_bytes, size_bytes, "write"));
      return size_bytes == 0 ? Status{} : Backend::WriteBytes(*queue, *target, offset_bytes, source, size_bytes);
    });
  }
  // To host memory.
  static eddl_code Read(Queue* queue, const Buffer* source, uint64_t offset_bytes, void* target, uint64_t size_bytes,
                        eddl_error* error) {
    return GuardQueue(queue, 0, error, [&]() -> Status {
      EDDL_KERNELS_RETURN_IF_ERROR(CheckRange(source, offset_bytes, size_bytes, "read"));
      return size_bytes == 0 ? Status{} : Backend::ReadBytes(*queue, *source, offset_bytes, target, size_bytes);
    });
  }
  // From buffer to buffer.
  static eddl_code Copy(Queue* queue, const Buffer* source, uint64_t source_offset_bytes, Buffer* target,
                        uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
    return GuardQueue(queue, 0, error, [&]() -> Status {
      EDDL_KERNELS_RETURN_IF_ERROR(CheckRange(source, source_offset_bytes, size_bytes, "copy source"));
      EDDL_KERNELS_RETURN_IF_ERROR(CheckRange(target, target_offset_bytes, size_bytes, "copy target"));
      if (size_bytes == 0) return {};
      return Backend::CopyBytes(*queue, *source, source_offset_bytes, *target, target_offset_bytes, size_bytes);
    });
  }
  // With a pattern; offset and size are multiples of its size.
  static eddl_code Fill(Queue* queue, Buffer* target, uint64_t offset_bytes, const void* pattern, uint64_t pattern_size,
                        uint64_t size_bytes, eddl_error* error) {
    return GuardQueue(queue, 0, error, [&]() -> Status {
      const bool known = pattern_size == 1 || pattern_size == 2 || pattern_size == 4 || pattern_size == 8;
      EDDL_KERNELS_REQUIRE(
          known && size_bytes % pattern_size == 0 && offset_bytes % pattern_size == 0,
          "fill of %llu bytes with a pattern of %llu; patterns have 1, 2, 4 or 8 bytes and divide offset and size",
          static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(pattern_size));
      EDDL_KERNELS_RETURN_IF_ERROR(CheckRange(target, offset_bytes, size_bytes, "fill"));
      if (size_bytes == 0) return {};
      return Backend::FillBytes(*queue, *target, offset_bytes, pattern, pattern_size, size_bytes);
    });
  }

  // op == NULL: a dry run.
  static eddl_code OpPrepare(Device* device, const eddl_op_desc* desc, Op** op, eddl_op_info* info, eddl_error* error) {
    return Guard(desc->tag, error, [&] {
      eddl_op_desc full = {};
      std::memcpy(&full, desc, std::min<size_t>(desc->struct_size, sizeof(full)));
      return Backend::PrepareOp(*device, full, op, info);
    });
  }
  static eddl_code OpEnqueue(Queue* queue, Op* op, const eddl_op_args* args, eddl_error* error) {
    return GuardQueue(queue, op->tag, error, [&] { return Backend::EnqueueOp(*queue, *op, *args); });
  }
  static void OpDestroy(Op* op) { delete op; }

  static eddl_code EventRecord(Queue* queue, Event** event, eddl_error* error) {
    return GuardQueue(queue, 0, error, [&] { return Backend::RecordEvent(*queue, event); });
  }
  static eddl_code QueueWaitEvent(Queue* queue, Event* event, eddl_error* error) {
    return GuardQueue(queue, 0, error, [&] { return Backend::WaitOnQueue(*queue, *event); });
  }
  static eddl_code EventWait(Event* event, eddl_error* error) {
    return Guard(0, error, [&] { return Backend::WaitForEvent(*event); });
  }
  static void EventDestroy(Event* event) { delete event; }
  static eddl_code EventTimes(Event* begin, Event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error* error) {
    return Guard(0, error, [&] { return Backend::EventTimes(*begin, *end, begin_ns, end_ns); });
  }

  // Everything but version; buffer_import, buffer_host_pointer and groups are NULL, for the backend to set.
  static constexpr eddl_backend Table() {
    return {
        .struct_size = sizeof(eddl_backend),
        .abi_major = EDDL_ABI_MAJOR,
        .abi_minor = EDDL_ABI_MINOR,
        .name = Backend::kName,
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
        .event_record = EventRecord,
        .queue_wait_event = QueueWaitEvent,
        .event_wait = EventWait,
        .event_destroy = EventDestroy,
        .event_times = EventTimes,
    };
  }
};

}  // namespace eddl::device
