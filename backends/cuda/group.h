// Groups: the GPUs of one box as one, through NCCL, which is loaded when the first group is made.
#pragma once

#include <nccl.h>

#include <memory>
#include <vector>

#include "backends/cuda/device.h"

namespace eddl::cuda {

// The functions of NCCL that we use. Loaded once and kept; any thread.
struct Nccl {
  decltype(&ncclCommInitAll) init_all = nullptr;
  decltype(&ncclCommDestroy) destroy = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclGetErrorString) error_string = nullptr;
};

}  // namespace eddl::cuda

struct eddl_group {
  const eddl::cuda::Nccl* nccl = nullptr;
  std::vector<eddl_device*> devices;
  std::vector<ncclComm_t> communicators;  // by device

  ~eddl_group();
};

namespace eddl::cuda {

// As the slots of eddl_backend of the same name. EDDL_UNAVAILABLE where NCCL is not installed.
Status CreateGroup(eddl_device* const* devices, uint32_t device_count, eddl_group** group);
// As the slot of the same name.
Status AllReduce(eddl_group& group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                 eddl_dtype dtype);

}  // namespace eddl::cuda
