#include "backends/cuda/cuda.h"

namespace eddl::cuda {

Status FromCuda(cudaError_t error, const std::string& doing) {
  const char* text = cudaGetErrorString(error);
  switch (error) {
    case cudaErrorMemoryAllocation:
      return Error(EDDL_RESOURCE_EXHAUSTED, "%s failed: the GPU is out of memory; make the batch smaller",
                   doing.c_str());
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInitializationError:
      return Error(EDDL_UNAVAILABLE, "%s failed: %s; is NVIDIA's driver installed, and new enough for CUDA %d?",
                   doing.c_str(), text, CUDART_VERSION / 1000);
    // After these every call on the device fails, until the process ends.
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorAssert:
    case cudaErrorLaunchTimeout:
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
      return Error(EDDL_UNAVAILABLE, "%s failed: %s; the GPU is lost to this process, start it again", doing.c_str(),
                   text);
    default:
      return Error(EDDL_INTERNAL, "%s failed: %s (CUDA error %d)", doing.c_str(), text, static_cast<int>(error));
  }
}

}  // namespace eddl::cuda
