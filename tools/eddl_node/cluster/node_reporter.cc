#include "tools/eddl_node/cluster/node_reporter.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <chrono>

#include "runtime/base/status.h"

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

void AddSpans(const std::vector<NodeSpan>& spans, Duration offset, v1::ReportRequest& request) {
  for (const NodeSpan& span : spans) {
    v1::TraceSpan& message = *request.add_spans();
    message.set_kind(static_cast<uint32_t>(span.kind));
    message.set_body(span.body);
    message.set_peer(ToInt(span.peer));
    message.set_round(ToInt(span.round));
    message.set_begin_ns((span.begin + offset).ns);
    message.set_end_ns((span.end + offset).ns);
    message.set_amount(span.amount);
  }
}

// Numbers that are too large for a kind become one that nobody has.
std::vector<NodeSpan> SpansOf(const v1::ReportRequest& request) {
  std::vector<NodeSpan> spans;
  for (const v1::TraceSpan& message : request.spans()) {
    if (spans.size() == SpanLog::kTakeMax) break;
    spans.push_back({.kind = static_cast<NodeSpan::Kind>(std::min(message.kind(), 255u)),
                     .body = static_cast<uint8_t>(std::min(message.body(), 255u)),
                     .peer = net::NodeId{message.peer()},
                     .round = net::Version{message.round()},
                     .begin = {message.begin_ns()},
                     .end = {message.end_ns()},
                     .amount = message.amount()});
  }
  return spans;
}

NodeReporter::NodeReporter(net::NodeId self, const std::shared_ptr<grpc::Channel>& manager,
                           const net::Transport& transport, SpanLog& spans, const Log* log)
    : self_(self),
      stub_(v1::Cluster::NewStub(manager)),
      transport_(transport),
      spans_(spans),
      log_(log),
      thread_([this] { Run(); }) {}

NodeReporter::~NodeReporter() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
  if (!spans_.enabled()) return;
  // What a trace still lacks, in as many calls as it takes.
  for (size_t sent = 0; sent < SpanLog::kSpansMax && spans_.size() > SpanLog::kTakeMax; sent += SpanLog::kTakeMax) {
    if (!Report(/*last=*/false)) break;
  }
  Report(/*last=*/true);
}

void NodeReporter::ReadVitals() {
  const net::LinkCounters total = transport_.Total();
  vitals_ = reader_.Read(Now(), total.sent_bytes, total.received_bytes);
}

void NodeReporter::AlignClock() {
  for (size_t i = 0; i < ClockOffset::kCalls; ++i) {
    {
      const absl::MutexLock lock(&mutex_);
      if (stopped_) return;
    }
    if (!Report(/*last=*/false)) return;
  }
}

void NodeReporter::Run() {
  ReadVitals();
  Report(/*last=*/false);
  if (spans_.enabled()) AlignClock();
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      const absl::Duration period = absl::Nanoseconds(kReportPeriod.ns);
      if (mutex_.AwaitWithTimeout(absl::Condition(this, &NodeReporter::is_stopped), period)) return;
    }
    ReadVitals();
    Report(/*last=*/false);
  }
}

// Only what is new, so that the level stays where somebody else put it meanwhile.
void NodeReporter::TakeLogLevel(const std::string& level) {
  if (log_ == nullptr || level.empty() || level == log_level_) return;
  log_level_ = level;
  const auto parsed = ParseLogLevel(level);
  if (!parsed.ok()) return log_->Warning("the manager asks for it: " + MessageOf(parsed.status()));
  log_->set_level(*parsed);
  log_->Info("log level " + level + ", as the operator wants it");
}

bool NodeReporter::Report(bool last) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallPatience);
  v1::ReportRequest request = ToProto(self_, vitals_);
  request.set_last(last);
  if (const auto clock = offset_.Get(); clock && offset_.is_full()) {
    AddSpans(spans_.Take(), clock->offset, request);
    request.set_clock_error_ns(clock->error.ns);
    request.set_lost_spans(spans_.lost_count());
  }
  v1::ReportReply reply;
  const Instant begin = Now();
  // A manager that is away, or of an older version, does without.
  if (!stub_->Report(&context, request, &reply).ok()) {
    spans_.Lose(static_cast<size_t>(request.spans_size()));
    return false;
  }
  offset_.Add(begin, Instant{reply.manager_ns()}, Now());
  spans_.set_enabled(reply.wants_spans());
  TakeLogLevel(reply.log_level());
  return true;
}

}  // namespace eddl::cluster
