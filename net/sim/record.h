// Record: what a simulated run produced, for summaries, plots and tests. Plain values.
//
// Instants are virtual, in nanoseconds from the run's start.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/plan.h"
#include "net/policy/evaluation.h"
#include "net/policy/planner.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

// One commit. Rounds that were undone and run again have one sample each time.
struct RoundSample {
  Version round{};
  View view{};
  Mode mode{};
  Codec codec{};
  Instant committed;  // when the manager decided it
  Duration length;    // since the commit before, or since the first grant
  Duration compute;   // from the round's first lease handed out to its last result
  Duration exchange;  // the rest of `length`, not below 0
  int64_t samples = 0;
  uint32_t micro_batches = 0;
  uint32_t contributions = 0;
  uint32_t duplicates = 0;  // micro-batches that were computed twice and used once
  uint32_t working = 0;     // members that are connected and may work
  uint32_t leading = 0;
  double staleness_mean = 0;  // rounds between a contribution's base and the round, over contributions
  uint32_t staleness_max = 0;
  double learning_rate = 0;
  double loss = 0;      // mean over the round's samples, as workers saw it; learning mode
  double accuracy = 0;  // on test data, where it was measured; else < 0
  double progress = 0;  // samples × efficiency, summed up to here: what the planner's yard-stick says
  bool undone = false;  // by a later view
};

// Who did what from when to when.
struct Span {
  enum class Kind : uint8_t { kCompute, kPush, kPublish, kReplica, kMove, kAggregate, kApply, kDown, kHang, kBurst };
  NodeId node{};
  Kind kind{};
  Instant begin;
  Instant end;
  Version round{};
  NodeId peer{};        // of a transfer
  int64_t amount = 0;   // samples of a lease, bytes of a transfer
  bool wasted = false;  // the result was not used
};
std::string ToString(Span::Kind kind);

// Something to mark on a time axis: a fault, a view, a checkpoint, a person's command.
struct Mark {
  Instant at;
  NodeId node{};
  std::string what;
};

// What the manager explained: `eddl-node why`.
struct Explanation {
  Instant at;
  std::string topic;
  std::string text;
};

// A decision of the planner that was carried out, with what it was compared with.
struct PlanSample {
  Instant at;
  Version round{};  // the oldest open one
  Decision decision;
};

struct NodeTotals {
  NodeId node{};
  std::string group;
  int64_t samples = 0;  // computed
  int64_t leases = 0;
  double compute_seconds = 0;
  double control_seconds = 0;
  int64_t bytes_up = 0;
  int64_t bytes_down = 0;
  int64_t messages_received = 0;
  uint32_t lives = 0;
  Duration clock_error;  // of a real node: how far its instants may be off the manager's clock
  double share = 0;      // of the parameters that it leads, at the end
};

// A broken invariant: what, when, and the events that led there, oldest first.
struct Violation {
  std::string invariant;  // "I2"
  std::string what;
  Instant at;
  uint64_t seed = 0;
  std::vector<std::string> events;
};

enum class Outcome : uint8_t {
  kFinished,   // the job's epochs are done
  kTarget,     // the target accuracy is reached
  kRounds,     // round_count_max
  kTimeout,    // duration_seconds
  kHalted,     // the manager gave up, and said why
  kViolation,  // an invariant is broken
};
std::string ToString(Outcome outcome);

// A version was tested by leases.
struct TestRecord {
  Instant at;
  Version version{};
  TestSums sums;

  bool operator==(const TestRecord&) const = default;
};

struct Record {
  std::vector<TestRecord> tests;
  std::string scenario;
  uint64_t seed = 0;
  Outcome outcome = Outcome::kTimeout;
  std::string why;  // kHalted, kViolation
  Instant end;
  std::vector<RoundSample> rounds;
  std::vector<Span> spans;  // only if asked for, up to RunOptions::span_count_max
  std::vector<Mark> marks;
  std::vector<Explanation> explanations;
  std::vector<PlanSample> plans;
  std::vector<NodeTotals> nodes;  // sorted by node, the manager first
  std::vector<Violation> violations;
  std::map<std::string, int64_t> message_counts;  // delivered, by name
  int64_t event_count = 0;
  int64_t samples_committed = 0;
  int64_t epochs_done = 0;
  int64_t samples_left_out = 0;  // quarantined or deferred
  int64_t views = 0;
  int64_t commits_undone = 0;
  double accuracy = 0;          // at the end; < 0 if nothing is learnt
  double loss = 0;              // on test data, at the end
  uint64_t parameter_hash = 0;  // of the last stable version; 0 in timing mode
  uint64_t trace_hash = 0;      // of every event in order: equal seeds, equal hashes
};

}  // namespace eddl::net::sim
