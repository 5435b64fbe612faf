#include "tests/backends/conformance/cpu_group.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tests/backends/conformance/cpu.h"

// A group of the fake: which device is which member.
struct eddl_group {
  std::vector<eddl_device*> devices;
  std::vector<float> first_sum;
};

namespace eddl::conformance {
namespace {

GroupMistake mistake = GroupMistake::kNone;

eddl_code Fail(eddl_error* error, eddl_code code, const char* message) {
  if (error == nullptr) return code;
  error->code = code;
  std::snprintf(error->message, sizeof(error->message), "%s", message);
  return code;
}

// Index 0 of the cpu for each of ours; its own answer for what neither has.
uint32_t CpuIndex(uint32_t index) { return index < kCpuGroupDevices ? 0 : index; }

eddl_code Create(eddl_device* const* devices, uint32_t count, eddl_group** group, eddl_error* error) {
  if (mistake == GroupMistake::kIsNotInstalled) return Fail(error, EDDL_UNAVAILABLE, "the library is not installed");
  *group = new eddl_group{{devices, devices + count}, {}};
  return EDDL_OK;
}

void Destroy(eddl_group* group) { delete group; }

// The sum as member i has it.
std::vector<float> Sum(const std::vector<float*>& values, size_t count, size_t i) {
  const size_t members = mistake == GroupMistake::kForgetsTheLastMember ? values.size() - 1 : values.size();
  const size_t begin = mistake == GroupMistake::kAddsInEachMembersOwnOrder ? i : 0;
  std::vector<float> sum(count);
  for (size_t j = 0; j < count; ++j) {
    for (size_t m = 0; m < members; ++m) {
      const float value = values[(begin + m) % members][j];
      if (mistake == GroupMistake::kDropsNan && std::isnan(value)) continue;
      sum[j] += value;
    }
  }
  return sum;
}

// The cpu's queues have done all their work when a call returns.
eddl_code AllReduce(eddl_group* group, eddl_queue* const*, const eddl_binding* targets, uint64_t count,
                    eddl_dtype dtype, eddl_error* error) {
  if (mistake == GroupMistake::kLosesAMember) return Fail(error, EDDL_UNAVAILABLE, "device 1 is lost");
  if (dtype != EDDL_F32 && mistake != GroupMistake::kAddsAnyDtype)
    return Fail(error, EDDL_UNIMPLEMENTED, "all_reduce adds f32 only");
  std::vector<float*> values;
  for (size_t i = 0; i < group->devices.size(); ++i) {
    auto* const bytes = static_cast<std::byte*>(CpuTable().buffer_host_pointer(targets[i].buffer));
    values.push_back(reinterpret_cast<float*>(bytes + targets[i].offset_bytes));
  }
  std::vector<std::vector<float>> sums;
  for (size_t i = 0; i < values.size(); ++i) sums.push_back(Sum(values, count, i));
  if (mistake == GroupMistake::kKeepsTheFirstSum && group->first_sum.size() == count) {
    for (auto& sum : sums) sum = group->first_sum;
  }
  group->first_sum = sums[0];
  for (size_t i = 0; i < values.size(); ++i) {
    if (mistake == GroupMistake::kLeavesOneMemberAsItWas && i == 1) continue;
    const size_t written = mistake == GroupMistake::kForgetsTheLastElement && count > 0 ? count - 1 : count;
    if (written > 0) std::memcpy(values[i], sums[i].data(), written * sizeof(float));
    if (mistake == GroupMistake::kWritesBesideTheTarget) values[i][count] = 0;
  }
  return EDDL_OK;
}

eddl_backend MakeTable() {
  eddl_backend table = CpuTable();
  table.name = "cpu_group";
  table.device_count = [](uint32_t* count, eddl_error*) -> eddl_code {
    *count = kCpuGroupDevices;
    return EDDL_OK;
  };
  table.device_info = [](uint32_t index, eddl_device_info* info, eddl_error* error) {
    return CpuTable().device_info(CpuIndex(index), info, error);
  };
  table.device_open = [](uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error) {
    return CpuTable().device_open(CpuIndex(index), options, device, error);
  };
  table.group_create = Create;
  table.all_reduce = AllReduce;
  table.group_destroy = Destroy;
  return table;
}

}  // namespace

const eddl_backend& CpuGroupTable(GroupMistake of_table) {
  static const eddl_backend table = MakeTable();
  mistake = of_table;
  return table;
}

}  // namespace eddl::conformance
