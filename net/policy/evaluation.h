// Evaluation: how one version does on the test samples: which of them are counted, and who works on the others.
//
// Pure; one thread. A test sample is counted exactly once: a lease that is granted again, since all who have it are
// slow, counts when the first of them answers, and never again. Who tested a sample the last time is asked first, for
// it has the row.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "net/ids.h"
#include "runtime/base/time.h"

namespace eddl::net {

// The test samples in their order, cut into micro-batches: number m has the samples from m * size on. A pure value.
struct TestSet {
  int64_t sample_count = 0;
  int64_t micro_batch_size = 32;  // > 0

  bool operator==(const TestSet&) const = default;

  int64_t micro_batch_count() const { return (sample_count + micro_batch_size - 1) / micro_batch_size; }
  // REQUIRES here and below: micro-batches below micro_batch_count().
  int64_t SampleCount(MicroBatch mb) const;
  int64_t SampleCount(std::span<const MicroBatch> mbs) const;
  std::vector<int64_t> Samples(MicroBatch mb) const;
};

// Sums over test samples.
struct TestSums {
  double loss = 0;
  int64_t correct = 0;
  int64_t samples = 0;

  bool operator==(const TestSums&) const = default;
};

class Evaluation {
 public:
  // `tested_by`: for each micro-batch who tested it the last time, kManager if nobody did; empty: nobody. `began`: now.
  Evaluation(Version version, const TestSet& set, std::vector<NodeId> tested_by, Instant began = {});

  Version version() const { return version_; }
  Instant began() const { return began_; }
  const TestSums& sums() const { return sums_; }
  bool finished() const { return sums_.samples == set_.sample_count; }
  const std::vector<NodeId>& tested_by() const { return tested_by_; }

  // The manager tests it itself, all of it, whatever members still answer.
  void TestHere() { here_ = true; }
  bool here() const { return here_; }
  // It does not have the version, or can't say anything of it: gets no lease any more.
  void Exclude(NodeId node) { excluded_.insert(node); }
  bool IsExcluded(NodeId node) const { return excluded_.contains(node); }

  // Up to `count` micro-batches that nobody works on; empty: there are none. Those of the last time first, and no
  // others' among those as long as there are samples that nobody has.
  std::vector<MicroBatch> Lease(NodeId node, int64_t count, Instant patience_end);
  // The oldest lease whose patience is over, once more, if only others have it, and the last of them for as long as
  // that: also two of them may stand still, such as those that their owners use.
  std::vector<MicroBatch> LeaseAgain(NodeId node, Instant now, Instant patience_end);
  int64_t LeaseCount(NodeId node) const;
  // Whether that is a lease of the node. Any micro-batches.
  bool Has(NodeId node, std::span<const MicroBatch> mbs) const;
  // The node has answered for a lease. false: it has no such lease. `others`: who works on the same in vain now.
  bool Finish(NodeId node, std::span<const MicroBatch> mbs, double loss, int64_t correct, std::vector<NodeId>& others);
  // The node gives a lease back. false: it has no such lease.
  bool GiveUp(NodeId node, std::span<const MicroBatch> mbs);
  // All that it has is given back.
  void Drop(NodeId node);
  void DropAll();

  // All that its future depends on, for model checking.
  template <typename Digest>
  void AddTo(Digest& digest) const {
    const auto& [version, began, set, sums, here, states, lowest_free, tested_by, leases, excluded] = *this;
    // The loss is the sum over what is counted, rounded in this order or that.
    digest.Add(version, sums.correct, sums.samples, here, excluded, states.size(), leases.size());
    for (size_t i = 0; i < states.size(); ++i) digest.Add(states[i], tested_by[i]);
    // In their order: the oldest is granted again first.
    for (const auto& [node, micro_batches, patience_end, granted_again] : leases) {
      digest.Add(node, micro_batches, granted_again);
      digest.Omit(patience_end);
    }
    digest.Omit(began, set, lowest_free);
  }

 private:
  enum class State : uint8_t { kFree, kLeased, kCounted };
  struct Granted {
    NodeId node{};
    std::vector<MicroBatch> micro_batches;
    Instant patience_end;
    bool granted_again = false;  // somebody else got the same later
  };

  std::vector<Granted>::const_iterator Find(NodeId node, std::span<const MicroBatch> mbs) const;
  // Ends the lease; its micro-batches are free, unless they are counted or others have them, too.
  void GiveBack(std::vector<Granted>::const_iterator lease);

  Version version_{};
  Instant began_;
  TestSet set_;
  TestSums sums_;
  bool here_ = false;
  std::vector<State> states_;      // by micro-batch
  int64_t lowest_free_ = 0;        // nothing before it is free
  std::vector<NodeId> tested_by_;  // by micro-batch
  std::vector<Granted> leases_;    // in the order of granting
  std::set<NodeId> excluded_;
};

}  // namespace eddl::net
