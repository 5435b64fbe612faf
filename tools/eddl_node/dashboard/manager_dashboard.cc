#include "tools/eddl_node/dashboard/manager_dashboard.h"

#include <nlohmann/json.hpp>

#include "net/transport/certificate.h"
#include "net/transport/join_token.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/metrics/cluster_metrics.h"

namespace eddl {

using Json = nlohmann::ordered_json;

absl::StatusOr<std::string> OperatorToken(const std::string& folder) {
  constexpr char kFile[] = "operator_token";
  constexpr size_t kLengthMin = 32;  // 128 bits as hex
  const auto earlier = net::ReadSecret(folder, kFile);
  if (earlier.ok() && earlier->size() >= kLengthMin) return *earlier;
  EDDL_ASSIGN_OR_RETURN(const net::JoinToken random, net::JoinToken::Make(""));
  EDDL_RETURN_IF_ERROR(net::WriteSecret(folder, kFile, random.secret));
  return random.secret;
}

absl::StatusOr<Json> StateOf(cluster::ManagerNode& manager, const HistoryKeeper& history, const JobTitle& title) {
  EDDL_ASSIGN_OR_RETURN(Json state, manager.Status());
  state["job"] = title.job;
  state["model"] = title.model;
  state["latest"] = history.LatestJson();
  state.erase("events");  // the history has them, with their kinds
  return state;
}

absl::StatusOr<std::unique_ptr<Dashboard>> StartManagerDashboard(const DashboardOptions& options,
                                                                 cluster::ManagerNode& manager,
                                                                 const HistoryKeeper& history, const JobTitle& title) {
  return Dashboard::Start(
      options, {.state = [&manager, &history, title] { return StateOf(manager, history, title); },
                .history = [&history] { return history.ToJson(kDevicesPlotted); },
                .device = [&history](uint32_t node) { return history.DeviceJson(node); },
                .why = [&manager](uint32_t node) { return manager.Why(net::NodeId{node}); },
                .metrics =
                    [&manager, title] {
                      auto status = manager.Status();
                      if (!status.ok()) return std::string();
                      (*status)["job"] = title.job;
                      (*status)["model"] = title.model;
                      return ManagerMetrics(*status);
                    },
                .pause = [&manager](uint32_t node, bool pause) { return manager.AskToPause(net::NodeId{node}, pause); },
                .drain = [&manager](uint32_t node) { return manager.AskToLeave(net::NodeId{node}); },
                .stop =
                    [&manager] {
                      manager.Stop();
                      return absl::OkStatus();
                    }});
}

}  // namespace eddl
