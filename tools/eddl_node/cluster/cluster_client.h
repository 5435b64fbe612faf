// ClusterClient: questions to a running manager, asked with what this device has to show there.
//
// Errors carry exit codes: kUsage, kRefused, kNetwork. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/wire/cluster.grpc.pb.h"
#include "tools/eddl_node/cluster/cluster_access.h"
#include "tools/eddl_node/log/log.h"

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
  // Adds entries to the job's data: rows [labels.size(), row bytes] as its model takes them, one piece after the other
  // from `next`, which returns false at the end.
  struct Entries {
    std::span<const std::byte> rows;
    std::span<const int32_t> labels;
  };
  struct Contributed {
    int64_t accepted = 0;
    int64_t first_epoch = 0;  // counted from 1
  };
  absl::StatusOr<Contributed> Contribute(const std::function<bool(Entries&)>& next);
  // Of one node, the manager being kManager; nothing: of all.
  absl::Status SetLogLevel(LogLevel level, std::optional<net::NodeId> node);
  // The newest model, onto this disk.
  absl::Status FetchModel(const std::string& path);

 private:
  ClusterClient() = default;
  template <typename Request, typename Reply, typename Method>
  absl::Status Call(Method method, const Request& request, Reply& reply);
  // What a call came to, in words of this command.
  absl::Status WithManager(const absl::Status& status) const;

  HostPort manager_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Cluster::Stub> stub_;
};

}  // namespace eddl::cluster
