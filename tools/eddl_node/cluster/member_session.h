// MemberSession: a member of a cluster, put together: runtime, bytes, network, and the node that drives them.
//
// What `join` runs on its own, and `manage --work` beside the manager. One thread; Run blocks.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "net/transport/grpc_transport.h"
#include "runtime/graph/param_layout.h"
#include "runtime/train/param_shard.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/link_probe.h"
#include "tools/eddl_node/cluster/member_node.h"
#include "tools/eddl_node/cluster/node_runtime.h"
#include "tools/eddl_node/cluster/node_service.h"

namespace eddl::cluster {

struct MemberSessionOptions {
  net::NodeId self{};
  std::string manager_address;
  std::string listen;  // empty: nobody can connect, and it never leads
  std::optional<net::Credentials> credentials;
  bool can_work = true;
  std::optional<Pace> pace;
  double cpu_limit = 0;
  double owner_load_max = 0;
  SampleSource* tests = nullptr;  // rows of the test set; outlives the session; null: none come here
  std::string record_path;
  std::vector<float> initial;                               // version 0; empty: the seed's
  const Log* log = nullptr;                                 // outlives the session; null: says nothing
  std::function<void(const std::string&)> on_refused = {};  // as GrpcTransport's
};

// "0.5,0.01" as --pace is written. kUsage says what was expected.
absl::StatusOr<std::optional<Pace>> ParsePace(const std::string& text);

// The largest payload that a node of this job is sent: all parameters in the widest form that travels, sums of exact
// mode or values with the optimizer's state (net/wire/FORMAT.md). For GrpcTransport's payload_bytes_max.
uint64_t PayloadBytesMax(const ParamLayout& layout, const OptimizerSpec& optimizer);

class MemberSession {
 public:
  // `samples` outlives the session. `on_status`: as in MemberNode.
  static absl::StatusOr<std::unique_ptr<MemberSession>> Open(const JobPacket& job, MemberSessionOptions options,
                                                             std::unique_ptr<NodeRuntime> runtime,
                                                             SampleSource& samples,
                                                             std::function<void(const MemberStatus&)> on_status);

  // Bytes over all links. Thread-safe.
  net::LinkCounters Total() const { return transport_->Total(); }
  // As MemberNode::Run.
  absl::StatusOr<std::string> Run(const std::atomic<bool>& stop);

 private:
  MemberSession() = default;

  net::NodeId self_{};
  SpanLog spans_;
  const Log* log_ = nullptr;

  // In the order in which each uses those before it.
  std::unique_ptr<NodeRuntime> runtime_;
  std::unique_ptr<NodeService> service_;
  std::unique_ptr<MemberNode> node_;
  std::unique_ptr<net::GrpcTransport> transport_;
  std::string manager_address_;
  LinkProber::OpenChannel open_manager_;
  std::shared_ptr<grpc::Channel> manager_;  // for what is no message of the job
};

}  // namespace eddl::cluster
