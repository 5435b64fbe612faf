// Three devices that are all the cpu backend's, with groups whose sums can be wrong in one way: for tests of what uses
// groups.
#pragma once

#include "backends/sdk/eddl_backend.h"

namespace eddl::conformance {

enum class GroupMistake {
  kNone,
  kForgetsTheLastElement,
  kForgetsTheLastMember,
  kLeavesOneMemberAsItWas,
  kWritesBesideTheTarget,
  kAddsInEachMembersOwnOrder,
  kKeepsTheFirstSum,
  kDropsNan,
  kAddsAnyDtype,
  kLosesAMember,    // all_reduce: EDDL_UNAVAILABLE
  kIsNotInstalled,  // group_create: EDDL_UNAVAILABLE
};

inline constexpr uint32_t kCpuGroupDevices = 3;

// The mistake holds for the table until the next call. One thread.
const eddl_backend& CpuGroupTable(GroupMistake mistake = GroupMistake::kNone);

}  // namespace eddl::conformance
