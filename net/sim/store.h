// Store: the bytes of one node: payloads, the versions that its worker computes on, the stripes that it leads or backs
// up with their optimizer state, and accumulators. Carries out what the core asks of a driver.
//
// In timing mode the numbers are left out and origins are kept (Buffer), which costs little enough for ten thousand
// nodes. Whatever the core asks for that is not there is a bug of the core or of this driver, and a check. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "net/messages.h"
#include "net/node/event.h"
#include "net/policy/evaluation.h"
#include "net/policy/ledger.h"
#include "net/shard_map.h"
#include "net/sim/buffer.h"
#include "net/sim/scenario.h"
#include "net/sim/task.h"

namespace eddl::net::sim {

// What all stores of a run have in common.
struct StoreContext {
  const Task* task = nullptr;      // null in timing mode
  const Ledger* ledger = nullptr;  // only to say which samples a micro-batch is
  uint32_t stripe_count = 1;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double momentum = 0.9;
  bool exact = false;
  double noise_scale = 1000;  // timing mode: φ that norms of gradients are made from
  uint64_t seed = 1;
  TestSet test;
};

class Store {
 public:
  explicit Store(const StoreContext& context) : context_(&context) {}

  // Payloads.
  void Put(Payload payload, BufferRef buffer);
  BufferRef Get(Payload payload) const;
  bool Has(Payload payload) const;
  void Release(Payload payload);
  // Get and Release.
  BufferRef Take(Payload payload);
  size_t payload_count() const { return payloads_.size(); }
  // These stripes of a gradient sum over all, as the codec brings them.
  BufferRef Slice(const BufferRef& sum, std::span<const StripeRange> stripes, Codec codec) const;
  // The same bytes as the codec brings them.
  static BufferRef Encode(const BufferRef& buffer, Codec codec);

  // Worker.
  // Sums over these test samples. In timing mode they say which samples and which history went in: `loss` is the sum of
  // the samples' numbers, counted from 1, and whether a sample is `correct` depends on it and on the lineage.
  static TestSums Test(const StoreContext& context, const Buffer& base, std::span<const MicroBatch> mbs);
  // Gradient sums of the lease; fills what `done` says of the result. Null: an evaluation.
  std::shared_ptr<Buffer> Compute(const Grant& grant, const BufferRef& base, Done& done) const;
  BufferRef Base(Version version) const;
  void Merge(Payload sum, Payload payload);
  // The shards that were put together, for a check that they belong together; null: taken from what was here.
  std::vector<BufferRef> Adopt(const eddl::net::Adopt& action);
  void Discard(Version version);

  // Leader and backup.
  void Fold(Version round, Payload payload);
  void ClearFold(Version round);
  // `fraction`: of all parameters that the node leads, for the norm in timing mode.
  Sealed Seal(const eddl::net::Seal& action, double fraction) const;
  // What is folded for a round; null if nothing is.
  BufferRef AccumulatorOf(Version round) const;
  // What a step took and made.
  struct Step {
    BufferRef gradient;
    Lineage before{};
    Lineage after{};
    bool whole = true;  // every stripe had the version that the step starts from, with one lineage
  };
  Step Apply(const eddl::net::Apply& action, std::span<const StripeRange> stripes);
  Step ApplyBackup(const eddl::net::ApplyBackup& action, std::span<const StripeRange> stripes);
  void Rollback(Version version);
  void Forget(std::span<const StripeRange> stripes);
  void Snapshot(const eddl::net::Snapshot& action);
  void Export(const eddl::net::Export& action, std::span<const StripeRange> stripes);
  void Load(const eddl::net::Load& action);

  // Stripes that are here, as one buffer. REQUIRES: they are.
  BufferRef Gather(Version version, std::span<const StripeRange> stripes, bool with_moments) const;
  // A stripe's state at a version; null if it is not here.
  BufferRef StripeAt(Stripe stripe, Version version) const;

 private:
  using StripeVersions = std::vector<BufferRef>;  // oldest first; two, and one more for a moment

  bool learns() const { return context_->task != nullptr; }
  // Where a stripe begins in the flat vector.
  size_t BeginOf(uint32_t stripe) const;
  void PutStripe(uint32_t stripe, BufferRef state);
  BufferRef InitialState(uint32_t stripe) const;
  Step StepAll(const CommitRecord& record, std::span<const StripeRange> stripes, BufferRef gradient);
  // `gradient`: numbers of this stripe.
  Buffer StepOne(const CommitRecord& record, uint64_t cover, const Buffer& before,
                 std::span<const double> gradient) const;

  // Payloads and versions are few at any time: a search from the newest beats a table.
  struct Named {
    Payload payload{};
    BufferRef buffer;
  };
  std::vector<Named>::const_iterator Find(Payload payload) const;
  std::vector<BufferRef>::const_iterator FindAdopted(Version version) const;

  const StoreContext* context_;
  std::vector<Named> payloads_;          // in no order
  std::vector<BufferRef> adopted_;       // in no order
  std::vector<StripeVersions> stripes_;  // by stripe; empty until the node first leads or backs up
  std::map<Version, std::shared_ptr<Buffer>> accumulators_;
};

}  // namespace eddl::net::sim
