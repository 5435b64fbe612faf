// Checkers: the promises of the protocol, watched from outside while a run goes on. The first that breaks ends the run.
//
//   I1  every sample has the same weight: the gradient is scaled by 1 / samples, counts are right, one step a round
//   I2  every sample is used exactly once an epoch
//   I3  no gradient is older than its round's rule allows
//   I4  no commit is lost that was stable, none is torn: all stripes of a version had the same steps; whoever is let go
//       does not hold the last copy of one that is not on the manager's disk
//   I7  while somebody can work, rounds go on
//   I8  nothing damaged is taken in
//   I9  nothing of a fenced life is taken in
//   I10 what a node owns, nobody else is told to compute
//   I11 a test counts every test sample of its version exactly once, and versions in order; the last version is tested
//   I12 each epoch's end is told, once it is on disk never again by the same manager, and tested
//
// What was used is known from the origins that travel with the bytes (Buffer), not from what messages or the ledger
// say. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/messages.h"
#include "net/policy/ledger.h"
#include "net/sim/buffer.h"
#include "net/sim/record.h"
#include "net/sim/store.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class Checkers {
 public:
  struct Options {
    bool clipped = false;  // the gradient may be scaled down further
    double progress_seconds_max = 60;
    int64_t epoch_count = 0;  // of the job
    int64_t test_count = 0;   // test samples; 0: nothing is tested
    bool learns = false;      // numbers are real, and rounded where the codec rounds
  };

  // `ledger` only says which samples a micro-batch is. It outlives the checkers.
  Checkers(const Ledger& ledger, const Options& options) : ledger_(&ledger), options_(options) {}

  // What the manager sends.
  // A round is closed, which was opened under this rule.
  void OnClose(Version round, const RoundRule& rule) { rules_[round] = rule; }
  void OnGrant(NodeId to, const Grant& grant);
  // `stable`: what the manager takes for stable by then.
  void OnCommit(Instant now, const CommitRecord& record, Version stable);
  // `recoverable`: the newest version that was ever stable, or a later one, is held completely by nodes that have
  // been in reach for so long that they could say so.
  void OnStart(View view, Version version, bool recoverable);
  // The job let a node go, with which the last copy of a stable version went.
  void OnLastHolderLeft(NodeId node, Version version, Version on_disk);
  Version stable() const { return stable_; }
  // A state with this lineage is the job's at that version.
  bool IsOfJob(Version version, Lineage lineage) const;

  // A test is over. `all`: sums over all test samples, if anybody had the version.
  void OnEvaluated(const Evaluated& evaluated, const TestSums* all);

  // What nodes do.
  void OnFence(NodeId leader, const Fence& fence);
  void OnFold(NodeId leader, const Buffer& part);
  void OnStep(NodeId node, View view, const CommitRecord& record, const Store::Step& step);
  void OnAdopt(NodeId node, View view, Version version, std::span<const BufferRef> shards);
  // Bytes that were damaged on the way are put to use.
  void OnTaken(NodeId node, const Buffer& buffer);
  // So many epochs are over; `final_count` of them were before, with a version that is on disk.
  void OnEpochsOver(const EpochsOver& over, int64_t final_count);
  // The next manager does not know which tests are over, of this version on its disk or of later ones.
  void OnManagerCrash(Version on_disk) {
    evaluated_ = std::min(evaluated_, on_disk);
    may_repeat_ = true;
  }
  // A life ends: what it had fenced is forgotten with it.
  void OnCrash(NodeId node) { fenced_.erase(node); }

  // Time: until then, faults may hold up progress.
  void OnDisturbance(Instant until) { calm_since_ = std::max(calm_since_, until); }
  void OnTime(Instant now, bool can_work);
  // The job says that it is finished. `epochs_tested`: whose end was.
  void OnFinished(Version version, int64_t left_out_samples, int64_t epochs_tested);

  struct Broken {
    std::string invariant;
    std::string what;
  };
  const std::optional<Broken>& broken() const { return broken_; }

 private:
  struct Standing {
    View view{};
    std::vector<MicroBatch> micro_batches;
    uint64_t cover = 0;
    int64_t samples = 0;
  };

  void Break(std::string invariant, std::string what);
  void CheckLineage(NodeId node, View view, Version version, Lineage lineage);

  const Ledger* ledger_;
  Options options_;
  std::optional<Broken> broken_;
  std::map<Version, RoundRule> rules_;   // of rounds whose commit can be undone
  std::map<Version, Standing> commits_;  // that can be undone
  std::map<MicroBatch, Version> used_;   // by those
  std::vector<uint32_t> settled_;        // by micro-batch: 1 + the round that used it, if that is stable
  View view_{};
  Version start_{};  // of the view
  Version stable_{};
  std::map<Version, Lineage> lineages_;
  std::map<NodeId, std::map<NodeId, Incarnation>> fenced_;  // by leader
  Instant last_commit_;
  Instant calm_since_;
  int64_t epochs_over_ = 0;  // as was told last
  Version evaluated_{};      // the newest version whose test is over
  bool may_repeat_ = false;  // a test that is over
};

}  // namespace eddl::net::sim
