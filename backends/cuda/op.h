// Ops: preparing one is planning it and finding its kernels; enqueueing one is walking through its steps.
#pragma once

#include <array>

#include "backends/cuda/device.h"
#include "backends/cuda/kernel_table.h"
#include "kernels/plan/planner.h"

struct eddl_op {
  eddl_device* device = nullptr;
  uint64_t tag = 0;
  eddl::kernels::DevicePlan plan;
  std::vector<const eddl::cuda::KernelEntry*> kernels;  // by step; nullptr where it is no launch
  uint32_t input_count = 0, output_count = 0;
  std::array<uint64_t, eddl::kernels::kTensorsMax> input_bytes = {}, output_bytes = {};
};

namespace eddl::cuda {

// op == NULL: a dry run. info may be NULL.
Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info);

// Launches what the plan says, on the queue's stream. Allocates nothing, waits for nothing.
Status EnqueueOp(eddl_queue& queue, const eddl_op& op, const eddl_op_args& args);

// Bytes [offset, offset + size) lie in the buffer. EDDL_INVALID_ARGUMENT if not; role names the buffer in the message.
Status CheckRange(const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role);

}  // namespace eddl::cuda
