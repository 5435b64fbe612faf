#include "backends/opencl/device.h"

#include <algorithm>
#include <cstring>

#include "backends/device/slots.h"

namespace eddl::opencl {
namespace {

constexpr int kCommandsPerFlush = 16;

}  // namespace

Status CountDevices(uint32_t* count) {
  std::string why;
  *count = static_cast<uint32_t>(FindDevices(&why).size());
  return *count > 0 ? Status{} : Error(EDDL_UNAVAILABLE, "%s", why.c_str());
}

Status DescribeDevice(uint32_t index, eddl_device_info* info) {
  std::string why;
  const std::vector<PlatformDevice> devices = FindDevices(&why);
  if (index >= devices.size()) {
    return Error(EDDL_NOT_FOUND, "no OpenCL device %u: there are %zu, counted from 0", index, devices.size());
  }
  FillDeviceInfo(devices[index], info);
  return {};
}

Status OpenDevice(uint32_t index, const eddl_device_options& options, eddl_device** device) {
  auto opened = std::make_unique<eddl_device>();
  EDDL_OPENCL_RETURN_IF_ERROR(UseDevice(index, options.cache_dir, &opened->shared));
  opened->memory_limit_bytes = options.memory_limit_bytes;
  opened->profile = (options.flags & EDDL_OPEN_PROFILE) != 0;
  *device = opened.release();
  return {};
}

Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer) {
  const SharedDevice& shared = *device.shared;
  auto made = std::make_unique<eddl_buffer>();
  made->device = &device;
  made->size_bytes = size_bytes;  // from here on its end gives them back
  EDDL_OPENCL_RETURN_IF_ERROR(device::TakeMemory(device, size_bytes));
  if (size_bytes > shared.allocation_max_bytes) {
    return Error(EDDL_RESOURCE_EXHAUSTED,
                 "a buffer of %llu bytes is larger than the device allows in one piece (%llu); make the batch smaller",
                 static_cast<unsigned long long>(size_bytes),
                 static_cast<unsigned long long>(shared.allocation_max_bytes));
  }
  const cl_mem_flags flags = CL_MEM_READ_WRITE | (kind == EDDL_BUFFER_HOST_PINNED ? CL_MEM_ALLOC_HOST_PTR : 0u);
  cl_int error = CL_SUCCESS;
  // An empty buffer is a buffer too; OpenCL has none.
  made->memory.reset(clCreateBuffer(shared.context.get(), flags, std::max<uint64_t>(size_bytes, 1), nullptr, &error));
  EDDL_OPENCL_CALL(error, "creating a buffer of " + std::to_string(size_bytes) + " bytes");
  *buffer = made.release();
  return {};
}

Status CreateQueue(eddl_device& device, eddl_queue** queue) {
  const SharedDevice& shared = *device.shared;
  auto made = std::make_unique<eddl_queue>();
  made->device = &device;
  cl_int error = CL_SUCCESS;
  made->queue.reset(clCreateCommandQueue(shared.context.get(), shared.where.device,
                                         device.profile ? CL_QUEUE_PROFILING_ENABLE : 0, &error));
  EDDL_OPENCL_CALL(error, "creating a queue");
  *queue = made.release();
  return {};
}

Status WaitForQueue(eddl_queue& queue) {
  queue.unflushed = 0;
  EDDL_OPENCL_CALL(clFinish(queue.queue.get()), "waiting for the device");
  return {};
}

Status CountCommand(eddl_queue& queue) {
  if (++queue.unflushed < kCommandsPerFlush) return {};
  queue.unflushed = 0;
  EDDL_OPENCL_CALL(clFlush(queue.queue.get()), "starting enqueued work");
  return {};
}

Status WriteBytes(eddl_queue& queue, eddl_buffer& target, uint64_t offset_bytes, const void* source,
                  uint64_t size_bytes) {
  EDDL_OPENCL_CALL(clEnqueueWriteBuffer(queue.queue.get(), target.memory.get(), CL_FALSE, offset_bytes, size_bytes,
                                        source, 0, nullptr, nullptr),
                   "writing to the device");
  return CountCommand(queue);
}

Status ReadBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t offset_bytes, void* target,
                 uint64_t size_bytes) {
  EDDL_OPENCL_CALL(clEnqueueReadBuffer(queue.queue.get(), source.memory.get(), CL_FALSE, offset_bytes, size_bytes,
                                       target, 0, nullptr, nullptr),
                   "reading from the device");
  return CountCommand(queue);
}

Status CopyBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t source_offset_bytes, eddl_buffer& target,
                 uint64_t target_offset_bytes, uint64_t size_bytes) {
  EDDL_OPENCL_CALL(clEnqueueCopyBuffer(queue.queue.get(), source.memory.get(), target.memory.get(), source_offset_bytes,
                                       target_offset_bytes, size_bytes, 0, nullptr, nullptr),
                   "copying on the device");
  return CountCommand(queue);
}

Status FillBytes(eddl_queue& queue, eddl_buffer& target, uint64_t offset_bytes, const void* pattern,
                 uint64_t pattern_size, uint64_t size_bytes) {
  EDDL_OPENCL_CALL(clEnqueueFillBuffer(queue.queue.get(), target.memory.get(), pattern, pattern_size, offset_bytes,
                                       size_bytes, 0, nullptr, nullptr),
                   "filling a buffer");
  return CountCommand(queue);
}

Status RecordEvent(eddl_queue& queue, eddl_event** event) {
  cl_event marker = nullptr;
  EDDL_OPENCL_CALL(clEnqueueMarkerWithWaitList(queue.queue.get(), 0, nullptr, &marker), "recording an event");
  Event owned(marker);
  // Another queue may wait for it: this one must not sit on it.
  queue.unflushed = 0;
  EDDL_OPENCL_CALL(clFlush(queue.queue.get()), "starting enqueued work");
  *event = new eddl_event{std::move(owned)};
  return {};
}

Status WaitOnQueue(eddl_queue& queue, eddl_event& event) {
  const cl_event raw = event.event.get();
  EDDL_OPENCL_CALL(clEnqueueBarrierWithWaitList(queue.queue.get(), 1, &raw, nullptr), "waiting for another queue");
  return CountCommand(queue);
}

Status WaitForEvent(eddl_event& event) {
  const cl_event raw = event.event.get();
  EDDL_OPENCL_CALL(clWaitForEvents(1, &raw), "waiting for an event");
  return {};
}

Status EventTimes(const eddl_event& begin, const eddl_event& end, uint64_t* begin_ns, uint64_t* end_ns) {
  const auto time = [](const eddl_event& event, uint64_t* ns) -> Status {
    cl_ulong value = 0;
    EDDL_OPENCL_CALL(
        clGetEventProfilingInfo(event.event.get(), CL_PROFILING_COMMAND_END, sizeof(value), &value, nullptr),
        "asking for an event's time");
    *ns = value;
    return {};
  };
  EDDL_OPENCL_RETURN_IF_ERROR(time(begin, begin_ns));
  return time(end, end_ns);
}

}  // namespace eddl::opencl
