// PullRound: one round in which workers ask for micro-batches, one at a time, until the pool is drained.
//
// The dealing of a manager without its protocol: no losses, no joins, no exchange. Pure; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "net/policy/lease_gate.h"
#include "net/sim/baselines/straggler_speed.h"
#include "net/sim/event_queue.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

enum class PullRule : uint8_t {
  kAny,        // whoever asks is served
  kSum,        // earliest finish first, as a sum over all workers at each request
  kGate,       // LeaseGate
  kDuplicate,  // LeaseGate, and duplicates of late leases
};

class PullRound {
 public:
  // `predicted`: seconds a micro-batch, as known when the round starts. The spans outlive it.
  PullRound(PullRule rule, std::span<const double> predicted, std::span<const WorkerSpeed> speeds,
            int64_t micro_batch_count, Duration round_trip);

  // Seconds until each micro-batch is done once. Once.
  double Run();
  int64_t duplicates() const { return duplicates_; }

 private:
  struct Lease {
    size_t worker = 0;
    size_t micro_batch = 0;
    Instant started;
    bool over = false;  // finished, or no longer of use
    bool doubled = false;
  };
  static constexpr uint32_t kFinish = 0;  // index: a lease
  static constexpr uint32_t kAsk = 1;     // for those that are parked

  static NodeId Node(size_t worker) { return NodeId{static_cast<uint32_t>(worker) + 1}; }
  bool gated() const { return rule_ >= PullRule::kGate; }
  void AskAll();
  bool MayTake(size_t worker);
  bool SumAllows(size_t worker) const;
  void Duplicate(size_t worker);
  void Start(size_t worker, size_t micro_batch);
  void End(Lease& lease);
  void OnFinish(size_t index);

  PullRule rule_;
  std::span<const WorkerSpeed> speeds_;
  Duration round_trip_;
  std::vector<double> costs_;      // predicted, by worker
  std::vector<int64_t> lease_of_;  // by worker; -1: idle
  std::vector<bool> done_;         // by micro-batch
  std::vector<Lease> leases_;      // in the order of their start
  size_t taken_ = 0;               // micro-batches before it are not free
  size_t done_count_ = 0;
  int64_t duplicates_ = 0;
  Instant now_;
  Instant ask_again_{INT64_MAX};
  LeaseGate gate_;
  EventQueue events_;
};

}  // namespace eddl::net::sim
