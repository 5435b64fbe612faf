#include "runtime/device/device_info.h"

#include <bit>
#include <cstring>
#include <string>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr uint32_t kAlignmentMax = 4096;

}  // namespace

std::string DeviceInfo::Id() const { return backend + ":" + std::to_string(index); }

absl::StatusOr<uint32_t> CountDevices(const eddl_backend& table) {
  uint32_t count = 0;
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  const eddl_code code = CallPlugin("device_count", error, [&] { return table.device_count(&count, &error); });
  if (code != EDDL_OK) return StatusFromAbi(table, code, error);
  if (count == 0) return Unavailable(std::string(table.name) + ": no devices, and the backend gives no reason");
  return count;
}

absl::StatusOr<DeviceInfo> QueryDevice(const eddl_backend& table, uint32_t index) {
  eddl_device_info abi = {.struct_size = sizeof(eddl_device_info)};
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  const eddl_code code = CallPlugin("device_info", error, [&] { return table.device_info(index, &abi, &error); });
  if (code != EDDL_OK) return StatusFromAbi(table, code, error);
  DeviceInfo info = {.backend = table.name,
                     .index = index,
                     .name = std::string(abi.name, strnlen(abi.name, sizeof(abi.name))),
                     .memory_total_bytes = abi.memory_total_bytes,
                     .memory_free_bytes = abi.memory_free_bytes,
                     .alignment_bytes = abi.alignment_bytes,
                     .dtype_mask = abi.dtype_mask,
                     .compute_units = abi.compute_units,
                     .score = abi.score,
                     .flags = abi.flags};
  if (!std::has_single_bit(abi.alignment_bytes) || abi.alignment_bytes > kAlignmentMax) {
    return FailedPrecondition(info.Id() + ": reports an alignment of " + std::to_string(abi.alignment_bytes) +
                              " bytes; a power of two up to " + std::to_string(kAlignmentMax) + " is required");
  }
  if (info.name.empty()) return FailedPrecondition(info.Id() + ": reports no device name");
  return info;
}

}  // namespace eddl
