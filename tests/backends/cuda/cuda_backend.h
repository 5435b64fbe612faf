// The cuda backend for tests: loaded once, or the reason why there is none.
//
// CTest runs these programs with the emulator's libraries in LD_LIBRARY_PATH (tests/cuda_emulator); run by hand
// without, they use the real ones, and a GPU if there is one.
#pragma once

#include <string>

#include "runtime/device/backend.h"

namespace eddl {

// All backends of the build's folder, loaded once.
const BackendRegistry& TestBackends();

// nullptr where the backend was not built or finds no device: *why says which.
const Backend* CudaBackend(std::string* why);

}  // namespace eddl

// Ends a test with SKIPPED where there is no CUDA device.
#define EDDL_NEEDS_CUDA(backend)                           \
  std::string why_no_##backend;                            \
  const Backend* backend = CudaBackend(&why_no_##backend); \
  if (backend == nullptr) GTEST_SKIP() << why_no_##backend
