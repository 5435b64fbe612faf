// LeaseGate: should this worker take micro-batches now, or would the others drain the pool before it finishes one?
//
// Not in charge of which micro-batches (Round), nor of what a worker's speed is (the profiler). Pure; one thread.
//
// A round lasts as long as its last lease, so a slow worker that takes one of the last micro-batches holds up all. The
// rule is earliest finish time first (list scheduling; Graham, 1969): let every worker go on taking
// one micro-batch after the other, at its predicted cost, from when it is free. The finish times of all those slots, in
// order, say how the pool would be drained best: its p micro-batches belong in the first p slots. The finish of the
// p-th is the *level*. A worker is granted its slots up to the level, and parked if it has none.
//
// Asked of all workers at each request, that is O(n). Two sums that are kept, of rates and of rates times when each is
// free, would answer at once, but count parts of micro-batches that nobody will finish: they leave the end of every
// pool to workers that are parked themselves. So the gate keeps whole slots: how many each worker has up to the level,
// and their total. A change of one worker changes one term; a grant takes as many slots as micro-batches, so that the
// total keeps up with the pool. Only when they differ too much (at all, for a small pool of few) the level moves, in
// O(n). A worker that is late by half a micro-batch has no slots until it is heard of: nobody waits for it.
//
// A busy worker asks for its slots when it is done; a parked one has asked already, and gets some when the level moves.
// It has to be called, or all the others leave the end of the pool to one that does not know it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "net/ids.h"
#include "runtime/base/time.h"

namespace eddl::net {

// What to do with a worker that has room for work.
struct LeaseDecision {
  int64_t micro_batches = 0;  // to grant as one lease; 0: park it
  // Parked: ask again at this instant if nothing has changed before; a worker that is counted on is overdue then.
  Instant ask_again{INT64_MAX};

  bool operator==(const LeaseDecision&) const = default;
};

class LeaseGate {
 public:
  // A worker whose speed is not known: it is granted one micro-batch at a time, and nobody counts on it.
  void Join(NodeId node);
  // REQUIRES: joined, here and below.
  void Leave(NodeId node);
  bool Has(NodeId node) const;
  int64_t joined_count() const { return joined_count_; }
  // Predicted speed, as it is now. REQUIRES: > 0.
  void SetRate(NodeId node, double micro_batches_per_second);
  // It was granted a lease, behind what it has already: duplicates and evaluations too. An answer takes its cost, and
  // `lag` for the way there and back if nothing is before it.
  void Granted(NodeId node, int64_t micro_batches, Instant now, Duration lag = {});
  // It has finished or given up a lease, and goes on with the next that it has. A lease from before it joined (it was
  // paused, say) is not known here, and changes nothing.
  void Finished(NodeId node, int64_t micro_batches, Instant now);

  // `pool_size` micro-batches are free. A grant holds ten times as much work as any grant costs this worker beside it
  // (`overhead`), as far as the pool has that for all; never more than the worker's share up to the level. `now` never
  // goes back.
  LeaseDecision Decide(NodeId node, Instant now, int64_t pool_size, Duration overhead);
  // Workers that have nothing to do, and have slots since the level moved in the last Decide: ask for them now, each
  // once, in the order of their ids. Who takes nothing then has to be declined.
  std::vector<NodeId> TakeCalled();
  // It could have taken more, and did not: nobody counts on it until it is heard of.
  void Decline(NodeId node);

  // When it will have finished all that it was granted. Of one that is overdue nobody knows: as late again as it is by
  // now, and the cost of a micro-batch.
  Instant PredictedFinish(NodeId node, Instant now) const;
  // Nothing is free, and `idle` could compute a duplicate of a micro-batch of `owner`: would it be done first, before
  // any other worker could? The same rule, for a pool of one: else the slow, idle for long, would take the duplicates
  // from the fast, who will be idle in a moment.
  bool ShouldDuplicate(NodeId idle, NodeId owner, Instant now);

  // Entries that are kept of when workers become overdue: a few for each worker, however long this lives.
  size_t expiry_count() const { return expiries_.size(); }

 private:
  struct Worker {
    bool joined = false;
    bool counted = false;     // known speed, and not overdue
    int64_t cost_ns = 0;      // of a micro-batch; 0: not known
    int64_t outstanding = 0;  // micro-batches granted, not finished
    Instant started{};        // the first of them, as seen from here: its answer comes a cost later
    Instant expiry{};         // overdue from then on
    int64_t slots = 0;        // up to the level
  };
  using Expiry = std::pair<Instant, uint32_t>;

  Worker& At(NodeId node);
  const Worker& At(NodeId node) const;
  static Instant BusyUntil(const Worker& worker);
  Instant FreeAt(const Worker& worker) const;
  // Slots of a worker that end at `level` or before.
  int64_t CountSlots(const Worker& worker, Instant level) const;
  int64_t CountSlots(Instant level) const;
  void Update(Worker& worker);
  // It was heard of, or its cost has changed: counts on it, unless it is overdue.
  void Refresh(NodeId node, Instant now);
  void Expire(Instant now);
  // Where time stands still (a round that waits), none would ever be over.
  void DropVoidExpiries();
  int64_t ToleranceOf(int64_t pool_size) const;
  void MoveLevel(int64_t pool_size);

  std::vector<Worker> workers_;  // by node
  int64_t joined_count_ = 0;
  Instant now_{};
  Instant level_{};
  int64_t slots_ = 0;  // sum over workers
  std::vector<NodeId> called_;
  // When workers become overdue; an entry that no longer agrees with its worker is void.
  std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> expiries_;
};

}  // namespace eddl::net
