// Calls into the CUDA runtime and their errors as statuses: no call's code is dropped.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/plan/status.h"

namespace eddl::cuda {

using kernels::Error;
using kernels::Status;

// What a failed call means: out of memory, no usable driver, a device that is lost, or a failure of CUDA. doing says
// what was attempted: "allocating 4096 bytes".
Status FromCuda(cudaError_t error, const std::string& doing);

// For calls that give something back, where nobody can be told: a device that is lost fails there too, and has said so
// where it was found.
inline void Ignore(cudaError_t) {}

}  // namespace eddl::cuda

#define EDDL_CUDA_RETURN_IF_ERROR(expression)                    \
  do {                                                           \
    ::eddl::cuda::Status status_of_expression = (expression);    \
    if (!status_of_expression.ok()) return status_of_expression; \
  } while (false)

// Makes a call; doing is evaluated only if it fails.
#define EDDL_CUDA_CALL(call, doing)                                               \
  do {                                                                            \
    if (const cudaError_t error_of_call = (call); error_of_call != cudaSuccess) { \
      return ::eddl::cuda::FromCuda(error_of_call, doing);                        \
    }                                                                             \
  } while (false)
