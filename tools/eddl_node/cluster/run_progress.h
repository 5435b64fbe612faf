// RunProgress: loss, accuracy and rates of a cluster's run, from what workers say of leases and what is committed.
//
// Counts what was committed, not what was computed: a lease that was thrown away, or computed twice, counts as often as
// its samples are in the model. Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/node/event.h"
#include "net/policy/ledger.h"
#include "runtime/base/time.h"
#include "runtime/train/trainer.h"

namespace eddl::cluster {

class RunProgress {
 public:
  explicit RunProgress(const net::LedgerOptions& options);

  // Rows came to the training set.
  void Add(const net::DataBlock& block) { ledger_.Add(block); }
  // A worker finished a lease.
  void OnDone(Instant now, net::NodeId from, const net::Done& done);
  // The round is committed; the step's report. `epochs_done` by the manager's ledger: in async, rounds of two epochs
  // overlap.
  StepReport OnCommit(Instant now, const net::CommitRecord& record, int64_t epochs_done);
  // So many are over, be it without a commit: what is counted by epoch begins anew.
  void EndEpochs(int64_t epochs_done);
  // Sums over the samples of the last committed round whose leases were seen here.
  struct RoundSums {
    double loss = 0;
    int64_t correct = 0;
    int64_t samples = 0;
  };
  const RoundSums& last_round() const { return last_round_; }
  // Rounds from this version on are undone. REQUIRES: none below what KeepFrom said.
  void OnRollback(net::Version version);
  // Nothing below this version, of a checkpoint, is undone or asked for any more. Until a newer one, about 100 bytes
  // are kept of each round: less than the manager's own record of it takes.
  void KeepFrom(net::Version version);
  // From a journal, before anything else but its blocks.
  void Restore(const net::Started& started, double seconds);

  // Where the run stands at the newest committed version, or at the one asked for, which KeepFrom must have left.
  const TrainState& state() const { return state_; }
  std::optional<TrainState> StateAt(net::Version version) const;
  // Means over an epoch's committed samples so far.
  struct EpochMeans {
    double loss = 0;
    double accuracy = 0;
    int64_t samples = 0;
  };
  EpochMeans MeansOf(int64_t epoch) const;
  // Committed samples a second over the last kWindow; computed samples a second of one node.
  double SamplesPerSecond(Instant now) const;
  double SamplesPerSecond(net::NodeId node, Instant now) const;
  int64_t SamplesOf(net::NodeId node) const;
  // Leases that rates of nodes are counted from: of about two windows, whoever went.
  size_t recent_count() const;

  static constexpr Duration kWindow{10'000'000'000};

 private:
  struct Lease {
    double loss = 0;
    int64_t correct = 0;
    int64_t samples = 0;
  };
  struct Round {
    net::Version version{};
    TrainState before;
    int64_t epoch = 0;
    Lease sums;
  };
  struct Count {
    Instant at;
    int64_t samples = 0;
  };
  struct Node {
    int64_t samples = 0;
    std::deque<Count> recent;
    Instant since{-1};  // when its first lease began
  };
  static double Rate(const std::deque<Count>& recent, Instant now, Instant since);
  static void Forget(std::deque<Count>& recent, Instant now);
  // Of nodes that say nothing any more; now and then.
  void ForgetQuiet(Instant now);

  net::Ledger ledger_;  // only to tell epochs and their lengths
  TrainState state_;
  std::map<net::MicroBatch, Lease> leases_;  // by their first micro-batch; finished, not committed
  std::deque<Round> rounds_;                 // that may still be undone, in order
  net::Version kept_from_{};
  std::map<int64_t, Lease> epochs_;
  std::map<net::NodeId, Node> nodes_;
  RoundSums last_round_;
  std::deque<Count> committed_;
  Instant begin_{-1};          // the first commit
  Instant working_since_{-1};  // the first lease began
  Instant forgot_;             // what quiet nodes did
  double seconds_before_ = 0;
};

}  // namespace eddl::cluster
