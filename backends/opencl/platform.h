// The OpenCL devices of this machine, of all platforms, and what this backend assumes of each kind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/opencl/cl.h"
#include "backends/sdk/eddl_backend.h"
#include "kernels/plan/plan.h"

namespace eddl::opencl {

struct PlatformDevice {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
};

// All usable devices, in the order in which the platforms list them. Empty: *why says so in one line.
std::vector<PlatformDevice> FindDevices(std::string* why);

// One row of the table of device classes: sizes that no query of OpenCL tells.
struct DeviceClass {
  const char* name;             // "gpu"
  int group;                    // work-items in a group
  int lanes = 1;                // floats a work-item takes at a time
  int64_t groups_per_unit;      // groups that keep a compute unit busy
  uint64_t columns_bytes;       // largest im2col matrix: what stays in a cache, or what memory allows
  double flops_per_unit_cycle;  // for the score
};
const DeviceClass& ClassOf(cl_device_id device);

// What planning needs to know: the row of the device's class, within the device's limits.
kernels::DeviceTraits TraitsOf(cl_device_id device);

// Everything but struct_size.
void FillDeviceInfo(const PlatformDevice& device, eddl_device_info* info);

}  // namespace eddl::opencl
