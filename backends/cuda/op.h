// Ops: preparing one is planning it and finding its kernels; enqueueing one is walking through its steps.
#pragma once

#include "backends/cuda/device.h"
#include "backends/cuda/kernel_table.h"
#include "backends/device/op_steps.h"

struct eddl_op : eddl::device::PlannedOp {
  eddl_device* device = nullptr;
  std::vector<const eddl::cuda::KernelEntry*> kernels;  // by step; nullptr where it is no launch
};

namespace eddl::cuda {

// op == NULL: a dry run. info may be NULL.
Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info);

// Launches what the plan says, on the queue's stream. Allocates nothing, waits for nothing.
Status EnqueueOp(eddl_queue& queue, const eddl_op& op, const eddl_op_args& args);

using device::CheckRange;

}  // namespace eddl::cuda
