// What a manager and a member say to Prometheus. Pure, but for what the system knows of the process.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace eddl {

// Of the manager, from `status`; a member that is gone keeps its counters, so that rates are right when it comes back.
std::string ManagerMetrics(const nlohmann::ordered_json& status);

// Of one member.
struct MemberFigures {
  uint32_t node = 0;
  std::string job;
  bool connected = false;
  bool active = false;
  bool leads = false;
  bool paused = false;
  int64_t samples = 0;
  int64_t leases = 0;
  uint64_t version = 0;
  int64_t sent_bytes = 0;
  int64_t received_bytes = 0;
  int64_t queued_bytes = 0;
};
std::string MemberMetrics(const MemberFigures& figures);

}  // namespace eddl
