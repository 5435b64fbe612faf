// Round: one round's pool of micro-batches, who has which, and whose sums make the round whole.
//
// Not in charge of who should get what (LeaseGate), nor of what survives a round (Ledger). Pure; one thread.
//
// A contribution is one (node, part): the sum over micro-batches that will be pushed as one. Every micro-batch is owned
// by at most one contribution at any time, so that the owned sets are disjoint; when nothing is free and all that is
// leased is finished, they cover the pool exactly: no search for a cover. A duplicate of a slow lease is its own part.
// It owns nothing until the first owner has confirmed that its sum will not contain them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "net/ids.h"
#include "net/messages.h"
#include "net/plan.h"
#include "runtime/base/time.h"

namespace eddl::net {

class Round {
 public:
  // One node's part, and how far it is.
  struct Contribution {
    Incarnation incarnation;
    Version base{};
    int64_t leased = 0;  // micro-batches granted, not finished
    int64_t finished = 0;
    int64_t samples = 0;  // of finished ones
    uint64_t cover = 0;   // CoverHash of finished ones
    bool last = false;    // told to push when what is leased is finished

    bool operator==(const Contribution&) const = default;
  };
  using Key = std::pair<NodeId, Part>;

  // `pool`: sorted; all free. `base`: what leases compute on.
  Round(Version round, Version base, RoundRule rule, std::vector<MicroBatch> pool);

  Version round() const { return round_; }
  Version base() const { return base_; }
  const RoundRule& rule() const { return rule_; }
  const std::vector<MicroBatch>& pool() const { return pool_; }
  int64_t free_count() const { return free_count_; }
  int64_t finished_count() const { return finished_count_; }
  const absl::btree_map<Key, Contribution>& contributions() const { return contributions_; }
  // Every micro-batch is finished.
  bool whole() const { return finished_count_ == static_cast<int64_t>(pool_.size()); }

  // Takes up to `count` free micro-batches for (node, part), lowest first, those only that the node may have.
  std::vector<MicroBatch> Lease(NodeId node, Incarnation incarnation, Part part, int64_t count,
                                const std::function<bool(MicroBatch)>& may_have);
  // Leases are finished; `samples` in all. REQUIRES: owned by (node, part) and leased.
  void Finish(NodeId node, Part part, std::span<const MicroBatch> mbs, int64_t samples);
  // Leases are given up: free again. REQUIRES: owned by (node, part) and leased.
  void GiveUp(NodeId node, Part part, std::span<const MicroBatch> mbs);
  // The first owner gave them up, and a finished duplicate takes its place. REQUIRES: free.
  void Replace(NodeId node, Incarnation incarnation, Part part, std::span<const MicroBatch> mbs, int64_t samples);
  // The node is gone, and all its sums with it: what it owned is free again. True if it owned anything.
  bool Remove(NodeId node);
  // A micro-batch is poisonous: the round goes on without it. REQUIRES: free.
  void Drop(MicroBatch mb);
  // Async: adds a finished contribution; its micro-batches join the pool.
  void Add(NodeId node, Part part, Contribution contribution, std::span<const MicroBatch> mbs);
  void MarkLast(NodeId node, Part part);

  // Who holds it and whether it is finished; nothing if it is free or not in the pool.
  std::optional<Key> OwnerOf(MicroBatch mb) const;
  bool IsLeased(MicroBatch mb) const;
  bool IsFree(MicroBatch mb) const;
  std::vector<MicroBatch> FreeOnes() const;
  // The node has a contribution.
  bool Owns(NodeId node) const;

  // All contributions that own something, sorted.
  std::vector<Contributor> Contributors() const;
  // Sums over them.
  int64_t samples() const;
  uint64_t cover() const;

  // Contributions have come or gone since the last call: for ends of parts, and for Close.
  bool TakeChanged() { return std::exchange(changed_, false); }
  bool TakeUntold() { return std::exchange(untold_, false); }
  size_t expected_count() const { return contributions_.size(); }

  // All that its future depends on, but for what is kept by shard, for model checking.
  template <typename Digest>
  static void AddTo(Digest& digest, const Round& one) {
    const auto& [attempt, staged, staged_count, answered, reminders, closed_at, whole_at, loss_sum, loss_samples, round,
                 base, rule, pool, entries, free_count, finished_count, lowest_free, contributions, changed, untold] =
        one;
    digest.Add(attempt, staged_count, reminders, round, base, rule, pool, contributions, changed, untold);
    digest.AddUnordered(entries, [first = entries.data(), &mbs = pool](Digest& part, const Entry& entry) {
      part.Add(mbs[static_cast<size_t>(&entry - first)], entry.state, entry.node, entry.part);
    });
    digest.Omit(staged, answered);  // the manager's, by shard
    digest.Omit(closed_at, whole_at, loss_sum, loss_samples, free_count, finished_count, lowest_free);
  }

  // The exchange, kept by the manager.
  uint32_t attempt = 0;                       // that leaders were told last; 0: not closed
  std::vector<std::optional<Staged>> staged;  // by shard, for `attempt`
  size_t staged_count = 0;
  std::vector<bool> answered;  // by shard, since the last reminder
  int32_t reminders = 0;
  Instant closed_at{};
  Instant whole_at{};
  // Of what its owners finished: for progress, not for what is committed.
  double loss_sum = 0;
  int64_t loss_samples = 0;

 private:
  enum class State : uint8_t { kFree, kLeased, kFinished };
  struct Entry {
    State state = State::kFree;
    NodeId node{};
    Part part{};

    bool operator==(const Entry&) const = default;
  };

  void NoteChange() { changed_ = untold_ = true; }
  size_t IndexOf(MicroBatch mb) const;  // pool_.size() if it is not in the pool
  Entry& At(MicroBatch mb);

  Version round_;
  Version base_;
  RoundRule rule_;
  std::vector<MicroBatch> pool_;  // sorted
  std::vector<Entry> entries_;    // beside pool_
  int64_t free_count_ = 0;
  int64_t finished_count_ = 0;
  size_t lowest_free_ = 0;  // nothing before it is free
  absl::btree_map<Key, Contribution> contributions_;
  bool changed_ = false;
  bool untold_ = true;
};

}  // namespace eddl::net
