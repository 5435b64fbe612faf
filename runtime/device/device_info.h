// What a backend's table says about its devices, as values. Used by Backend and Device; not for others.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>

#include "absl/status/statusor.h"
#include "backends/sdk/eddl_backend.h"
#include "runtime/device/device.h"

namespace eddl {

// Calls a function of a plugin that may be a stranger's first draft. One that throws, against its contract, has failed.
template <typename Call>
eddl_code CallPlugin(const char* function, eddl_error& error, const Call& call) {
  const auto thrown = [&](const char* what) {
    std::snprintf(error.message, sizeof(error.message),
                  "%s threw: %.200s; no exception may leave a plugin: catch it there, and return a code", function,
                  what);
    return eddl_code{EDDL_INTERNAL};
  };
  try {
    return call();
  } catch (const std::exception& exception) {
    return thrown(exception.what());
  } catch (...) {
    return thrown("something that is no std::exception");
  }
}

// At least 1; kUnavailable with the backend's reason if there are none.
absl::StatusOr<uint32_t> CountDevices(const eddl_backend& table);

// kFailedPrecondition if the answer breaks the contract (alignment, no name). REQUIRES: index < CountDevices().
absl::StatusOr<DeviceInfo> QueryDevice(const eddl_backend& table, uint32_t index);

}  // namespace eddl
