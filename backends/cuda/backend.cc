// The table that eddl_backend_get_v1 returns: the slots of backends/device on what this backend has of its own.
#include <string>

#include "backends/cuda/copy.h"
#include "backends/cuda/device.h"
#include "backends/cuda/op.h"
#include "backends/device/slots.h"
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

// What backends/device needs of this backend.
struct Cuda {
  using Device = eddl_device;
  using Buffer = eddl_buffer;
  using Queue = eddl_queue;
  using Event = eddl_event;
  using Op = eddl_op;
  static constexpr const char* kName = "cuda";

  static constexpr auto CountDevices = cuda::CountDevices;
  static constexpr auto FillDeviceInfo = cuda::FillDeviceInfo;
  static constexpr auto OpenDevice = cuda::OpenDevice;
  static constexpr auto CreateBuffer = cuda::CreateBuffer;
  static constexpr auto CreateQueue = cuda::CreateQueue;
  static constexpr auto WaitForQueue = cuda::WaitForQueue;
  static constexpr auto WriteBytes = cuda::WriteBytes;
  static constexpr auto ReadBytes = cuda::ReadBytes;
  static constexpr auto CopyBytes = cuda::CopyBytes;
  static constexpr auto FillBytes = cuda::FillBytes;
  static constexpr auto PrepareOp = cuda::PrepareOp;
  static constexpr auto EnqueueOp = cuda::EnqueueOp;
  static constexpr auto RecordEvent = cuda::RecordEvent;
  static constexpr auto WaitOnQueue = cuda::WaitOnQueue;
  static constexpr auto WaitForEvent = cuda::WaitForEvent;
  static constexpr auto EventTimes = cuda::EventTimes;
};
using Slots = device::Slots<Cuda>;

void* BufferHostPointer(eddl_buffer* buffer) {
  return buffer->kind == EDDL_BUFFER_HOST_PINNED ? buffer->data : nullptr;
}

#ifdef EDDL_CUDA_NCCL
eddl_code GroupCreate(eddl_device* const* devices, uint32_t device_count, eddl_group** group, eddl_error* error) {
  return Slots::Guard(0, error, [&] { return CreateGroup(devices, device_count, group); });
}

// What fails for one stays in all queues: the others wait for what does not come.
eddl_code GroupAllReduce(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                         eddl_dtype dtype, eddl_error* error) {
  const Status status = device::Guarded(Cuda::kName, [&] { return AllReduce(*group, queues, targets, count, dtype); });
  const bool stays = !status.ok() && status.code != EDDL_INVALID_ARGUMENT && status.code != EDDL_UNIMPLEMENTED;
  for (size_t i = 0; stays && i < group->devices.size(); ++i) {
    device::Keep(*queues[i], status, 0);
  }
  return device::Report(status, 0, error);
}

void GroupDestroy(eddl_group* group) { delete group; }
#endif

}  // namespace
}  // namespace eddl::cuda

extern "C" EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host*) {
  static const std::string version = eddl::cuda::Version();
  static const eddl_backend backend = [] {
    eddl_backend table = eddl::cuda::Slots::Table();
    table.version = version.c_str();
    // Device memory can't be imported: a copy is needed, and the runtime makes it.
    table.buffer_host_pointer = eddl::cuda::BufferHostPointer;
#ifdef EDDL_CUDA_NCCL
    table.group_create = eddl::cuda::GroupCreate;
    table.all_reduce = eddl::cuda::GroupAllReduce;
    table.group_destroy = eddl::cuda::GroupDestroy;
#endif
    return table;
  }();
  return &backend;
}
