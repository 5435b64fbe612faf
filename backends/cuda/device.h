// The handles of the C interface: devices, buffers, queues, events.
//
// Each open device has a stream of its own for nothing but the clock of its events; each queue has one stream, and
// queues are ordered by events alone. CUDA keeps a current device per thread: UseDevice sets it before every call.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/cuda/cublas.h"
#include "backends/cuda/cuda.h"
#include "backends/cuda/staging.h"
#include "backends/sdk/eddl_backend.h"
#include "kernels/plan/plan.h"

namespace eddl::cuda {

inline constexpr uint32_t kAlignmentBytes = 256;  // what cudaMalloc gives

// How many GPUs there are. EDDL_UNAVAILABLE, and why, if none.
Status CountDevices(uint32_t* count);
Status FillDeviceInfo(uint32_t index, eddl_device_info* info);

}  // namespace eddl::cuda

struct eddl_device {
  int index = 0;
  const eddl::cuda::Cublas* cublas = nullptr;
  eddl::kernels::DeviceTraits traits;
  bool profile = false;
  bool allow_tf32 = false;
  uint64_t memory_limit_bytes = 0;
  std::atomic<uint64_t> memory_used_bytes = 0;
  // Where the clock of event_times begins; only with EDDL_OPEN_PROFILE.
  cudaStream_t clock_stream = nullptr;
  cudaEvent_t clock_begin = nullptr;
  std::mutex mutex;  // of what follows
  // Events that nobody uses: recording one allocates nothing after a while.
  std::vector<cudaEvent_t> free_events;
  // Asked while the host waits for this device: what keeps the groups of which it is a member from going on.
  std::map<const eddl_group*, std::function<eddl::cuda::Status()>> group_checks;

  ~eddl_device();
};

struct eddl_buffer {
  eddl_device* device = nullptr;
  std::byte* data = nullptr;  // device or page-locked host memory; nullptr if empty
  uint64_t size_bytes = 0;
  eddl_buffer_kind kind = EDDL_BUFFER_DEVICE;

  ~eddl_buffer();
};

struct eddl_queue {
  eddl_device* device = nullptr;
  cudaStream_t stream = nullptr;
  std::shared_ptr<eddl::cuda::Staging> staging;  // events keep it too
  eddl::cuda::CublasHandle cublas;
  eddl::cuda::Status first_error;
  uint64_t first_error_tag = 0;

  ~eddl_queue();
};

struct eddl_event {
  eddl_device* device = nullptr;
  cudaEvent_t event = nullptr;
  std::weak_ptr<eddl::cuda::Staging> staging;  // of the queue; gone if that is destroyed, which has waited
  uint64_t copy_count = 0;                     // of it, when the event was recorded

  ~eddl_event();
};

namespace eddl::cuda {

// Makes the device current for the calling thread.
Status UseDevice(const eddl_device& device);

// As the slots of eddl_backend of the same name. EDDL_UNAVAILABLE also for a GPU that is too old.
Status OpenDevice(uint32_t index, const eddl_device_options& options, eddl_device** device);
// As the slot of the same name.
Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer);
// For a device of a group: returns when done() no longer says cudaErrorNotReady, or with what keeps the group from
// going on. A wait that follows does not last: a sum that a lost GPU can't finish is stopped. At once for other
// devices.
Status WatchGroups(eddl_device& device, const std::function<cudaError_t()>& done);
// A stream with its staging memory and cuBLAS handle.
Status CreateQueue(eddl_device& device, eddl_queue** queue);
// Waits for all work of the queue and delivers what was read.
Status WaitForQueue(eddl_queue& queue);

// Takes an event of the device, or makes one.
Status RecordEvent(eddl_queue& queue, eddl_event** event);
// Lets the queue wait for the event, not the host.
Status WaitOnQueue(eddl_queue& queue, eddl_event& event);
// Waits for what the queue had been given before, and delivers what was read by then.
Status WaitForEvent(eddl_event& event);
// Nanoseconds since the device was opened.
Status EventTimes(const eddl_event& begin, const eddl_event& end, uint64_t* begin_ns, uint64_t* end_ns);

}  // namespace eddl::cuda
