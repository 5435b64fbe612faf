// Ledger: which samples of which epoch are used, are in work, or are free. Each is used exactly once per epoch.
//
// Not in charge of who works on what (Round is). Pure; one thread.
//
// The samples come in blocks, the first with the job, others while it runs: used from the first epoch that has not
// begun by then. How an epoch's samples make micro-batches is EpochLayout's; ids go on from epoch to epoch, whatever
// their lengths. A micro-batch is
//
//   FREE → TAKEN (by an open round) → DONE (when that round commits) → permanent (when that commit is stable)
//
// and goes back to FREE when its round ends without it or is undone. QUARANTINED ones are given up as poisonous;
// DEFERRED ones can't be reached, since the only node that has their data is away. Both are counted, and an epoch ends
// without them. Memory: a byte per micro-batch of the open epochs, and the unstable commits as runs of micro-batches;
// of a closed epoch (all permanent, quarantined or deferred) only the counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "net/data_block.h"
#include "net/ids.h"
#include "net/policy/epoch_layout.h"

namespace eddl::net {

struct LedgerOptions {
  int64_t sample_count = 0;       // of the first block, which nobody owns; 0: there is none
  int64_t micro_batch_size = 32;  // samples, > 0
  int64_t epoch_count = 1;        // >= 0
  uint64_t seed = 0;

  bool operator==(const LedgerOptions&) const = default;
};

struct EpochCount {
  int64_t epoch = 0;
  int64_t done = 0;  // micro-batches
  int64_t quarantined = 0;
  int64_t deferred = 0;
  int64_t open = 0;  // free or taken
  int64_t samples_done = 0;

  bool operator==(const EpochCount&) const = default;
};

// What a journal says of an epoch that closed although not all of it was used: what is done, its records say.
struct ClosedEpoch {
  Version version{};  // the stable one when it closed: a start from an older one opens it again
  int64_t epoch = 0;
  int64_t quarantined = 0;  // micro-batches
  int64_t deferred = 0;

  bool operator==(const ClosedEpoch&) const = default;
};

class Ledger {
 public:
  explicit Ledger(const LedgerOptions& options);

  // Rows come: the rest of the block is filled in. Nothing changes in epochs that have begun. REQUIRES: CanAdd(block).
  void Add(const DataBlock& block);
  // It follows the rows that are here, and begins with an epoch of the job that has not begun.
  bool CanAdd(const DataBlock& block) const;
  // Where a block that comes now would begin; epoch_count: it is too late for one.
  int64_t next_epoch() const { return begun_end(); }
  // Epochs before it are closed: their counts are final.
  int64_t closed_end() const { return static_cast<int64_t>(closed_.size()); }
  const std::vector<DataBlock>& blocks() const { return blocks_; }
  int64_t row_count() const { return row_count_; }
  bool has_owners() const { return has_owners_; }

  // As far as is known now, of any epoch of the job.
  int64_t MicroBatchCount(int64_t epoch) const { return LayoutOf(epoch).layout.micro_batch_count(); }
  int64_t SampleCountOf(int64_t epoch) const { return LayoutOf(epoch).layout.sample_count(); }
  // Samples of all epochs before this one.
  int64_t SamplesBefore(int64_t epoch) const;
  // The job's micro-batches are [0, end).
  uint64_t micro_batch_end() const { return FirstOf(options_.epoch_count); }
  // Owners of the rows of an epoch, sorted; kManager: anybody may compute some of them.
  std::vector<NodeId> OwnersOf(int64_t epoch) const { return LayoutOf(epoch).layout.Owners(); }

  // From 0. REQUIRES: a micro-batch of the job.
  int64_t EpochOf(MicroBatch mb) const;
  // The only node that can compute it; kManager: anybody can.
  NodeId OwnerOf(MicroBatch mb) const;
  // Samples in it: micro_batch_size, but for an owner's last of an epoch.
  int64_t SampleCount(MicroBatch mb) const;
  // The samples, as rows: where nobody owns any, a slice of Fisher–Yates of Rng(DeriveSeed(seed, epoch)), as one device
  // uses. The first call for another epoch than the call before makes that epoch's order anew.
  std::vector<int64_t> Samples(MicroBatch mb) const;

  // Takes up to `count` free micro-batches of the earliest epoch that has any, lowest first; fewer only if that epoch
  // has fewer; so a pool never mixes epochs. Empty: everything is taken or done.
  std::vector<MicroBatch> Take(int64_t count);
  // Gives taken ones back. REQUIRES: taken.
  void Free(std::span<const MicroBatch> mbs);
  // A round is committed with these. REQUIRES: taken; rounds commit in order.
  void Commit(Version round, std::span<const MicroBatch> mbs);
  // As Commit, for the record of a journal: nobody took them in this life. REQUIRES: CanReplay; rounds commit in order.
  void Replay(Version round, std::span<const MicroBatch> mbs);
  // All are micro-batches of an epoch that has begun, or of the next few, and free.
  bool CanReplay(std::span<const MicroBatch> mbs) const;
  // The epoch had closed, says a journal: what is free in it is quarantined or deferred, and the commits below that
  // version are stable. Nothing if it is closed. REQUIRES: an epoch of the job; all records below the version are
  // replayed, epochs are given in order.
  void CloseAsItWas(const ClosedEpoch& closed);
  // Commits of rounds below `version` can no longer be undone.
  void MakeStable(Version version);
  // Undoes the commits of rounds >= version, and frees all that is taken. REQUIRES: version >= the stable one.
  void Rollback(Version version);
  // TAKEN → QUARANTINED, for good: a rollback leaves it.
  void Quarantine(MicroBatch mb);
  // FREE → DEFERRED; and back, when its owner is here again, unless its epoch is closed by then.
  void Defer(MicroBatch mb);
  void Reach(MicroBatch mb);
  // All of these owners' micro-batches are deferred, now and as they become free, and those of all others are not.
  // `owners`: sorted.
  void SetAway(std::vector<NodeId> owners);
  const std::vector<NodeId>& away() const { return away_; }

  bool finished() const;   // every epoch is done, but for what is quarantined or deferred
  bool all_taken() const;  // nothing is free in any epoch
  int64_t samples_done() const { return samples_done_; }  // committed, over all epochs
  Version stable() const { return stable_; }
  EpochCount Count(int64_t epoch) const;
  int64_t current_epoch() const;  // the earliest with something open; epoch_count when finished

  // "e1: 5 done, 2 taken, 3 free" for each open epoch, for tests and for people.
  std::string ToString() const;

  // All that its future depends on, for model checking.
  template <typename Digest>
  void AddTo(Digest& digest) const {
    const auto& [options, blocks, row_count, has_owners, away, stretches, samples_done, stable, closed, epochs,
                 unstable, order_epoch, order_owner, order] = *this;
    digest.Add(blocks, away, samples_done, stable, closed);
    uint64_t next = FirstOf(static_cast<int64_t>(closed.size()));
    for (const Epoch& epoch : epochs) {
      digest.AddUnordered(epoch.states, [&](Digest& part, State state) { part.Add(MicroBatch{next++}, state); });
    }
    for (const Run& run : unstable) {
      std::vector<MicroBatch> mbs;
      for (uint64_t mb = run.begin; mb < run.end; ++mb) mbs.push_back(MicroBatch{mb});
      digest.Add(run.round, mbs);
    }
    digest.Omit(options, row_count, has_owners, stretches);  // what the blocks say
    digest.Omit(order_epoch, order_owner, order);
  }

 private:
  enum class State : uint8_t { kFree, kTaken, kDone, kQuarantined, kDeferred };
  static constexpr size_t kStateCount = 5;

  struct Epoch {
    std::vector<State> states;
    int64_t counts[kStateCount] = {};
    int64_t lowest_free = 0;  // nothing before it is free
    int64_t unstable = 0;     // of those done
    int64_t samples_done = 0;

    int64_t count(State state) const { return counts[static_cast<size_t>(state)]; }
    int64_t& count(State state) { return counts[static_cast<size_t>(state)]; }
  };
  // Micro-batches [begin, end) of one epoch, committed by a round that is not stable.
  struct Run {
    Version round{};
    uint64_t begin = 0;
    uint64_t end = 0;
  };

  // Epochs from the layout's first one on, until the next one's, have equal lengths.
  struct Stretch {
    EpochLayout layout;
    uint64_t first_id = 0;       // of the first of them
    int64_t samples_before = 0;  // in all epochs before
  };

  int64_t begun_end() const { return static_cast<int64_t>(closed_.size() + epochs_.size()); }
  const Stretch& LayoutOf(int64_t epoch) const;
  const Stretch& StretchOf(MicroBatch mb) const;
  // The epoch's first micro-batch. `epoch` may be the one after the last.
  uint64_t FirstOf(int64_t epoch) const;
  int64_t PositionOf(MicroBatch mb, int64_t epoch) const { return static_cast<int64_t>(ToInt(mb) - FirstOf(epoch)); }
  // The state that it has while nobody works on it.
  State IdleState(const EpochLayout& layout, int64_t position) const;
  // Opens epochs up to this one. REQUIRES: it is not closed, and exists.
  Epoch& Open(int64_t epoch);
  void Move(int64_t number, int64_t position, State from, State to);
  void MoveAll(std::span<const MicroBatch> mbs, State from, State to);
  // Commits below are permanent, and epochs close in which nothing else is left.
  void CloseStable(Version version);
  void Record(Version round, std::span<const MicroBatch> mbs, State from);

  LedgerOptions options_;
  std::vector<DataBlock> blocks_;
  int64_t row_count_ = 0;
  bool has_owners_ = false;
  std::vector<NodeId> away_;
  std::vector<Stretch> stretches_;  // by first epoch, from 0; never empty
  int64_t samples_done_ = 0;
  Version stable_{};
  std::vector<EpochCount> closed_;  // epochs [0, closed_.size())
  std::vector<Epoch> epochs_;       // those after them that were touched
  std::vector<Run> unstable_;       // sorted by round

  // The order that Samples made last.
  mutable int64_t order_epoch_ = -1;
  mutable NodeId order_owner_ = kManager;
  mutable std::vector<int64_t> order_;
};

}  // namespace eddl::net
