// RunTrace: a real run in the simulator's form (net/sim/record.h), so that one writer serves both, and prediction and
// measurement lie side by side.
//
// Nodes send their spans in the manager's clock. A transfer is put together of what the sender and the receiver said.
// Times are told from the trace's begin. Bounded, also for each node; thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "net/sim/record.h"
#include "runtime/base/atomic_file.h"
#include "tools/eddl_node/trace/span_log.h"

namespace eddl {

// What a node told at once.
struct TraceReport {
  std::string name;
  Duration clock_error;    // how far its instants may be off the manager's clock
  int64_t lost_count = 0;  // spans that it could not keep or send, up to now
  bool last = false;       // it goes
  std::vector<NodeSpan> spans;
};

class RunTrace {
 public:
  // `samples`: committed before the trace begins.
  RunTrace(std::string job, Instant begin, int64_t samples);

  // Spans that no honest node has (unknown kinds, times outside of the run) are left out.
  void AddReport(net::NodeId node, const TraceReport& report, Instant now);
  // `samples`: committed so far.
  void AddCommit(Instant now, net::Version round, int64_t samples, double loss);
  void AddExplained(Instant now, const std::string& topic, const std::string& text);
  // Of the plan in force, as ToString(net::Mode).
  void SetMode(const std::string& mode);

  // Waits until the nodes have told the rest, `patience` at most.
  void AwaitLast(Duration patience) const;
  // The run so far.
  net::sim::Record ToRecord() const;
  // As Chrome's trace events. Errors: as AtomicFile's.
  absl::Status Write(AtomicFile& file) const;
  // Spans that the trace lacks: lost by nodes, refused, or more than it holds.
  int64_t lacking_count() const;

  static constexpr size_t kSpansMax = 1 << 20;
  static constexpr size_t kNodeSpansMax = kSpansMax / 4;

 private:
  struct Owned {
    net::NodeId node{};
    NodeSpan span;
  };
  struct Node {
    std::string name;
    Duration clock_error;
    int64_t lost_count = 0;
    size_t span_count = 0;
    bool last = false;
  };

  // In the order of their ends.
  std::vector<net::sim::Span> MakeSpans() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllSaidLast() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string job_;
  const Instant begin_;
  mutable absl::Mutex mutex_;
  std::vector<Owned> spans_ ABSL_GUARDED_BY(mutex_);
  std::vector<net::sim::RoundSample> rounds_ ABSL_GUARDED_BY(mutex_);
  std::vector<net::sim::Explanation> explanations_ ABSL_GUARDED_BY(mutex_);
  std::map<net::NodeId, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  net::Mode mode_ ABSL_GUARDED_BY(mutex_){};
  int64_t samples_ ABSL_GUARDED_BY(mutex_);
  int64_t left_out_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace eddl
