// Stands between the opencl backend and the driver in this program: counts calls, and makes the next one of a kind
// fail.
//
// The program exports the functions of OpenCL that matter here; a plugin that is loaded later finds these before the
// library's, and they go on to the library. For tests of one thread.
#pragma once

#include <cstdint>

namespace eddl {

struct DriverCalls {
  int64_t launches = 0;            // kernels, of ours and of CLBlast
  int64_t waits = 0;               // clFinish, clWaitForEvents, blocking reads and writes
  int64_t device_allocations = 0;  // buffers and sub-buffers
  int64_t host_allocations = 0;    // operator new, called from the backend's own code
};

// What was called since the last ResetDriverCalls.
DriverCalls& DriverCallsSoFar();
void ResetDriverCalls();

enum class DriverCall { kNone, kCreateBuffer, kLaunch, kFinish, kBuild, kPlatforms };

// The next call of this kind returns `error`, once. kBuild: the driver's compiler gets a program that is wrong instead.
void FailNext(DriverCall call, int error);

}  // namespace eddl
