#include "backends/cuda/group.h"

#include <dlfcn.h>

#include <mutex>

#include "backends/cuda/op.h"

namespace eddl::cuda {
namespace {

constexpr const char* kLibrary = "libnccl.so.2";

template <typename Function>
Status Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr ? Status{} : Error(EDDL_UNAVAILABLE, "%s lacks %s", kLibrary, name);
}

Status Load(Nccl* nccl) {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error(EDDL_UNAVAILABLE, "NCCL can't be loaded: %s; install libnccl2, or use one worker per GPU", dlerror());
  }
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclCommInitAll", &nccl->init_all));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclCommDestroy", &nccl->destroy));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclCommAbort", &nccl->abort));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclCommGetAsyncError", &nccl->get_async_error));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclGroupStart", &nccl->group_start));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclGroupEnd", &nccl->group_end));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "ncclAllReduce", &nccl->all_reduce));
  return Find(library, "ncclGetErrorString", &nccl->error_string);
}

Status LoadNccl(const Nccl** nccl) {
  static std::mutex mutex;
  static Nccl loaded;
  const std::lock_guard lock(mutex);
  if (loaded.error_string == nullptr) EDDL_CUDA_RETURN_IF_ERROR(Load(&loaded));
  *nccl = &loaded;
  return {};
}

Status FromNccl(const Nccl& nccl, ncclResult_t result, const char* doing) {
  if (result == ncclSuccess) return {};
  return Error(EDDL_INTERNAL, "%s failed: %s (NCCL error %d)", doing, nccl.error_string(result),
               static_cast<int>(result));
}

Status CheckTarget(const eddl_group& group, size_t i, const eddl_queue& queue, const eddl_binding& target,
                   uint64_t size_bytes) {
  EDDL_CUDA_RETURN_IF_ERROR(CheckRange(target.buffer, target.offset_bytes, size_bytes, "all_reduce"));
  EDDL_KERNELS_REQUIRE(queue.device == group.devices[i] && target.buffer->device == group.devices[i],
                       "all_reduce: queue or target %zu is not of the group's device %zu", i, i);
  EDDL_KERNELS_REQUIRE(target.buffer->kind == EDDL_BUFFER_DEVICE, "all_reduce: target %zu is host memory", i);
  return {};
}

// A GPU that is lost says so to every question; a sum that goes on is no failure.
Status CheckMember(const eddl_group& group, size_t i) {
  Status status = UseDevice(*group.devices[i]);
  if (status.ok()) {
    const cudaError_t error = cudaEventQuery(group.ends[i]);
    if (error != cudaErrorNotReady) status = error == cudaSuccess ? Status{} : FromCuda(error, "its part of a sum");
  }
  ncclResult_t result = ncclSuccess;
  if (status.ok()) {
    const ncclResult_t asked = group.nccl->get_async_error(group.communicators[i], &result);
    status = FromNccl(*group.nccl, asked != ncclSuccess ? asked : result, "its part of a sum");
  }
  if (status.ok() || result == ncclInProgress) return {};
  return Error(EDDL_UNAVAILABLE,
               "GPU %d of a group of %zu failed, and the others' sum with it was stopped (%s); start again without it",
               group.devices[i]->index, group.devices.size(), status.message.c_str());
}

void Abort(eddl_group& group) {
  for (size_t i = 0; i < group.devices.size(); ++i) {
    Ignore(cudaSetDevice(group.devices[i]->index));
    group.nccl->abort(group.communicators[i]);
  }
  group.communicators.clear();
}

// With the group's lock.
Status CheckLocked(eddl_group& group) {
  for (size_t i = 0; i < group.devices.size() && group.failure.ok(); ++i) {
    group.failure = CheckMember(group, i);
    if (!group.failure.ok()) Abort(group);
  }
  return group.failure;
}

Status MakeEnds(eddl_group& group) {
  for (const eddl_device* device : group.devices) {
    EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*device));
    cudaEvent_t end = nullptr;
    EDDL_CUDA_CALL(cudaEventCreateWithFlags(&end, cudaEventDisableTiming), "creating an event for sums");
    group.ends.push_back(end);
  }
  return {};
}

}  // namespace

Status CheckGroup(eddl_group& group) {
  const std::lock_guard lock(group.mutex);
  return CheckLocked(group);
}

Status CreateGroup(eddl_device* const* devices, uint32_t device_count, eddl_group** group) {
  EDDL_KERNELS_REQUIRE(device_count > 0, "a group needs devices");
  auto made = std::make_unique<eddl_group>();
  std::vector<int> indices;
  for (uint32_t i = 0; i < device_count; ++i) {
    for (const int index : indices) {
      EDDL_KERNELS_REQUIRE(index != devices[i]->index, "GPU %d is twice in the group", index);
    }
    made->devices.push_back(devices[i]);
    indices.push_back(devices[i]->index);
  }
  EDDL_CUDA_RETURN_IF_ERROR(LoadNccl(&made->nccl));
  EDDL_CUDA_RETURN_IF_ERROR(MakeEnds(*made));
  std::vector<ncclComm_t> communicators(device_count);
  EDDL_CUDA_RETURN_IF_ERROR(
      FromNccl(*made->nccl, made->nccl->init_all(communicators.data(), static_cast<int>(device_count), indices.data()),
               "joining GPUs"));
  made->communicators = std::move(communicators);
  for (eddl_device* device : made->devices) {
    const std::lock_guard lock(device->mutex);
    device->group_checks[made.get()] = [watched = made.get()] { return CheckGroup(*watched); };
  }
  *group = made.release();
  return {};
}

Status AllReduce(eddl_group& group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                 eddl_dtype dtype) {
  if (dtype != EDDL_F32) return Error(EDDL_UNIMPLEMENTED, "all_reduce of dtype %u; the cuda backend adds f32", dtype);
  if (count == 0) return {};
  if (count > UINT64_MAX / sizeof(float))
    return Error(EDDL_INVALID_ARGUMENT, "all_reduce of more than memory can hold");
  for (size_t i = 0; i < group.devices.size(); ++i) {
    EDDL_CUDA_RETURN_IF_ERROR(CheckTarget(group, i, *queues[i], targets[i], count * sizeof(float)));
  }
  const std::lock_guard lock(group.mutex);
  EDDL_CUDA_RETURN_IF_ERROR(CheckLocked(group));
  const Nccl& nccl = *group.nccl;
  // One thread speaks for all: what it says between start and end NCCL takes as said at once.
  EDDL_CUDA_RETURN_IF_ERROR(FromNccl(nccl, nccl.group_start(), "beginning an all_reduce"));
  Status first_error;
  for (size_t i = 0; i < group.devices.size() && first_error.ok(); ++i) {
    first_error = UseDevice(*group.devices[i]);
    if (!first_error.ok()) break;
    std::byte* data = targets[i].buffer->data + targets[i].offset_bytes;
    first_error = FromNccl(
        nccl, nccl.all_reduce(data, data, count, ncclFloat, ncclSum, group.communicators[i], queues[i]->stream),
        "an all_reduce");
  }
  const Status ended = FromNccl(nccl, nccl.group_end(), "ending an all_reduce");
  if (first_error.ok()) first_error = ended;
  for (size_t i = 0; i < group.devices.size() && first_error.ok(); ++i) {
    // Who waits finds a GPU that was lost meanwhile.
    if (!UseDevice(*group.devices[i]).ok()) continue;
    Ignore(cudaEventRecord(group.ends[i], queues[i]->stream));
  }
  return first_error;
}

}  // namespace eddl::cuda

eddl_group::~eddl_group() {
  for (eddl_device* device : devices) {
    const std::lock_guard lock(device->mutex);
    device->group_checks.erase(this);
  }
  for (size_t i = 0; i < ends.size(); ++i) {
    eddl::cuda::Ignore(cudaSetDevice(devices[i]->index));
    eddl::cuda::Ignore(cudaEventDestroy(ends[i]));
  }
  for (const ncclComm_t communicator : communicators) nccl->destroy(communicator);
}
