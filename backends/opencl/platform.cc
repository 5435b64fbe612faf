#include "backends/opencl/platform.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace eddl::opencl {
namespace {

constexpr cl_int kNoPlatform = -1001;  // CL_PLATFORM_NOT_FOUND_KHR, of the ICD loader
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr cl_uint kNvidia = 0x10de, kAmd = 0x1002, kIntel = 0x8086;

// Rough figures: a unit is a multiprocessor, compute unit, or core. A CPU's cores are used better by the cpu backend:
// its score stays below that one's.
constexpr DeviceClass kClasses[] = {
    {.name = "cpu",
     .group = 64,
     .lanes = 16,
     .groups_per_unit = 8,
     .columns_bytes = 1 * kMiB,
     .flops_per_unit_cycle = 2},
    {.name = "nvidia", .group = 256, .groups_per_unit = 16, .columns_bytes = 64 * kMiB, .flops_per_unit_cycle = 256},
    {.name = "amd", .group = 256, .groups_per_unit = 16, .columns_bytes = 64 * kMiB, .flops_per_unit_cycle = 128},
    {.name = "intel", .group = 128, .groups_per_unit = 8, .columns_bytes = 32 * kMiB, .flops_per_unit_cycle = 16},
    {.name = "gpu", .group = 64, .groups_per_unit = 16, .columns_bytes = 16 * kMiB, .flops_per_unit_cycle = 32},
};

// Needed: a compiler, and that it is there at all. Of 1.2 or later.
bool IsUsable(cl_device_id device) {
  const std::string version = DeviceText(device, CL_DEVICE_VERSION);  // "OpenCL 1.2 ..."
  int major = 0, minor = 0;
  if (std::sscanf(version.c_str(), "OpenCL %d.%d", &major, &minor) != 2) return false;
  return (major > 1 || minor >= 2) && DeviceNumber<cl_bool>(device, CL_DEVICE_AVAILABLE) == CL_TRUE &&
         DeviceNumber<cl_bool>(device, CL_DEVICE_COMPILER_AVAILABLE) == CL_TRUE;
}

bool HasDouble(cl_device_id device) {
  return DeviceNumber<cl_device_fp_config>(device, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
}

}  // namespace

std::vector<PlatformDevice> FindDevices(std::string* why) {
  std::vector<PlatformDevice> found;
  cl_uint platform_count = 0;
  const cl_int error = clGetPlatformIDs(0, nullptr, &platform_count);
  if (error == kNoPlatform || (error == CL_SUCCESS && platform_count == 0)) {
    *why =
        "no OpenCL driver is installed (Debian: nvidia-opencl-icd, mesa-opencl-icd, intel-opencl-icd; for the CPU "
        "pocl-opencl-icd)";
    return found;
  }
  if (error != CL_SUCCESS) {
    *why = "OpenCL's platforms can't be listed: " + ErrorName(error);
    return found;
  }
  std::vector<cl_platform_id> platforms(platform_count);
  clGetPlatformIDs(platform_count, platforms.data(), nullptr);
  int unusable = 0;
  for (const cl_platform_id platform : platforms) {
    cl_uint device_count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &device_count) != CL_SUCCESS) continue;
    std::vector<cl_device_id> devices(device_count);
    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, device_count, devices.data(), nullptr);
    for (const cl_device_id device : devices) {
      if (IsUsable(device)) {
        found.push_back({platform, device});
      } else {
        ++unusable;
      }
    }
  }
  if (found.empty()) {
    *why = unusable > 0 ? "no OpenCL device of version 1.2 with a compiler (" + std::to_string(unusable) +
                              " older or unavailable)"
                        : "OpenCL is installed, but its " + std::to_string(platform_count) +
                              " platforms have no device; is the driver running, and may this user open it?";
  }
  return found;
}

const DeviceClass& ClassOf(cl_device_id device) {
  const auto named = [](const char* name) -> const DeviceClass& {
    return *std::find_if(std::begin(kClasses), std::end(kClasses),
                         [name](const DeviceClass& one) { return std::strcmp(one.name, name) == 0; });
  };
  if ((DeviceNumber<cl_device_type>(device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0) return named("cpu");
  switch (DeviceNumber<cl_uint>(device, CL_DEVICE_VENDOR_ID)) {
    case kNvidia:
      return named("nvidia");
    case kAmd:
      return named("amd");
    case kIntel:
      return named("intel");
    default:
      return named("gpu");
  }
}

kernels::DeviceTraits TraitsOf(cl_device_id device) {
  const DeviceClass& one = ClassOf(device);
  const auto limit = DeviceNumber<size_t>(device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  int group = one.group;
  while (group > 1 && static_cast<size_t>(group) > limit) group /= 2;
  return {.backend = "opencl",
          .group = group,
          .lanes = one.lanes,
          .groups_wanted =
              one.groups_per_unit * std::max<cl_uint>(1, DeviceNumber<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS)),
          .columns_bytes = one.columns_bytes,
          .has_double = HasDouble(device)};
}

void FillDeviceInfo(const PlatformDevice& one, eddl_device_info* info) {
  const cl_device_id device = one.device;
  const bool unified = DeviceNumber<cl_bool>(device, CL_DEVICE_HOST_UNIFIED_MEMORY) == CL_TRUE;
  const auto units = DeviceNumber<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS);
  const auto megahertz = DeviceNumber<cl_uint>(device, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  info->flags = EDDL_DEVICE_DETERMINISTIC;
  if (unified) info->flags |= EDDL_DEVICE_INTEGRATED;
  info->memory_total_bytes = DeviceNumber<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE);
  info->memory_free_bytes = info->memory_total_bytes;  // OpenCL does not tell what others use
  info->alignment_bytes = 64;
  info->dtype_mask = EDDL_DTYPE_BIT(EDDL_F32) | EDDL_DTYPE_BIT(EDDL_F16) | EDDL_DTYPE_BIT(EDDL_I32) |
                     EDDL_DTYPE_BIT(EDDL_U8) | EDDL_DTYPE_BIT(EDDL_I64);
  info->compute_units = units;
  info->score =
      static_cast<uint32_t>(units * ClassOf(device).flops_per_unit_cycle * (megahertz > 0 ? megahertz : 1000) / 1000);
  std::snprintf(info->name, sizeof(info->name), "%s (%s)", DeviceText(device, CL_DEVICE_NAME).c_str(),
                PlatformText(one.platform, CL_PLATFORM_NAME).c_str());
}

}  // namespace eddl::opencl
