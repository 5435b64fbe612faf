// NodeReporter: tells the manager how this node is doing, once a second, for people who look.
//
// A thread and a connection of its own: training neither waits for it nor notices that it fails.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/ids.h"
#include "net/transport/transport.h"
#include "net/wire/cluster.grpc.pb.h"
#include "tools/eddl_node/log/log.h"
#include "tools/eddl_node/trace/clock_offset.h"
#include "tools/eddl_node/trace/span_log.h"
#include "tools/eddl_node/vitals/node_vitals.h"

namespace eddl::cluster {

constexpr Duration kReportPeriod{1'000'000'000};

class NodeReporter {
 public:
  // `transport` outlives the reporter.
  // So do `spans`, sent along while the manager wants them, and `log`, whose level it may change; null: none.
  NodeReporter(net::NodeId self, const std::shared_ptr<grpc::Channel>& manager, const net::Transport& transport,
               SpanLog& spans, const Log* log);
  ~NodeReporter();

 private:
  void Run();
  // `last`: the node goes. False: the manager did not answer.
  bool Report(bool last);
  // Spans that come before the clocks are aligned would lie wrong: a few calls at once.
  void AlignClock();
  void ReadVitals();
  void TakeLogLevel(const std::string& level);
  bool is_stopped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_; }

  const net::NodeId self_;
  const std::unique_ptr<v1::Cluster::Stub> stub_;
  const net::Transport& transport_;
  SpanLog& spans_;
  const Log* const log_;
  std::string log_level_;  // as last told
  ClockOffset offset_;     // to the manager's clock
  VitalsReader reader_;
  NodeVitals vitals_;  // as last read
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

// The message, and back; what a peer says is made plausible.
v1::ReportRequest ToProto(net::NodeId node, const NodeVitals& vitals);
NodeVitals VitalsOf(const v1::ReportRequest& request);
// Shifted by `offset`.
void AddSpans(const std::vector<NodeSpan>& spans, Duration offset, v1::ReportRequest& request);
std::vector<NodeSpan> SpansOf(const v1::ReportRequest& request);

}  // namespace eddl::cluster
