// NodeReporter: tells the manager how this node is doing, once a second, for people who look.
//
// A thread and a connection of its own: training neither waits for it nor notices that it fails.
#pragma once

#include <memory>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "net/ids.h"
#include "net/transport/transport.h"
#include "net/wire/cluster.grpc.pb.h"
#include "tools/eddl_node/vitals/node_vitals.h"

namespace eddl::cluster {

constexpr Duration kReportPeriod{1'000'000'000};

class NodeReporter {
 public:
  // `transport` outlives the reporter.
  NodeReporter(net::NodeId self, const std::shared_ptr<grpc::Channel>& manager, const net::Transport& transport);
  ~NodeReporter();

 private:
  void Run();
  void Report();

  const net::NodeId self_;
  const std::unique_ptr<v1::Cluster::Stub> stub_;
  const net::Transport& transport_;
  VitalsReader reader_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

// The message, and back; what a peer says is made plausible.
v1::ReportRequest ToProto(net::NodeId node, const NodeVitals& vitals);
NodeVitals VitalsOf(const v1::ReportRequest& request);

}  // namespace eddl::cluster
