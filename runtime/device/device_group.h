// DeviceGroup: several open devices of one backend that add up vectors among themselves, such as the GPUs of one box.
//
// RAII over the group slots of the ABI. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/device/device.h"

namespace eddl {

class DeviceGroup {
 public:
  // devices: two or more, different ones of one backend; they outlive the group.
  // kUnimplemented: the backend has no groups. kUnavailable: it lacks the library for them.
  static absl::StatusOr<std::unique_ptr<DeviceGroup>> Create(std::vector<Device*> devices);
  // REQUIRES: no sum is under way: its queues have been waited for, or destroyed.
  ~DeviceGroup();
  DeviceGroup(const DeviceGroup&) = delete;
  DeviceGroup& operator=(const DeviceGroup&) = delete;

  std::span<Device* const> devices() const { return devices_; }

  // Replaces the first `count` floats of each buffer by their sum over all; the same bits everywhere. Asynchronous, on
  // queues[i] for buffers[i], both of device i. REQUIRES: one queue and one buffer a device, of count floats or more.
  absl::Status AllReduce(std::span<Queue* const> queues, std::span<const Buffer* const> buffers, int64_t count);

 private:
  explicit DeviceGroup(std::vector<Device*> devices) : devices_(std::move(devices)) {}

  std::vector<Device*> devices_;
  eddl_group* raw_ = nullptr;
};

}  // namespace eddl
