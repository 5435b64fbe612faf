// ClusterClient: questions to a running manager, asked with what this device has to show there.
//
// Errors carry exit codes: kUsage, kRefused, kNetwork. One thread.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/wire/cluster.grpc.pb.h"
#include "tools/eddl_node/cluster/cluster_access.h"

namespace eddl::cluster {

// Where to ask, and as whom.
struct ClusterAddress {
  std::string manager;  // HOST:PORT
  bool insecure = false;
  std::string state;  // folder of identities; empty: the default
};

class ClusterClient {
 public:
  // Connects at the first question. The operator's identity, where the manager runs; else what this device got when it
  // joined.
  static absl::StatusOr<ClusterClient> Create(const ClusterAddress& address);

  // As documented in docs/cluster.md. `with_job`: and "job_packet", what a joining device is told.
  absl::StatusOr<nlohmann::ordered_json> Status(bool with_job = false);
  absl::StatusOr<nlohmann::ordered_json> Why(net::NodeId node);
  absl::Status Leave(net::NodeId node);
  absl::Status Stop();
  // The newest model, onto this disk.
  absl::Status FetchModel(const std::string& path);

 private:
  ClusterClient() = default;
  template <typename Request, typename Reply, typename Method>
  absl::Status Call(Method method, const Request& request, Reply& reply);

  HostPort manager_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Cluster::Stub> stub_;
};

}  // namespace eddl::cluster
