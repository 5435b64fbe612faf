// The opencl backend for tests: loaded once, or the reason why there is none.
#pragma once

#include <string>

#include "runtime/device/backend.h"

namespace eddl {

// All backends of the build's folder, loaded once.
const BackendRegistry& TestBackends();

// nullptr where the backend was not built or finds no device: *why says which.
const Backend* OpenclBackend(std::string* why);

}  // namespace eddl

// Ends a test with SKIPPED where there is no OpenCL device.
#define EDDL_NEEDS_OPENCL(backend)                           \
  std::string why_no_##backend;                              \
  const Backend* backend = OpenclBackend(&why_no_##backend); \
  if (backend == nullptr) GTEST_SKIP() << why_no_##backend
