// LeaseGate: should this worker take micro-batches now, or would the others drain the pool before it finishes one?
//
// Not in charge of which micro-batches (Round), nor of what a worker's speed is (the profiler). Pure; one thread.
//
// A round lasts as long as its last lease, so a slow worker that takes one of the last micro-batches holds up all. The
// rule is earliest finish time first (list scheduling on uniform machines; Graham, 1969): let every worker go on taking
// one micro-batch after the other, at its predicted cost, from when it is free. The finish times of all those slots, in
// order, say how the pool would be drained best: its p micro-batches belong in the first p slots. The finish of the
// p-th is the *level*. A worker is granted its slots up to the level, and parked if it has none.
//
// Summing over all workers at each request is O(n). The gate keeps the sum instead: how many slots each worker has up
// to the level, and their total. A change of one worker changes one term; a grant takes as many slots as micro-batches,
// so that the total keeps up with the pool. Only when they differ (by one of 16, so exactly for small pools) the level
// moves, in O(n). A worker that misses its predicted finish by a margin has no slots until it is heard of: nobody waits
// for it.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "net/ids.h"
#include "runtime/base/time.h"

namespace eddl::net {

class LeaseGate {
 public:
  struct Answer {
    int64_t count = 0;  // micro-batches to grant; 0: park
    // Parked: ask again at this instant if nothing has changed before: a worker that is counted on is overdue then.
    Instant ask_again{INT64_MAX};

    bool operator==(const Answer&) const = default;
  };

  // A worker whose speed is not known: it is granted one micro-batch at a time, and nobody counts on it.
  void Join(NodeId node);
  // REQUIRES: joined, here and below.
  void Leave(NodeId node);
  bool Has(NodeId node) const;
  // Predicted speed, alone and as it is now. REQUIRES: > 0.
  void SetRate(NodeId node, double micro_batches_per_second);
  // When it will have computed all that it was granted; `now` or before: it is idle.
  void SetBusyUntil(NodeId node, Instant until, Instant now);

  // The same, by predicted cost: it was granted `count` more, behind what it has; it has just finished some, and `left`
  // are still granted.
  void Granted(NodeId node, int64_t count, Instant now);
  void Finished(NodeId node, int64_t left, Instant now);

  // What to do with a worker that asks, or has been parked, while `pool_size` micro-batches are free. A grant hides the
  // `round_trip` behind ten times as much work, if the pool has that for all. `now` never goes back.
  Answer Decide(NodeId node, Instant now, int64_t pool_size, Duration round_trip);

  // When it will have finished what it was granted. Of an overdue worker nobody knows: as late again as it is by now,
  // and its cost.
  Instant PredictedFinish(NodeId node, Instant now) const;
  // Nothing is free, and `idle` could compute a duplicate of a micro-batch of `owner`: would it be the first to finish?
  bool ShouldDuplicate(NodeId idle, NodeId owner, Instant now) const;

 private:
  struct Worker {
    bool joined = false;
    bool counted = false;  // known speed, and not overdue
    int64_t cost_ns = 0;   // of a micro-batch; 0: not known
    Instant busy_until{};
    int64_t slots = 0;  // up to the level
  };
  using Expiry = std::pair<Instant, uint32_t>;

  Worker& At(NodeId node);
  const Worker& At(NodeId node) const;
  // Slots of a worker that finish at `level` or before.
  int64_t CountSlots(const Worker& worker, Instant level) const;
  Instant ExpiryOf(const Worker& worker) const;
  void Update(Worker& worker);
  void Expire();
  void MoveLevel(int64_t pool_size);
  int64_t SlotsBelow(Instant level) const;

  std::vector<Worker> workers_;  // by node
  int64_t joined_count_ = 0;
  Instant now_{};
  Instant level_{};
  int64_t slots_ = 0;  // sum over workers
  // When workers that are busy become overdue; entries that no longer agree with the worker are void.
  std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> expiries_;
};

}  // namespace eddl::net
