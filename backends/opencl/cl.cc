#include "backends/opencl/cl.h"

namespace eddl::opencl {
namespace {

constexpr cl_int kNvidiaFault = -9999;  // not in the standard: an illegal access in an earlier kernel

}  // namespace

std::string ErrorName(cl_int error) {
#define EDDL_OPENCL_ERROR(name) \
  case name:                    \
    return #name
  switch (error) {
    EDDL_OPENCL_ERROR(CL_DEVICE_NOT_FOUND);
    EDDL_OPENCL_ERROR(CL_DEVICE_NOT_AVAILABLE);
    EDDL_OPENCL_ERROR(CL_COMPILER_NOT_AVAILABLE);
    EDDL_OPENCL_ERROR(CL_MEM_OBJECT_ALLOCATION_FAILURE);
    EDDL_OPENCL_ERROR(CL_OUT_OF_RESOURCES);
    EDDL_OPENCL_ERROR(CL_OUT_OF_HOST_MEMORY);
    EDDL_OPENCL_ERROR(CL_MEM_COPY_OVERLAP);
    EDDL_OPENCL_ERROR(CL_BUILD_PROGRAM_FAILURE);
    EDDL_OPENCL_ERROR(CL_MISALIGNED_SUB_BUFFER_OFFSET);
    EDDL_OPENCL_ERROR(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    EDDL_OPENCL_ERROR(CL_INVALID_VALUE);
    EDDL_OPENCL_ERROR(CL_INVALID_DEVICE);
    EDDL_OPENCL_ERROR(CL_INVALID_CONTEXT);
    EDDL_OPENCL_ERROR(CL_INVALID_COMMAND_QUEUE);
    EDDL_OPENCL_ERROR(CL_INVALID_MEM_OBJECT);
    EDDL_OPENCL_ERROR(CL_INVALID_BINARY);
    EDDL_OPENCL_ERROR(CL_INVALID_BUILD_OPTIONS);
    EDDL_OPENCL_ERROR(CL_INVALID_PROGRAM_EXECUTABLE);
    EDDL_OPENCL_ERROR(CL_INVALID_KERNEL_NAME);
    EDDL_OPENCL_ERROR(CL_INVALID_ARG_INDEX);
    EDDL_OPENCL_ERROR(CL_INVALID_ARG_VALUE);
    EDDL_OPENCL_ERROR(CL_INVALID_ARG_SIZE);
    EDDL_OPENCL_ERROR(CL_INVALID_KERNEL_ARGS);
    EDDL_OPENCL_ERROR(CL_INVALID_WORK_GROUP_SIZE);
    EDDL_OPENCL_ERROR(CL_INVALID_WORK_ITEM_SIZE);
    EDDL_OPENCL_ERROR(CL_INVALID_EVENT);
    EDDL_OPENCL_ERROR(CL_INVALID_OPERATION);
    EDDL_OPENCL_ERROR(CL_INVALID_BUFFER_SIZE);
    EDDL_OPENCL_ERROR(CL_INVALID_GLOBAL_WORK_SIZE);
    default:
      return "error " + std::to_string(error);
  }
#undef EDDL_OPENCL_ERROR
}

bool IsDeviceLost(cl_int error) {
  return error == CL_DEVICE_NOT_AVAILABLE || error == CL_INVALID_COMMAND_QUEUE || error == kNvidiaFault;
}

Status FromCl(cl_int error, const std::string& context) {
  const std::string name = ErrorName(error);
  if (IsDeviceLost(error)) {
    return Error(EDDL_UNAVAILABLE, "%s: the device is lost (%s); reset it or restart the program", context.c_str(),
                 name.c_str());
  }
  switch (error) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
      return Error(EDDL_RESOURCE_EXHAUSTED, "%s: the device is out of memory (%s); make the batch smaller",
                   context.c_str(), name.c_str());
    case CL_OUT_OF_HOST_MEMORY:
      return Error(EDDL_RESOURCE_EXHAUSTED, "%s: the host is out of memory (%s)", context.c_str(), name.c_str());
    default:
      return Error(EDDL_INTERNAL, "%s: OpenCL failed with %s", context.c_str(), name.c_str());
  }
}

std::string PlatformText(cl_platform_id platform, cl_platform_info what) {
  size_t size = 0;
  if (clGetPlatformInfo(platform, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return "";
  std::string text(size, '\0');
  if (clGetPlatformInfo(platform, what, size, text.data(), nullptr) != CL_SUCCESS) return "";
  return text.c_str();
}

std::string DeviceText(cl_device_id device, cl_device_info what) {
  size_t size = 0;
  if (clGetDeviceInfo(device, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return "";
  std::string text(size, '\0');
  if (clGetDeviceInfo(device, what, size, text.data(), nullptr) != CL_SUCCESS) return "";
  return text.c_str();
}

}  // namespace eddl::opencl
