// What a backend's table says about its devices, as values. Used by Backend and Device; not for others.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "backends/sdk/eddl_backend.h"
#include "runtime/device/device.h"

namespace eddl {

// At least 1; kUnavailable with the backend's reason if there are none.
absl::StatusOr<uint32_t> CountDevices(const eddl_backend& table);

// kFailedPrecondition if the answer breaks the contract (alignment, no name). REQUIRES: index < CountDevices().
absl::StatusOr<DeviceInfo> QueryDevice(const eddl_backend& table, uint32_t index);

}  // namespace eddl
