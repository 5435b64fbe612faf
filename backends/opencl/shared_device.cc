#include <functional>
#include <map>

#include "backends/opencl/device.h"
#include "backends/opencl/program.h"

namespace eddl::opencl {
namespace {

// The interface has no handle of the backend as a whole, and a context must not be made twice: CLBlast keeps compiled
// kernels for a context, and some drivers take hundreds of megabytes for each.
struct SharedDevices {
  std::mutex mutex;
  std::map<uint32_t, std::unique_ptr<SharedDevice>> devices;
};
SharedDevices& All() {
  static auto* const all = new SharedDevices;  // never freed: threads of drivers outlive static destructors
  return *all;
}

std::string KeyOf(const PlatformDevice& where) {
  return PlatformText(where.platform, CL_PLATFORM_NAME) + " | " + PlatformText(where.platform, CL_PLATFORM_VERSION) +
         " | " + DeviceText(where.device, CL_DEVICE_NAME) + " | " + DeviceText(where.device, CL_DEVICE_VERSION) +
         " | " + DeviceText(where.device, CL_DRIVER_VERSION);
}

Status Build(const SharedDevice& device, int lanes, const char* cache_folder,
             const std::function<void(const std::string&)>& log, Program* program) {
  return BuildKernels(
      {.context = device.context.get(),
       .device = device.where.device,
       .key = KeyOf(device.where),
       .options = "-cl-std=CL1.2 -DGROUP=" + std::to_string(device.traits.group) + " -DLANES=" + std::to_string(lanes),
       .cache_folder = CacheFolder(cache_folder),
       .log = log},
      program);
}

Status Make(const PlatformDevice& where, const char* cache_folder, std::unique_ptr<SharedDevice>* made) {
  auto device = std::make_unique<SharedDevice>();
  device->where = where;
  device->traits = TraitsOf(where.device);
  device->allocation_max_bytes = DeviceNumber<cl_ulong>(where.device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  device->base_alignment_bytes = DeviceNumber<cl_uint>(where.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
  cl_int error = CL_SUCCESS;
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                              reinterpret_cast<cl_context_properties>(where.platform), 0};
  device->context.reset(clCreateContext(properties, 1, &where.device, nullptr, nullptr, &error));
  EDDL_OPENCL_CALL(error, "creating a context");
  device->queue.reset(clCreateCommandQueue(device->context.get(), where.device, 0, &error));
  EDDL_OPENCL_CALL(error, "creating a queue");
  bool said = false;  // compiling both is one thing to people
  const auto log = [&said](const std::string& line) {
    if (!said) Log(line);
    said = true;
  };
  EDDL_OPENCL_RETURN_IF_ERROR(Build(*device, 1, cache_folder, log, &device->program));
  if (device->traits.lanes > 1) {
    EDDL_OPENCL_RETURN_IF_ERROR(Build(*device, device->traits.lanes, cache_folder, log, &device->wide_program));
  }
  *made = std::move(device);
  return {};
}

}  // namespace

Status UseDevice(uint32_t index, const char* cache_folder, SharedDevice** device) {
  SharedDevices& all = All();
  const std::lock_guard lock(all.mutex);
  std::unique_ptr<SharedDevice>& entry = all.devices[index];
  if (entry == nullptr) {
    std::string why;
    const std::vector<PlatformDevice> found = FindDevices(&why);
    if (index >= found.size()) {
      all.devices.erase(index);
      return Error(EDDL_NOT_FOUND, "no OpenCL device %u: there are %zu, counted from 0", index, found.size());
    }
    const Status status = Make(found[index], cache_folder, &entry);
    if (!status.ok()) {
      all.devices.erase(index);
      return status;
    }
  }
  *device = entry.get();
  return {};
}

}  // namespace eddl::opencl
