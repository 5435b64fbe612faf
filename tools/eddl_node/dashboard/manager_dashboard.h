// ManagerDashboard: the dashboard of a manager: where its answers come from.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tools/eddl_node/cluster/manager_node.h"
#include "tools/eddl_node/dashboard/dashboard.h"
#include "tools/eddl_node/history/history_keeper.h"

namespace eddl {

// Of the job that is shown.
struct JobTitle {
  std::string job;
  std::string model;
};

// Devices with a series of their own on the page; the others are summed up.
constexpr size_t kDevicesPlotted = 12;

// The token that acting needs: from `folder`/operator_token, or a new one that is written there, readable by its owner
// alone.
absl::StatusOr<std::string> OperatorToken(const std::string& folder);

// `status` of the manager, with the job's name and the newest of the history.
absl::StatusOr<nlohmann::ordered_json> StateOf(cluster::ManagerNode& manager, const HistoryKeeper& history,
                                               const JobTitle& title);

// Manager and history outlive it. Errors as Dashboard::Start.
absl::StatusOr<std::unique_ptr<Dashboard>> StartManagerDashboard(const DashboardOptions& options,
                                                                 cluster::ManagerNode& manager,
                                                                 const HistoryKeeper& history, const JobTitle& title);

}  // namespace eddl
