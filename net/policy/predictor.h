// Predictor: how fast a plan would train a cluster, and what it would wait for.
//
// Pure: equal arguments, equal answers; thread-safe once created. Not in charge of choosing: that is Choose
// (planner.h).
//
// The yard-stick of all plans is progress per second, G = samples/s · (φ + B0) / (φ + B) / κ (McCandlish et al., 2018;
// Pollux, OSDI 2021): φ is the noise scale, B0 the job's batch, B the batch that a step is worth: with the samples
// that others have added since its base was read, b (1 + staleness). Sync has B = B0; pipe, one round behind, 2 B0 at
// the largest rate that one step bears, and less by as much as the job's rate is smaller: what a delay costs is of
// second order in the rate (for delayed SGD: Stich and Karimireddy, 2020). So a sample of pipe is worth
// 1 - s (1 - (φ + B0) / (φ + 2 B0)). κ is what asynchrony costs beyond that; measured, and 1 for the others.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "net/ids.h"
#include "net/plan.h"
#include "net/policy/exchange.h"
#include "net/policy/leader_shares.h"
#include "runtime/base/time.h"

namespace eddl::net {

// What is known of one node: fits where there are measurements, else what it said of itself. Speeds and rates that are
// not positive, or that nothing has, are unknown, and taken to be the median of the known ones.
struct NodeProfile {
  NodeId node{};
  bool can_work = true;
  bool can_lead = true;
  double fixed_seconds = 0;       // a of t(b) = a + c b, b in samples, for one lease
  double seconds_per_sample = 0;  // c
  double variation = 0;           // standard deviation of t over its mean
  double up_bytes_per_second = 0;
  double down_bytes_per_second = 0;
  Duration round_trip;
  uint32_t cell = 0;  // shared medium; 0: its own wire
  double leaves_per_second = 0;
};

// What a plan has really made, lately and with these nodes.
struct MeasuredPlan {
  Plan plan;
  double samples_per_second = 0;
  Instant at;

  // Of other leaders, only their number counts; of the same ones, what each has.
  bool IsOf(const Plan& other) const {
    return plan.rule.mode == other.rule.mode && plan.codec == other.codec && plan.parked == other.parked &&
           IsLedAs(other.leaders);
  }

 private:
  static constexpr double kShareTolerance = 0.2;  // of the larger one

  bool IsLedAs(const std::vector<LeaderShare>& leaders) const {
    bool alike = true;
    bool same = true;
    for (size_t i = 0; i < leaders.size() && i < plan.leaders.size(); ++i) {
      const double mine = plan.leaders[i].fraction;
      const double other = leaders[i].fraction;
      same = same && plan.leaders[i].node == leaders[i].node;
      alike = alike && std::abs(mine - other) <= kShareTolerance * std::max(mine, other);
    }
    return leaders.size() == plan.leaders.size() && (alike || !same);
  }
};

struct ClusterView {
  std::vector<NodeProfile> nodes;  // sorted by node; paused and fenced ones are not in it
  int64_t parameter_count = 0;
  int64_t batch_size = 0;        // samples a synchronous round, all workers together
  int64_t micro_batch_size = 0;  // samples
  double noise_scale = 0;        // φ = tr Σ / |G|², in samples; 0: not known yet
  double rate_part = 1;          // s: the learning rate over the best for one step (step_gain.h)
  // κ: samples that async needs for the loss that sync reaches, beyond what staleness explains.
  double async_penalty = 1.5;
  // Compute part of a synchronous round over that of the best split (ComputeSeconds), as measured. In pipe nobody waits
  // for the round's last lease: the next round's are there.
  double wait_factor = 1.1;
  Plan current;
  std::vector<MeasuredPlan> measured;  // the current one's, and those of plans before it
};

struct Candidate {
  Plan plan;
  double compute_seconds = 0;   // of a round
  double exchange_seconds = 0;  // exposed: not hidden behind compute
  double samples_per_second = 0;
  double efficiency = 0;  // progress of one sample, relative to one of a synchronous round
  double progress = 0;    // samples_per_second × efficiency, less what leavers cost: the score
  bool measured = false;  // samples_per_second is what the plan has made, not a prediction
  std::string bound;      // what limits it, for people: "compute", "link of node 7", "air of cell 1"

  bool operator==(const Candidate&) const = default;
};

struct PredictorOptions {
  double message_seconds = 0.001;  // as in ShareOptions
  double share_bytes_min = 65536;
  bool backups = true;  // leaders ship their slices to their successors
};

// Of a gradient or a parameter on the wire.
double BytesPerParameter(Codec codec);

class Predictor {
 public:
  // For this cluster with these nodes parked (sorted; they may still lead).
  // kInvalidArgument: sizes of the view are not positive. kFailedPrecondition: nobody is left to work.
  static absl::StatusOr<Predictor> Create(const ClusterView& view, const PredictorOptions& options,
                                          std::vector<NodeId> parked);

  // The best shares for a mode and a codec. kFailedPrecondition: nobody can lead.
  absl::StatusOr<SharePlan> Shares(Mode mode, Codec codec, uint32_t leaders_max) const;
  // What such a plan would do. The rule's numbers come with it: quorum n/4, and of staleness what noise allows, φ / b.
  // kInvalidArgument: a leader is not in the cluster.
  absl::StatusOr<Candidate> Predict(Mode mode, Codec codec, std::vector<LeaderShare> leaders) const;

  // The compute part of a synchronous round under the best split into micro-batches, without noise.
  double ComputeSeconds() const { return compute_seconds_; }
  // The workers' indices in the view, those first that a round would miss least: by the time that an even part of the
  // work and the exchange takes them.
  std::vector<size_t> SlowestFirst() const;

 private:
  struct Worker {
    size_t index = 0;  // in the view
    double seconds_per_micro_batch = 0;
    double link_bytes_per_second = 0;
    double round_trip_seconds = 0;
  };

  absl::Status AddNodes(const ClusterView& view);
  double BestSplit(const ClusterView& view);
  ShareOptions OptionsFor(Mode mode, Codec codec) const;
  // `busy_seconds`: that the busiest link takes for all bytes of a round.
  void PredictRounds(Candidate& candidate, const Exchange& exchange, double busy_seconds) const;
  absl::Status PredictAsync(Candidate& candidate) const;
  double Efficiency(double batch) const;

  PredictorOptions options_;
  std::vector<NodeId> parked_;
  ExchangeModel exchange_;
  std::vector<std::pair<NodeId, double>> leaves_per_second_;  // of nodes that have any, sorted
  std::vector<Worker> workers_;
  double parameter_count_ = 0;
  double batch_ = 0;
  double micro_batch_ = 0;
  double micro_batch_count_ = 0;  // of a round
  double noise_scale_ = 0;
  double rate_part_ = 1;
  double async_penalty_ = 1;
  double wait_factor_ = 1;
  double compute_seconds_ = 0;
  double hops_seconds_ = 0;  // of a round: four one-way trips to the farthest worker
};

}  // namespace eddl::net
