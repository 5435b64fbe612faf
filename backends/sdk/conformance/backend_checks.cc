#include <cstddef>
#include <cstring>

#include "backends/sdk/conformance/checks.h"

namespace eddl::conformance {
namespace {

Problem DescribesItsDevices(const eddl_backend& backend, uint32_t device_index, const eddl_device_options&) {
  ErrorRecord error;
  eddl_device_info info = {.struct_size = sizeof(info)};
  if (Problem problem = Expect("device_info", backend.device_info(device_index, &info, error.get()), error))
    return problem;
  if (info.name[0] == '\0') return "device_info left name empty";
  if (strnlen(info.name, sizeof(info.name)) == sizeof(info.name)) return "device_info did not terminate name";
  if ((info.dtype_mask & EDDL_DTYPE_BIT(EDDL_F32)) == 0) return Text("dtype_mask ", info.dtype_mask, " lacks f32");
  return std::nullopt;
}

// A caller built against an older header has a shorter record.
Problem WritesNoMoreThanTheCallerHas(const eddl_backend& backend, uint32_t device_index, const eddl_device_options&) {
  constexpr size_t kShort = offsetof(eddl_device_info, dtype_mask);
  eddl_device_info info;
  std::memset(&info, 0x5a, sizeof(info));
  info.struct_size = kShort;
  ErrorRecord error;
  if (Problem problem = Expect("device_info", backend.device_info(device_index, &info, error.get()), error))
    return problem;
  if (info.alignment_bytes == 0x5a5a5a5au) return Text("device_info wrote nothing into a record of ", kShort, " bytes");
  const auto* bytes = reinterpret_cast<const unsigned char*>(&info);
  for (size_t i = kShort; i < sizeof(info); ++i) {
    if (bytes[i] != 0x5a) return Text("device_info wrote byte ", i, " of a record whose struct_size is ", kShort);
  }
  return std::nullopt;
}

Problem KnowsWhichDevicesExist(const eddl_backend& backend, uint32_t, const eddl_device_options& options) {
  ErrorRecord error;
  uint32_t count = 0;
  if (Problem problem = Expect("device_count", backend.device_count(&count, error.get()), error)) return problem;
  eddl_device_info info = {.struct_size = sizeof(info)};
  const eddl_code described = backend.device_info(count, &info, error.get());
  if (Problem problem = ExpectCode(Text("device_info of device ", count), EDDL_NOT_FOUND, described, error))
    return problem;
  eddl_device* device = nullptr;
  ErrorRecord open_error;
  const eddl_code opened = backend.device_open(count, &options, &device, open_error.get());
  return ExpectCode(Text("device_open of device ", count), EDDL_NOT_FOUND, opened, open_error);
}

Problem KeepsTheMemoryLimit(const eddl_backend& backend, uint32_t device_index, const eddl_device_options& options) {
  constexpr uint64_t kMiB = 1 << 20;
  eddl_device_options limited = options;
  limited.memory_limit_bytes = 4 * kMiB;
  Device device(backend);
  if (Problem problem = device.Open(device_index, limited)) return problem;
  BufferPtr first = device.NoBuffer();
  if (Problem problem = device.CreateBuffer(3 * kMiB, &first)) return problem;
  ErrorRecord error;
  eddl_buffer* second = nullptr;
  const eddl_code code = backend.buffer_create(device.raw(), 3 * kMiB, EDDL_BUFFER_DEVICE, &second, error.get());
  const BufferPtr owner(second, backend.buffer_destroy);
  if (Problem problem = ExpectCode("a second buffer of 3 MiB where memory_limit_bytes is 4 MiB",
                                   EDDL_RESOURCE_EXHAUSTED, code, error)) {
    return problem;
  }
  first.reset();
  return device.CreateBuffer(3 * kMiB, &first);
}

Problem OpensAgain(const eddl_backend& backend, uint32_t device_index, const eddl_device_options& options) {
  for (int i = 0; i < 3; ++i) {
    Device device(backend);
    if (Problem problem = device.Open(device_index, options)) return problem;
    BufferPtr buffer = device.NoBuffer();
    if (Problem problem = device.CreateBuffer(4096, &buffer)) return problem;
  }
  return std::nullopt;
}

constexpr BackendCheck kChecks[] = {
    {"describes its devices", DescribesItsDevices},
    {"writes no more than the caller has", WritesNoMoreThanTheCallerHas},
    {"knows which devices exist", KnowsWhichDevicesExist},
    {"keeps the memory limit", KeepsTheMemoryLimit},
    {"opens again", OpensAgain},
};

}  // namespace

std::span<const BackendCheck> BackendChecks() { return kChecks; }

}  // namespace eddl::conformance
