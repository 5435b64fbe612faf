// OpenCL 1.2's C interface, handles that release themselves, and its errors as statuses.
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include <string>
#include <utility>

#include "kernels/plan/status.h"

namespace eddl::opencl {

using kernels::Error;
using kernels::Status;

// Owns one reference to an OpenCL object.
template <typename T, cl_int (*kRelease)(T)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T raw) : raw_(raw) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }

  T get() const { return raw_; }
  // Releases what is held and holds another.
  void reset(T raw = nullptr) {
    if (raw_ != nullptr) kRelease(raw_);
    raw_ = raw;
  }

 private:
  T raw_ = nullptr;
};
using Context = Handle<cl_context, clReleaseContext>;
using CommandQueue = Handle<cl_command_queue, clReleaseCommandQueue>;
using Program = Handle<cl_program, clReleaseProgram>;
using Kernel = Handle<cl_kernel, clReleaseKernel>;
using Memory = Handle<cl_mem, clReleaseMemObject>;
using Event = Handle<cl_event, clReleaseEvent>;

// "CL_OUT_OF_RESOURCES", or the number where the name is not known.
std::string ErrorName(cl_int error);

// What failed, as the interface says it: no memory, lost device, or the driver's failure. context: "enqueueing
// conv2d_im2col".
Status FromCl(cl_int error, const std::string& context);

// Whether a driver answers like this when its device is gone, or stopped after a fault.
bool IsDeviceLost(cl_int error);

// A string of clGet*Info, without its terminator; empty on failure.
std::string PlatformText(cl_platform_id platform, cl_platform_info what);
std::string DeviceText(cl_device_id device, cl_device_info what);
// A number of clGetDeviceInfo; T{} on failure.
template <typename T>
T DeviceNumber(cl_device_id device, cl_device_info what) {
  T value = {};
  if (clGetDeviceInfo(device, what, sizeof(value), &value, nullptr) != CL_SUCCESS) return T{};
  return value;
}

}  // namespace eddl::opencl

#define EDDL_OPENCL_RETURN_IF_ERROR EDDL_KERNELS_RETURN_IF_ERROR

// Returns the driver's failure, with the words of `context` around it.
#define EDDL_OPENCL_CALL(call, context)                                                     \
  do {                                                                                      \
    const cl_int error_of_call = (call);                                                    \
    if (error_of_call != CL_SUCCESS) return ::eddl::opencl::FromCl(error_of_call, context); \
  } while (false)
