// Ops: preparing one is planning it and taking the kernels out of the program; enqueueing one is walking through its
// steps.
#pragma once

#include "backends/opencl/device.h"

namespace eddl::opencl {

// op == NULL: a dry run. info may be NULL.
Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info);

// Checks the bindings and enqueues the op's steps. Allocates nothing when the workspace lies where it lay last time.
Status EnqueueOp(eddl_queue& queue, eddl_op& op, const eddl_op_args& args);

// Bytes [offset, offset + size) lie in the buffer. EDDL_INVALID_ARGUMENT if not; role names the buffer in the message.
Status CheckRange(const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role);

// Counts a command, and tells the driver to begin when some are waiting.
Status CountCommand(eddl_queue& queue);

}  // namespace eddl::opencl
