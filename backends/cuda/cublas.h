// cuBLAS, loaded when the first device is opened: it takes half a second and half a gigabyte of address space, which a
// machine without a GPU should not pay.
#pragma once

#include <cublas_v2.h>

#include <memory>

#include "backends/cuda/cuda.h"

namespace eddl::cuda {

// The functions that we use. Loaded once and kept; any thread.
struct Cublas {
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasDestroy_v2) destroy = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  decltype(&cublasSgemm_v2) sgemm = nullptr;
  decltype(&cublasGetStatusString) status_string = nullptr;
};

// EDDL_UNAVAILABLE with the loader's reason where cuBLAS is not installed.
Status LoadCublas(const Cublas** cublas);

// As FromCuda: doing says what was attempted.
Status FromCublas(const Cublas& cublas, cublasStatus_t status, const char* doing);

struct CublasDeleter {
  const Cublas* cublas = nullptr;
  void operator()(cublasContext* handle) const { cublas->destroy(handle); }
};
using CublasHandle = std::unique_ptr<cublasContext, CublasDeleter>;

// A handle for one stream of the current device.
Status CreateCublasHandle(const Cublas& cublas, cudaStream_t stream, bool allow_tf32, CublasHandle* handle);

}  // namespace eddl::cuda
