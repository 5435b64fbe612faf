// Matrix products by CLBlast.
#pragma once

#include "backends/opencl/device.h"

namespace eddl::opencl {

// Bytes that the product needs as scratch, wherever its operands begin.
Status GemmScratchBytes(SharedDevice& device, const kernels::Product& product, uint64_t* scratch_bytes);

// Lets CLBlast compile what this product needs, if it has not yet, and says so: it would do so in the first step.
Status WarmGemm(SharedDevice& device, const kernels::Product& product, uint64_t scratch_bytes);

// A matrix of a product: its buffer and first element.
struct Matrix {
  cl_mem memory;
  uint64_t offset_bytes;
};

// Enqueues the product. scratch: NULL where GemmScratchBytes said 0.
Status EnqueueGemm(cl_command_queue queue, const kernels::Product& product, const Matrix& a, const Matrix& b,
                   const Matrix& c, cl_mem scratch);

}  // namespace eddl::opencl
