// Worker: computes leases, keeps a sum of gradients for each part, pushes it to all leaders, and gathers what they
// publish.
//
// Part of Member, which checks views and incarnations. Pure; one thread.
//
// It computes only on a version that every leader of the map has published to it in this view. Leases wait in a queue
// until their base is here; so the first leases of the next round can come with the last of this one. A sum is kept
// until the version that it went into is here, since leaders may ask for it again.
//
// Test samples are computed while there is nothing to train on, which is so in every round while sums and parameters
// travel; where that never happens, one lease of them after every few that train. A lease whose rows are still to come
// holds up nobody. The version that is tested is kept until the manager says that its test is over.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/node/event.h"
#include "net/node/outbox.h"
#include "net/shard_map.h"

namespace eddl::net {

class Worker {
 public:
  explicit Worker(NodeId self) : self_(self) {}

  // A view starts. `same_history`: what this worker holds is of the view that the new one follows.
  void Begin(const ShardMap& map, Version version, bool same_history, Outbox& out);
  // A view ends: leases and sums are void; complete versions stay.
  void Stop(Outbox& out);

  // Queues a lease, or ends a part.
  void OnGrant(const Grant& grant, Outbox& out);
  // Gives up a lease, if it is not finished.
  void OnCancel(const Cancel& cancel, Outbox& out);
  // The part counts, and in which round: pushes it.
  void OnAssign(const Assign& assign, Outbox& out);
  // The part does not count.
  void OnDrop(const Drop& drop, Outbox& out);
  // Adds the result to its part, tells the manager, and goes on with the next lease.
  void OnLeaseFinished(const LeaseFinished& finished, Outbox& out);
  // Rows of a lease of test samples are on their way, or here.
  void OnTestRows(const TestRows& rows, Outbox& out);
  // There is no work for it: asks for no more versions, until a lease comes.
  void OnLeave(Outbox& out);
  // A shard of a version; with the last of them the version can be computed on.
  void OnPublish(NodeId from, const Publish& publish, Outbox& out);
  // Pushes that part to that leader again.
  void OnNack(NodeId from, const Nack& nack, Outbox& out);
  // A connection is up again: pushes may have been lost on it, and publishes.
  void OnPeerUp(NodeId peer, Outbox& out);

  // Nothing is queued, in computation, or unpushed.
  bool idle() const;
  // The lease that it would compute next, as in Compute, if `soon` were complete, and nothing else happens before; none
  // if it has none on that version, or tests next.
  std::optional<Grant> NextOn(Version soon) const;
  // The same, if it computes nothing now. A driver may begin it with the numbers that are here: it counts once it is
  // asked for.
  std::optional<Grant> LeaseAfter(Version soon) const { return computing_ ? std::nullopt : NextOn(soon); }
  // The newest complete version; kNoVersion before the first.
  Version version() const { return complete_.empty() ? kNoVersion : complete_.back(); }

  // All that its future depends on, for model checking; see digest.h.
  template <typename Digest>
  void AddTo(Digest& digest) const {
    const auto& [names, self, map, queue, computing, abandoned, asleep, sums, complete, held, kept, trained_in_a_row,
                 fetching, incoming] = *this;
    digest.Add(self, map, queue, computing, abandoned, asleep, sums, complete, held, kept, trained_in_a_row, fetching);
    digest.Omit(names);
    digest.AddUnordered(incoming, [this](Digest& version, const auto& entry) {
      version.Add(entry.first);
      version.AddUnordered(map_.shards, [&](Digest& part, const Shard& shard) {
        part.Add(shard.leader, entry.second[*map_.LedBy(shard.leader)]);
      });
    });
  }

 private:
  using Key = std::pair<Version, Part>;

  // The sum over one part's finished leases.
  struct Sum {
    Payload payload{};  // 0 until the first merge
    Version base{};
    uint64_t cover = 0;
    int64_t samples = 0;
    int64_t unfinished = 0;  // leases queued or in computation
    bool last = false;
    bool on_assign = false;  // kept until Assign or Drop
    bool pushed = false;
    Version into{};  // the round that it is pushed for
  };

  void ComputeNext(Outbox& out);
  void PushIfReady(Key key, Outbox& out);
  void PushTo(NodeId leader, Key key, Outbox& out);
  // A lease of a later round ends the parts of earlier ones: nobody needs to say so.
  void EndPartsBefore(Version round, Outbox& out);
  void AdoptIfComplete(Version version, Outbox& out);
  // What the lease can be computed on, if those versions are complete: now, those of complete_.
  std::optional<Version> BaseFor(const Grant& grant, const std::vector<Version>& complete) const;
  std::optional<Version> BaseFor(const Grant& grant) const { return BaseFor(grant, complete_); }
  // What to compute next of queue_, if those versions are complete; end() if nothing. Sets whether a test could be.
  std::vector<Grant>::const_iterator PickNext(const std::vector<Version>& complete, bool& has_test) const;
  // A version is to be tested, or its test is over.
  void KeepForTest(const Grant& grant, Outbox& out);
  bool IsKept(Version version) const { return std::find(kept_.begin(), kept_.end(), version) != kept_.end(); }
  bool IsFetching(const Grant& grant) const;
  // Leases on versions that will never be here are given up: those of tests.
  void GiveUpTests(bool all_waiting, Outbox& out);
  // Forgets what is not needed any more.
  void DiscardOld(Outbox& out);

  PayloadNames names_{2, 2};
  NodeId self_;
  ShardMap map_;
  std::vector<Grant> queue_;
  std::optional<Grant> computing_;
  bool abandoned_ = false;  // what is being computed is void
  bool asleep_ = false;     // gets no versions
  std::map<Key, Sum> sums_;
  std::vector<Version> complete_;   // at most two, oldest first
  std::vector<Version> held_;       // complete versions that the driver has: those of complete_ and kept_, across views
  std::vector<Version> kept_;       // to be tested, here or still to come
  int64_t trained_in_a_row_ = 0;    // leases, while one of test samples could have been computed
  std::vector<TestRows> fetching_;  // rows that are not here yet, of leases of test samples
  std::map<Version, std::vector<std::optional<Payload>>> incoming_;  // by shard of the map
};

}  // namespace eddl::net
