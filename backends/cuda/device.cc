#include "backends/cuda/device.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include "backends/cuda/kernel_table.h"
#include "backends/device/slots.h"

namespace eddl::cuda {
namespace {

constexpr std::string_view kEmulatorName = "CUDA EMULATOR";
constexpr int kOldestMajor = 7, kOldestMinor = 5;  // Turing: what CUDA 13 compiles for
constexpr int kFloatsPerCycle = 128;               // of a multiprocessor: products and sums of 64 lanes, the least
constexpr double kGigahertz = 1.5;
constexpr int64_t kGroupsPerMultiprocessor = 16;
constexpr std::chrono::microseconds kWatchInterval(50);  // short beside a step, long beside a look at a group

Status CheckArchitecture(const cudaDeviceProp& properties) {
  if (properties.major > kOldestMajor || (properties.major == kOldestMajor && properties.minor >= kOldestMinor)) {
    return {};
  }
  return Error(EDDL_UNAVAILABLE, "%s has compute capability %d.%d; CUDA 13 needs %d.%d: use the opencl backend for it",
               properties.name, properties.major, properties.minor, kOldestMajor, kOldestMinor);
}

Status GetProperties(uint32_t index, cudaDeviceProp* properties) {
  uint32_t count = 0;
  EDDL_CUDA_RETURN_IF_ERROR(CountDevices(&count));
  if (index >= count) return Error(EDDL_NOT_FOUND, "no CUDA device %u: there are %u, counted from 0", index, count);
  EDDL_CUDA_CALL(cudaGetDeviceProperties(properties, static_cast<int>(index)), "asking for the GPU's properties");
  return {};
}

}  // namespace

Status CountDevices(uint32_t* count) {
  *count = 0;
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return Error(EDDL_UNAVAILABLE, "no NVIDIA driver; CUDA %d needs one", CUDART_VERSION / 1000);
  }
  int found = 0;
  EDDL_CUDA_CALL(cudaGetDeviceCount(&found), "looking for GPUs (driver for CUDA " + std::to_string(driver / 1000) +
                                                 "." + std::to_string(driver % 1000 / 10) + ")");
  *count = static_cast<uint32_t>(found);
  return found > 0 ? Status{} : Error(EDDL_UNAVAILABLE, "NVIDIA's driver is there, but finds no GPU");
}

Status FillDeviceInfo(uint32_t index, eddl_device_info* info) {
  cudaDeviceProp properties;
  EDDL_CUDA_RETURN_IF_ERROR(GetProperties(index, &properties));
  EDDL_CUDA_CALL(cudaSetDevice(static_cast<int>(index)), "choosing a GPU");
  size_t free_bytes = 0, total_bytes = 0;
  EDDL_CUDA_CALL(cudaMemGetInfo(&free_bytes, &total_bytes), "asking for free memory");
  const bool emulated = std::string_view(properties.name).starts_with(kEmulatorName);
  // One stream for each cuBLAS handle, no atomics in kernels: equal bits, says NVIDIA.
  info->flags = EDDL_DEVICE_DETERMINISTIC;
  if (properties.integrated != 0) info->flags |= EDDL_DEVICE_INTEGRATED;
  if (emulated) info->flags |= EDDL_DEVICE_EMULATED;
  info->memory_total_bytes = total_bytes;
  info->memory_free_bytes = free_bytes;
  info->alignment_bytes = kAlignmentBytes;
  info->dtype_mask = EDDL_DTYPE_BIT(EDDL_F32) | EDDL_DTYPE_BIT(EDDL_F16) | EDDL_DTYPE_BIT(EDDL_I32) |
                     EDDL_DTYPE_BIT(EDDL_U8) | EDDL_DTYPE_BIT(EDDL_I64);
  info->compute_units = static_cast<uint32_t>(properties.multiProcessorCount);
  const double gigaflops = properties.multiProcessorCount * kFloatsPerCycle * kGigahertz;
  info->score = emulated ? 0 : static_cast<uint32_t>(gigaflops);
  std::strncpy(info->name, properties.name, sizeof(info->name) - 1);
  return {};
}

Status UseDevice(const eddl_device& device) {
  EDDL_CUDA_CALL(cudaSetDevice(device.index), "choosing GPU " + std::to_string(device.index));
  return {};
}

Status OpenDevice(uint32_t index, const eddl_device_options& options, eddl_device** device) {
  cudaDeviceProp properties;
  EDDL_CUDA_RETURN_IF_ERROR(GetProperties(index, &properties));
  EDDL_CUDA_RETURN_IF_ERROR(CheckArchitecture(properties));
  auto opened = std::make_unique<eddl_device>();
  opened->index = static_cast<int>(index);
  opened->profile = (options.flags & EDDL_OPEN_PROFILE) != 0;
  opened->allow_tf32 = (options.flags & EDDL_OPEN_ALLOW_TF32) != 0;
  opened->memory_limit_bytes = options.memory_limit_bytes;
  opened->traits.backend = "cuda";
  opened->traits.group = GroupSize();
  opened->traits.groups_wanted = kGroupsPerMultiprocessor * properties.multiProcessorCount;
  EDDL_CUDA_RETURN_IF_ERROR(LoadCublas(&opened->cublas));
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*opened));
  if (opened->profile) {
    EDDL_CUDA_CALL(cudaStreamCreateWithFlags(&opened->clock_stream, cudaStreamNonBlocking), "creating a stream");
    EDDL_CUDA_CALL(cudaEventCreateWithFlags(&opened->clock_begin, cudaEventDefault), "creating an event");
    EDDL_CUDA_CALL(cudaEventRecord(opened->clock_begin, opened->clock_stream), "starting the device's clock");
    EDDL_CUDA_CALL(cudaStreamSynchronize(opened->clock_stream), "starting the device's clock");
  }
  *device = opened.release();
  return {};
}

Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(device));
  auto made = std::make_unique<eddl_buffer>();
  made->device = &device;
  made->kind = kind;
  made->size_bytes = size_bytes;  // from here on its end gives them back
  EDDL_CUDA_RETURN_IF_ERROR(device::TakeMemory(device, size_bytes));
  if (size_bytes > 0) {
    void** data = reinterpret_cast<void**>(&made->data);
    const cudaError_t error =
        kind == EDDL_BUFFER_HOST_PINNED ? cudaMallocHost(data, size_bytes) : cudaMalloc(data, size_bytes);
    EDDL_CUDA_CALL(error, "allocating " + std::to_string(size_bytes) + " bytes");
  }
  *buffer = made.release();
  return {};
}

Status CreateQueue(eddl_device& device, eddl_queue** queue) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(device));
  auto made = std::make_unique<eddl_queue>();
  made->device = &device;
  EDDL_CUDA_CALL(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "creating a stream");
  made->staging = std::make_shared<Staging>(device, made->stream);
  // Also for copies: the runtime may run ops on any queue, and an enqueue creates nothing.
  EDDL_CUDA_RETURN_IF_ERROR(CreateCublasHandle(*device.cublas, made->stream, device.allow_tf32, &made->cublas));
  *queue = made.release();
  return {};
}

Status WatchGroups(eddl_device& device, const std::function<cudaError_t()>& done) {
  for (;;) {
    {
      const std::lock_guard lock(device.mutex);
      if (device.group_checks.empty()) return {};
      for (const auto& [group, check] : device.group_checks) EDDL_CUDA_RETURN_IF_ERROR(check());
    }
    EDDL_CUDA_RETURN_IF_ERROR(UseDevice(device));
    if (done() != cudaErrorNotReady) return {};
    std::this_thread::sleep_for(kWatchInterval);
  }
}

Status WaitForQueue(eddl_queue& queue) {
  const uint64_t copy_count = queue.staging->copy_count();
  Status status = WatchGroups(*queue.device, [&] { return cudaStreamQuery(queue.stream); });
  // Also after a failure: of the others' GPUs, whose work ends then.
  const Status chosen = UseDevice(*queue.device);
  if (status.ok()) status = chosen;
  if (chosen.ok()) {
    const cudaError_t error = cudaStreamSynchronize(queue.stream);
    if (status.ok() && error != cudaSuccess) status = FromCuda(error, "waiting for the GPU");
  }
  if (!status.ok()) {
    queue.staging->Abandon();
    return status;
  }
  queue.staging->Finish(copy_count);
  return {};
}

namespace {

Status TakeEvent(eddl_device& device, cudaEvent_t* event) {
  {
    const std::lock_guard lock(device.mutex);
    if (!device.free_events.empty()) {
      *event = device.free_events.back();
      device.free_events.pop_back();
      return {};
    }
  }
  EDDL_CUDA_CALL(cudaEventCreateWithFlags(event, device.profile ? cudaEventDefault : cudaEventDisableTiming),
                 "creating an event");
  return {};
}

}  // namespace

Status RecordEvent(eddl_queue& queue, eddl_event** event) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  auto made = std::make_unique<eddl_event>();
  made->device = queue.device;
  EDDL_CUDA_RETURN_IF_ERROR(TakeEvent(*queue.device, &made->event));
  made->staging = queue.staging;
  made->copy_count = queue.staging->copy_count();
  EDDL_CUDA_CALL(cudaEventRecord(made->event, queue.stream), "recording an event");
  *event = made.release();
  return {};
}

Status WaitOnQueue(eddl_queue& queue, eddl_event& event) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  EDDL_CUDA_CALL(cudaStreamWaitEvent(queue.stream, event.event, 0), "waiting for another queue");
  return {};
}

Status WaitForEvent(eddl_event& event) {
  EDDL_CUDA_RETURN_IF_ERROR(WatchGroups(*event.device, [&] { return cudaEventQuery(event.event); }));
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*event.device));
  EDDL_CUDA_CALL(cudaEventSynchronize(event.event), "waiting for an event");
  if (const std::shared_ptr<Staging> staging = event.staging.lock()) staging->Finish(event.copy_count);
  return {};
}

Status EventTimes(const eddl_event& begin, const eddl_event& end, uint64_t* begin_ns, uint64_t* end_ns) {
  const eddl_device& device = *begin.device;
  if (!device.profile) {
    return Error(EDDL_FAILED_PRECONDITION, "the device was opened without EDDL_OPEN_PROFILE: its events have no times");
  }
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(device));
  float since_open_ms = 0, between_ms = 0;
  EDDL_CUDA_CALL(cudaEventElapsedTime(&since_open_ms, device.clock_begin, begin.event), "asking for an event's time");
  EDDL_CUDA_CALL(cudaEventElapsedTime(&between_ms, begin.event, end.event), "asking for an event's time");
  // A float of milliseconds loses nanoseconds after seconds; the difference, which is small, is asked for apart.
  *begin_ns = static_cast<uint64_t>(static_cast<double>(since_open_ms) * 1e6);
  *end_ns = *begin_ns + static_cast<uint64_t>(static_cast<double>(between_ms) * 1e6);
  return {};
}

}  // namespace eddl::cuda

using eddl::cuda::Ignore;

eddl_device::~eddl_device() {
  Ignore(cudaSetDevice(index));
  for (const cudaEvent_t event : free_events) Ignore(cudaEventDestroy(event));
  if (clock_begin != nullptr) Ignore(cudaEventDestroy(clock_begin));
  if (clock_stream != nullptr) Ignore(cudaStreamDestroy(clock_stream));
}

eddl_buffer::~eddl_buffer() {
  Ignore(cudaSetDevice(device->index));
  if (data != nullptr) Ignore(kind == EDDL_BUFFER_HOST_PINNED ? cudaFreeHost(data) : cudaFree(data));
  device->memory_used_bytes.fetch_sub(size_bytes);
}

eddl_queue::~eddl_queue() {
  Ignore(cudaSetDevice(device->index));
  cublas.reset();
  staging.reset();
  if (stream != nullptr) Ignore(cudaStreamDestroy(stream));
}

eddl_event::~eddl_event() {
  if (event == nullptr) return;
  const std::lock_guard lock(device->mutex);
  device->free_events.push_back(event);
}
