// Groups: the GPUs of one box as one, through NCCL, which is loaded when the first group is made.
//
// NCCL's kernels wait on each GPU for the others: where one is lost, the rest would wait for ever, and the host with
// them. So who waits for a device of a group looks after all of its members meanwhile; when one has failed, the group's
// communicators are aborted, which ends the kernels that wait, and the group is of no more use.
#pragma once

#include <nccl.h>

#include <memory>
#include <mutex>
#include <vector>

#include "backends/cuda/device.h"

namespace eddl::cuda {

// The functions of NCCL that we use. Loaded once and kept; any thread.
struct Nccl {
  decltype(&ncclCommInitAll) init_all = nullptr;
  decltype(&ncclCommDestroy) destroy = nullptr;
  decltype(&ncclCommAbort) abort = nullptr;
  decltype(&ncclCommGetAsyncError) get_async_error = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclGetErrorString) error_string = nullptr;
};

}  // namespace eddl::cuda

struct eddl_group {
  const eddl::cuda::Nccl* nccl = nullptr;
  std::vector<eddl_device*> devices;
  // By device: the end of the last sum.
  std::vector<cudaEvent_t> ends;
  std::mutex mutex;                       // of what follows
  std::vector<ncclComm_t> communicators;  // by device; none after a failure
  eddl::cuda::Status failure;

  ~eddl_group();
};

namespace eddl::cuda {

// As the slots of eddl_backend of the same name. EDDL_UNAVAILABLE where NCCL is not installed.
Status CreateGroup(eddl_device* const* devices, uint32_t device_count, eddl_group** group);
// What keeps the group from going on: a member that is lost, or a failure of NCCL's. The first time that it finds one
// it aborts what the others are at. Any thread.
Status CheckGroup(eddl_group& group);
// As the slot of the same name.
Status AllReduce(eddl_group& group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                 eddl_dtype dtype);

}  // namespace eddl::cuda
