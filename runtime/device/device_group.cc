#include "runtime/device/device_group.h"

#include <string>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {

absl::StatusOr<std::unique_ptr<DeviceGroup>> DeviceGroup::Create(std::vector<Device*> devices) {
  EDDL_CHECK(devices.size() >= 2) << devices.size();
  const eddl_backend& table = devices[0]->table();
  if (table.group_create == nullptr) {
    return Unimplemented("backend " + devices[0]->info().backend +
                         " has no groups of devices; use one worker for each: --device " + devices[0]->info().Id());
  }
  std::vector<eddl_device*> raw;
  for (const Device* device : devices) {
    EDDL_CHECK(&device->table() == &table) << device->info().Id() << " is of another backend";
    raw.push_back(device->raw());
  }
  auto group = std::unique_ptr<DeviceGroup>(new DeviceGroup(std::move(devices)));
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  const eddl_code code = table.group_create(raw.data(), static_cast<uint32_t>(raw.size()), &group->raw_, &error);
  if (code == EDDL_OK && group->raw_ == nullptr) {
    return FailedPrecondition("backend " + group->devices_[0]->info().backend +
                              " says it made a group, and gives none");
  }
  if (code == EDDL_OK) return group;
  group->raw_ = nullptr;
  return WithContext(StatusFromAbi(table, code, error), "joining " + std::to_string(raw.size()) + " devices");
}

DeviceGroup::~DeviceGroup() {
  if (raw_ != nullptr) devices_[0]->table().group_destroy(raw_);
}

absl::Status DeviceGroup::AllReduce(std::span<Queue* const> queues, std::span<const Buffer* const> buffers,
                                    int64_t count) {
  EDDL_CHECK(queues.size() == devices_.size() && buffers.size() == devices_.size()) << queues.size();
  std::vector<eddl_queue*> raw_queues;
  std::vector<eddl_binding> targets;
  for (size_t i = 0; i < queues.size(); ++i) {
    raw_queues.push_back(queues[i]->raw());
    targets.push_back({.buffer = buffers[i]->raw(), .offset_bytes = 0});
  }
  const eddl_backend& table = devices_[0]->table();
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  const eddl_code code =
      table.all_reduce(raw_, raw_queues.data(), targets.data(), static_cast<uint64_t>(count), EDDL_F32, &error);
  return StatusFromAbi(table, code, error);
}

}  // namespace eddl
