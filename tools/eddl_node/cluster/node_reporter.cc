#include "tools/eddl_node/cluster/node_reporter.h"

#include <grpcpp/channel.h>

#include <chrono>

namespace eddl::cluster {
namespace {

constexpr std::chrono::seconds kCallPatience{2};

}  // namespace

v1::ReportRequest ToProto(net::NodeId node, const NodeVitals& vitals) {
  v1::ReportRequest request;
  request.set_node(ToInt(node));
  request.set_cpu_cores(vitals.cpu_cores);
  request.set_celsius(vitals.celsius);
  request.set_resident_bytes(vitals.resident_bytes);
  request.set_sent_bytes_per_second(vitals.sent_bytes_per_second);
  request.set_received_bytes_per_second(vitals.received_bytes_per_second);
  return request;
}

NodeVitals VitalsOf(const v1::ReportRequest& request) {
  return Plausible({.cpu_cores = request.cpu_cores(),
                    .celsius = request.celsius(),
                    .resident_bytes = request.resident_bytes(),
                    .sent_bytes_per_second = request.sent_bytes_per_second(),
                    .received_bytes_per_second = request.received_bytes_per_second()});
}

NodeReporter::NodeReporter(net::NodeId self, const std::shared_ptr<grpc::Channel>& manager,
                           const net::Transport& transport)
    : self_(self), stub_(v1::Cluster::NewStub(manager)), transport_(transport), thread_([this] { Run(); }) {}

NodeReporter::~NodeReporter() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void NodeReporter::Run() {
  const auto is_stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_; };
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      const absl::Duration period = absl::Nanoseconds(kReportPeriod.ns);
      if (mutex_.AwaitWithTimeout(absl::Condition(&is_stopped), period)) return;
    }
    Report();
  }
}

void NodeReporter::Report() {
  const net::LinkCounters total = transport_.Total();
  const NodeVitals vitals = reader_.Read(Now(), total.sent_bytes, total.received_bytes);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallPatience);
  v1::ReportReply reply;
  // A manager that is away, or of an older version, does without.
  (void)stub_->Report(&context, ToProto(self_, vitals), &reply);
}

}  // namespace eddl::cluster
