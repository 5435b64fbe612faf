// Ledger: which samples of which epoch are used, are in work, or are free. Each is used exactly once per epoch.
//
// Not in charge of who works on what (Round is). Pure; one thread.
//
// An epoch is a permutation of the samples, cut into micro-batches of `micro_batch_size` samples; a tail shorter than
// half of that joins the micro-batch before it. Nothing is padded, nothing repeated. A micro-batch is
//
//   FREE → TAKEN (by an open round) → DONE(round), when that round commits → permanent, when its version is stable
//
// and goes back to FREE when its round ends without it or is undone. QUARANTINED ones are given up as poisonous;
// DEFERRED ones can't be reached, since the only node that has their data is gone. Both are counted, and an epoch ends
// without them. Memory: the open epochs only, a byte and a round number per micro-batch.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/ids.h"

namespace eddl::net {

struct LedgerOptions {
  int64_t sample_count = 0;       // > 0
  int64_t micro_batch_size = 32;  // samples, > 0
  int64_t epoch_count = 1;
  uint64_t seed = 0;
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

class Ledger {
 public:
  explicit Ledger(const LedgerOptions& options);

  int64_t micro_batches_per_epoch() const;
  int64_t EpochOf(MicroBatch mb) const;
  // Samples in it: micro_batch_size, but for the last of an epoch.
  int64_t SampleCount(MicroBatch mb) const;
  // The samples, as rows of the data set: a slice of Fisher–Yates of Rng(DeriveSeed(seed, epoch)), as one device uses.
  std::vector<int64_t> Samples(MicroBatch mb) const;

  // Takes up to `count` free micro-batches of the earliest epoch that has any, lowest first; fewer only if that epoch
  // has fewer; so a pool never mixes epochs. Empty: everything is taken or done.
  std::vector<MicroBatch> Take(int64_t count);
  // Gives taken ones back. REQUIRES: taken.
  void Free(std::span<const MicroBatch> mbs);
  // A round is committed with these. REQUIRES: taken.
  void Commit(Version round, std::span<const MicroBatch> mbs);
  // Commits of rounds below `version` can no longer be undone.
  void MakeStable(Version version);
  // Undoes the commits of rounds >= version, and frees all that is taken. REQUIRES: version >= the stable one.
  void Rollback(Version version);
  // Taken → QUARANTINED or back.
  void Quarantine(MicroBatch mb);
  // FREE → DEFERRED; and back, when its owner is here again.
  void Defer(MicroBatch mb);
  void Reach(MicroBatch mb);

  bool finished() const;         // every epoch is done, but for what is quarantined or deferred
  bool all_taken() const;        // nothing is free in any epoch
  int64_t samples_done() const;  // committed, over all epochs
  // The epochs that are not finished and permanent, and totals of those that are.
  EpochCount Count(int64_t epoch) const;
  int64_t current_epoch() const;  // the earliest with something open; epoch_count when finished

  // "e1: 5 done, 2 taken, 3 free" for tests and for people.
  std::string ToString() const;
};

}  // namespace eddl::net
