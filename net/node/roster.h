// Roster: what the manager knows of every node that ever joined: alive or not, what it is working on, how fast it is.
//
// Pure; one thread. Nodes are dense small integers, so that ten thousand of them cost no more than a vector.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/policy/failure_detector.h"
#include "net/policy/time_fit.h"
#include "runtime/base/time.h"

namespace eddl::net {

// Micro-batches that a node was told to compute as one batch, and has not answered for.
struct Lease {
  Version round{};
  Part part{};
  std::vector<MicroBatch> micro_batches;
  int64_t samples = 0;
  Version base{};         // it can't begin before this is committed
  Instant begin;          // when it is expected to, once it can
  Instant predicted_end;  // when the answer is expected, once it can
  Instant released{-1};   // granted, or what it waited for committed, with nothing to do before it; < 0: else
  bool waited = false;    // for a commit
  bool async = false;
  bool duplicate = false;  // of another node's
  bool probe = false;      // a duplicate only for the time that it takes
  bool doubled = false;    // another node computes it too
  bool cancelled = false;  // was told to give it up
  Instant cancelled_at;

  bool operator==(const Lease&) const = default;

  // For model checking; see digest.h.
  template <typename Digest>
  static void AddTo(Digest& digest, const Lease& lease) {
    const auto& [round, part, micro_batches, samples, base, begin, predicted_end, released, waited, async, duplicate,
                 probe, doubled, cancelled, cancelled_at] = lease;
    digest.Add(round, part, micro_batches, samples, base, waited, async, duplicate, probe, doubled, cancelled);
    digest.Omit(begin, predicted_end, released, cancelled_at);
  }
};

struct NodeRecord {
  enum class State : uint8_t {
    kAbsent,  // never joined, left, or fenced
    kLive,
    kDown,     // a leader whose connection is closed: may come back
    kLeaving,  // finishes what it has, gets nothing more
  };
  // Parts of one open round.
  struct Parts {
    Part open{};         // what the next lease belongs to, unless `ended`
    bool ended = false;  // was told to push
    uint32_t used = 0;   // parts given so far
  };

  State state = State::kAbsent;
  Incarnation incarnation;
  Capabilities capabilities;
  bool paused = false;  // by its owner
  bool parked = false;  // by the planner
  bool asleep = false;  // was told that there is no work for it: it gets no versions until its next lease
  Instant down_since;
  bool closed = false;     // its last life ended with its connection, which did not come back; else it fell silent
  int32_t strikes = 0;     // what it did wrong: damaged or non-finite contributions
  int32_t missed = 0;      // reminders in a row at which some leader missed its push
  int32_t missed_at = -1;  // the last of them

  std::vector<Lease> leases;  // in the order of granting
  std::map<Version, Parts> parts;
  uint32_t async_parts = 0;  // given so far in this life
  Version oldest_base{};     // leaders publish nothing older to it
  bool is_behind = false;    // async: its last result was too old; nothing more before the next commit or tick

  // While a view is being agreed on.
  bool acked = false;
  std::vector<Held> held;
  View held_view{};
  std::vector<CommitRecord> records;

  bool loading = false;  // by its last Beat of this view it has no shard, or not yet

  // Measured.
  TimeFit fit;
  FailureDetector heartbeat;
  double up_bytes_per_second = 0;
  double down_bytes_per_second = 0;
  Duration round_trip;
  // From a grant, or from the commit that it waited for, to the answer, beyond computing: what travelling takes.
  Duration grant_lag;
  Duration commit_lag;
  Version computed_on{};  // the newest version
  Instant granted_at;     // the last lease
  Instant answered_at;    // the last lease
  int64_t micro_batches_done = 0;
  // Before its speed is known: it is given nothing before `rest_until`, since so many leases in a row came to nothing.
  Instant rest_until;
  int64_t unready = 0;

  // All that its future depends on, for model checking; see digest.h.
  template <typename Digest>
  static void AddTo(Digest& digest, const NodeRecord& node) {
    const auto& [state, incarnation, capabilities, paused, parked, asleep, down_since, closed, strikes, missed,
                 missed_at, leases, parts, async_parts, oldest_base, is_behind, acked, held, held_view, records,
                 loading, fit, heartbeat, up_bytes_per_second, down_bytes_per_second, round_trip, grant_lag, commit_lag,
                 computed_on, granted_at, answered_at, micro_batches_done, rest_until, unready] = node;
    // Of who is away: whether it was ever here in this life of the manager, and what is remembered when it comes back.
    digest.Add(state, incarnation == Incarnation{}, closed, strikes, missed_at, micro_batches_done > 0, fit.empty());
    digest.Omit(down_since, heartbeat, up_bytes_per_second, down_bytes_per_second, round_trip, grant_lag, commit_lag,
                granted_at, answered_at, rest_until, unready);
    digest.Omit(computed_on);  // for looks at slow devices, and for times
    if (state == State::kAbsent) return;
    digest.Add(incarnation, capabilities, paused, parked, asleep, missed, leases, parts, async_parts, oldest_base,
               is_behind, acked, held, held_view, records, loading);
  }

  // Has something that it can compute, `version` being the newest committed one.
  bool busy(Version version) const {
    return std::any_of(leases.begin(), leases.end(), [version](const Lease& lease) { return lease.base <= version; });
  }
  // The way there and back: as the node measured it, or as leases have shown it until then.
  Duration RoundTrip() const { return round_trip.ns > 0 ? round_trip : grant_lag; }
  // What a lease takes beside its samples: the way there and back, and what the device needs for any.
  Duration LeaseOverhead() const { return RoundTrip() + Seconds(fit.line().fixed_seconds); }
  bool present() const { return state == State::kLive || state == State::kLeaving; }
  bool can_work() const { return state == State::kLive && capabilities.can_work && !paused && !parked; }
};

class Roster {
 public:
  // Grows as needed. REQUIRES: not the manager's id.
  NodeRecord& At(NodeId node);
  const NodeRecord* Find(NodeId node) const;
  NodeRecord* Find(NodeId node);

  // Ids that exist are in [1, end).
  NodeId end() const { return NodeId{static_cast<uint32_t>(nodes_.size())}; }
  // Those that are present, in order.
  std::vector<NodeId> Present() const;
  // Present ones that may be given leases by their capabilities, paused and parked ones included.
  std::vector<NodeId> Workers() const;

  // All that its future depends on, for model checking; see digest.h.
  template <typename Digest>
  void AddTo(Digest& digest) const {
    const auto& [nodes] = *this;
    digest.AddUnordered(nodes, [first = nodes.data()](Digest& part, const NodeRecord& node) {
      part.Add(NodeId{static_cast<uint32_t>(&node - first)}, node);
    });
  }

 private:
  std::vector<NodeRecord> nodes_{1};  // the first is never used
};

}  // namespace eddl::net
