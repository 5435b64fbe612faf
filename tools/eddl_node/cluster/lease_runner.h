// LeaseRunner: the thread that computes leases on this node's device.
//
// Takes computations in the order of asking, one at a time; waits for the samples' rows (SampleSource), if they do not
// come with the lease, puts the base
// version's parameters on the device if they are not there, runs forward and backward, and hands over the sum of
// gradients. Emulates a slower device where asked to (Pace). Everything but the callbacks may be called from the
// driver's thread only.
//
// A computation may begin while its parameters still arrive: each layer's forward pass waits for its own.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/node/event.h"
#include "net/policy/evaluation.h"
#include "net/policy/ledger.h"
#include "runtime/base/time.h"
#include "runtime/data/dataset.h"
#include "runtime/exec/parameter_feed.h"
#include "runtime/train/replica.h"
#include "tools/eddl_node/cluster/tensor_store.h"

namespace eddl::cluster {

// Where rows of the training set come from: the manager's data set itself, or a cache that is filled from it.
// Thread-safe.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  // Blocks until all these rows are here, or `cancelled` returns true (looked at a few times a second: kCancelled).
  // rows: [samples.size(), row bytes]; labels: [samples.size()].
  virtual absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows,
                            std::vector<int32_t>& labels, const std::function<bool()>& cancelled) = 0;
  // These will be read soon: leased ones first.
  virtual void Prefetch(std::span<const int64_t> samples) = 0;
  // All blocks that came to the job's first one so far, in order of rows. A source that has the rows anyway need not
  // know.
  virtual void SetBlocks(std::span<const net::DataBlock>) {}
};

// Rows of a data set that is here.
class DatasetSource final : public SampleSource {
 public:
  // The data set outlives the source.
  explicit DatasetSource(const Dataset& data) : data_(data) {}

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override;
  void Prefetch(std::span<const int64_t>) override {}

 private:
  const Dataset& data_;
};

// Each lease is computed for real, then held until a + c * samples seconds have passed since it began: a device of that
// speed, emulated.
struct Pace {
  double lease_seconds = 0;   // a
  double sample_seconds = 0;  // c
};

// What was read for a lease before its turn.
struct LeaseRows {
  std::vector<std::byte> rows;  // [samples, row bytes]
  std::vector<int32_t> labels;  // [samples]
};

struct LeaseRunnerOptions {
  net::LedgerOptions ledger;      // which samples a micro-batch is
  net::TestSet test;              // likewise, of the test samples
  SampleSource* tests = nullptr;  // their rows; outlives the runner; null: none come here
  uint64_t seed = 1;              // of dropout
  bool exact = false;             // each micro-batch alone, summed in fixed point
  int64_t device_batch = 0;  // samples on the device at once, but at least a micro-batch; 0: at most four micro-batches
  double cpu_limit = 0;      // fraction of the time that computing may take, by sleeping after each lease; 0: no limit
  std::optional<Pace> pace;
};

// What came of a computation. Called from the runner's thread.
struct LeaseResult {
  net::Done done;                       // as in LeaseFinished
  std::optional<GradientSum> gradient;  // none if cancelled, not finite or an evaluation
  Instant begin;                        // of `done.compute`
  Duration waited;                      // since then, for parameters; not counted in it
  Duration ahead;                       // it began so long before its parameters were all here
  absl::Status error;                   // the device or the data failed, or there is no such lease: `done` is cancelled
};

class LeaseRunner {
 public:
  // The replica and samples outlive the runner. Parameters beyond the shared part (frozen, constants) stay as they are
  // in the replica.
  LeaseRunner(Replica& replica, SampleSource& samples, const LeaseRunnerOptions& options,
              std::function<void(LeaseResult)> on_result);
  // Gives up what is under way and joins the thread.
  ~LeaseRunner();

  // `base`: [layout.gradient_end()], TensorStore::Base(grant.base). `rows`: of the lease's samples; null: they are read
  // in its turn.
  void Compute(const net::Grant& grant, std::shared_ptr<const std::vector<float>> base,
               std::shared_ptr<const LeaseRows> rows = nullptr);
  // The same of a base that is not all here yet: `arriving` fills up from its beginning, and `ready` elements of it are
  // here. Nothing comes of it unless it is confirmed. One at a time. REQUIRES: nothing else was asked for and not
  // answered, but what is abandoned.
  void ComputeAhead(const net::Grant& grant, std::shared_ptr<const std::vector<float>> arriving, int64_t ready);
  // So many elements are here by now.
  void SetReady(int64_t ready);
  // What began ahead was meant, and the vector is complete: as if Compute had been called.
  void ConfirmAhead();
  // It was not meant.
  void DropAhead();
  // Drops it from the queue, or stops it between micro-batches; its result is `cancelled` then, or finished if it was
  // too late. Every Compute ends in exactly one result, unless the runner ends before.
  void Abandon(const net::Abandon& action);
  // What came to the job's data so far, for all leases from now on. `ledger`: with these blocks.
  void SetLedger(const net::Ledger& ledger);
  // A paused runner begins no lease; what is abandoned is still answered.
  void SetPaused(bool paused);

 private:
  struct Request {
    net::Grant grant;
    std::shared_ptr<const std::vector<float>> base;
    std::shared_ptr<const LeaseRows> rows;  // shared with the thread's copy of the request
    bool ahead = false;                     // not confirmed yet
    bool abandoned = false;
  };
  // Writes the base to the device as it arrives.
  class Feed final : public ParameterFeed {
   public:
    Feed(LeaseRunner& runner, std::shared_ptr<const std::vector<float>> base)
        : runner_(runner), base_(std::move(base)) {}
    absl::Status Need(int64_t count) override;
    absl::Status NeedAll() { return Need(static_cast<int64_t>(base_->size())); }
    // When the first parameters were here, and the last ones that are; how long was waited in between.
    Instant begin() const { return begin_; }
    Instant end() const { return end_; }
    Duration waited() const { return waited_; }

   private:
    LeaseRunner& runner_;
    std::shared_ptr<const std::vector<float>> base_;
    int64_t written_ = 0;
    Instant begin_{};
    Instant end_{};
    Duration waited_{};
  };

  void Work();
  // Takes the next request; false: the runner ends.
  bool Begin();
  // `status`: what went wrong before.
  LeaseResult Run(const Request& request, absl::Status status);
  absl::Status CheckGrant(const net::Grant& grant) const;
  absl::Status ComputeLease(const Request& request, LeaseResult& result);
  absl::Status ReadRows(const Request& request);
  absl::Status WriteBase(const Request& request);
  // Waits until so many elements are here; returns how many are.
  absl::StatusOr<int64_t> AwaitReady(int64_t count);
  // Whether the result of the current request, which began ahead, is wanted: waits until that is known.
  bool AwaitConfirmed();
  // The request that began ahead, or will; null: there is none.
  Request* FindAhead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `feed`: null if all parameters are on the device.
  absl::Status Train(const net::Grant& grant, Feed* feed, LeaseResult& result);
  absl::Status Evaluate(const net::Grant& grant, LeaseResult& result);
  // Calls run(batch, epoch) for all that is in rows_, as much as the device should have at once. Ends early when the
  // lease is abandoned.
  absl::Status ForEachPiece(const net::Grant& grant,
                            const std::function<absl::Status(const BatchView&, int64_t epoch)>& run);
  // Of the set that the lease is of.
  int64_t CountSamples(const net::Grant& grant, net::MicroBatch mb) const;
  int64_t EpochOf(const net::Grant& grant, net::MicroBatch mb) const;
  // How many micro-batches from `begin` on are run as one batch.
  size_t PieceOf(const net::Grant& grant, size_t begin) const;
  // Waits until the lease has taken as long as it should, having begun at `begin`; ends early when it is abandoned.
  // Returns how long that was, without waiting for parameters (`feed`, or null).
  Duration Hold(Instant begin, const net::Grant& grant, const Feed* feed);
  bool IsAbandoned() const;
  bool CanBegin() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CurrentEnds() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || current_.abandoned; }
  bool IsReady() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ready_ >= needed_ || CurrentEnds(); }
  bool IsDecided() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !current_.ahead || CurrentEnds(); }

  Replica& replica_;
  SampleSource& samples_;
  const LeaseRunnerOptions options_;
  const std::function<void(LeaseResult)> on_result_;
  net::Ledger ledger_;                                   // the thread's
  std::vector<float> parameters_;                        // [layout.total()], as on the device
  std::shared_ptr<const std::vector<float>> on_device_;  // the base whose parameters they are
  std::vector<float> gradient_;                          // [layout.gradient_end()]
  std::vector<int64_t> indices_;                         // of the lease's samples, their rows and labels
  std::vector<std::byte> rows_;
  std::vector<int32_t> labels_;

  mutable absl::Mutex mutex_;
  std::deque<Request> queue_ ABSL_GUARDED_BY(mutex_);
  Request current_ ABSL_GUARDED_BY(mutex_);
  std::optional<net::Ledger> next_ledger_ ABSL_GUARDED_BY(mutex_);
  int64_t ready_ ABSL_GUARDED_BY(mutex_) = 0;   // elements of the base that arrives
  int64_t needed_ ABSL_GUARDED_BY(mutex_) = 0;  // so many are waited for
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace eddl::cluster
