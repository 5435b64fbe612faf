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

// A caller built against a newer header has longer records: what follows the fields that the backend knows is not its
// business.
Problem ServesNewerCallers(const eddl_backend& backend, uint32_t device_index, const eddl_device_options& options) {
  struct NewerInfo {
    eddl_device_info known;
    uint64_t appended[4];
  };
  struct NewerOptions {
    eddl_device_options known;
    uint64_t appended[4];
  };
  constexpr uint64_t kUntouched = 0x5a5a5a5a5a5a5a5a;
  NewerInfo info = {.known = {.struct_size = sizeof(info)},
                    .appended = {kUntouched, kUntouched, kUntouched, kUntouched}};
  NewerOptions newer = {.known = options, .appended = {kUntouched, kUntouched, kUntouched, kUntouched}};
  newer.known.struct_size = sizeof(newer);
  ErrorRecord error;
  if (Problem problem = Expect("device_info", backend.device_info(device_index, &info.known, error.get()), error))
    return problem;
  if (info.known.alignment_bytes == 0) return "device_info wrote nothing into a record that is longer than its own";
  for (const uint64_t word : info.appended) {
    if (word != kUntouched && word != 0) return "device_info wrote beyond the fields that it knows";
  }
  eddl_device* device = nullptr;
  const eddl_code code = backend.device_open(device_index, &newer.known, &device, error.get());
  if (code == EDDL_OK) backend.device_close(device);
  return Expect("device_open with options that are longer than its own", code, error);
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
  if (opened == EDDL_OK) backend.device_close(device);
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
  const BufferPtr owner = device.Own(second);
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
    {"serves newer callers", ServesNewerCallers},
    {"knows which devices exist", KnowsWhichDevicesExist},
    {"keeps the memory limit", KeepsTheMemoryLimit},
    {"opens again", OpensAgain},
};

}  // namespace

std::span<const BackendCheck> BackendChecks() { return kChecks; }

}  // namespace eddl::conformance
