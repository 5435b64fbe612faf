// ClusterForecast: how fast a running cluster would train another job, and what it would wait for.
//
// From what the manager has measured of its members (`status`) and the planner that it would plan with itself. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "net/node/manager.h"
#include "net/policy/planner.h"

namespace eddl::cluster {

struct ForecastMember {
  net::NodeProfile profile;  // of the planned job
  std::string name;
  bool is_measured = false;  // by leases; else what the device measured when it joined
};

class ClusterForecast {
 public:
  // `status`: as a manager answers. `options`: of the planned job. `cost`: how many times as long as one of the running
  // job's a sample of the planned job takes. kFailedPrecondition: no device is there, or none that works.
  static absl::StatusOr<ClusterForecast> Make(const nlohmann::ordered_json& status, const net::ManagerOptions& options,
                                              double cost);

  const net::Candidate& best() const { return decision_.candidates.front(); }
  // What the devices would compute, each for itself. Samples a second.
  double sum_of_devices() const { return sum_; }
  const std::vector<ForecastMember>& members() const { return members_; }

  // For people. `running_model`: that the speeds were measured with.
  std::string ToText(const std::string& job, const std::string& model, const std::string& running_model) const;
  nlohmann::ordered_json ToJson() const;

 private:
  ClusterForecast() = default;

  std::vector<ForecastMember> members_;
  net::Decision decision_;
  net::LedgerOptions ledger_;
  int64_t batch_size_ = 0;
  double sum_ = 0;
  double cost_ = 1;
};

}  // namespace eddl::cluster
