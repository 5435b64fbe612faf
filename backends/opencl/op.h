// Ops: preparing one is planning it and taking the kernels out of the program; enqueueing one is walking through its
// steps.
#pragma once

#include "backends/opencl/device.h"

namespace eddl::opencl {

// op == NULL: a dry run. info may be NULL.
Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info);

// Checks the bindings and enqueues the op's steps. Allocates nothing when the workspace lies where it lay last time.
Status EnqueueOp(eddl_queue& queue, eddl_op& op, const eddl_op_args& args);

}  // namespace eddl::opencl
