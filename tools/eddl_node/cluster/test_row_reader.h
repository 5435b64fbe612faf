// TestRowReader: reads the rows of granted leases of test samples on a thread of its own, so that the device trains on
// while they are fetched.
//
// One lease at a time, in the order of asking. Its rows are kept until they are taken, those of kLeasesKept leases at
// most: the oldest give way, and whoever computes that lease reads them again. Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/node/event.h"
#include "net/policy/evaluation.h"
#include "tools/eddl_node/cluster/lease_runner.h"

namespace eddl::cluster {

class TestRowReader {
 public:
  static constexpr size_t kLeasesKept = 16;

  // `source`: of the test samples; outlives the reader. `on_read`, from the reader's thread: a lease's rows are here,
  // or there is no use to wait for them any longer: it was dropped, or they can't be read, which whoever reads them
  // next is told.
  TestRowReader(SampleSource& source, const net::TestSet& set, std::function<void(const net::TestRows&)> on_read);
  // Gives up what is under way and joins the thread.
  ~TestRowReader();

  // Ends in exactly one call of on_read, unless Clear or the reader's end is before it. REQUIRES: micro-batches of the
  // set.
  void Read(const net::Grant& lease);
  // Once, if they are here; else null.
  std::shared_ptr<const LeaseRows> Take(const net::Grant& lease);
  // Nobody will compute this lease, or any on this version.
  void Drop(net::Version base, const std::vector<net::MicroBatch>& micro_batches);
  void Drop(net::Version base);
  // All leases are void.
  void Clear();

 private:
  struct Lease {
    net::TestRows name;
    std::shared_ptr<const LeaseRows> rows;  // once they are read; shared with the runner's request
    bool dropped = false;
  };

  void Work();
  // The next one to read; none: the reader ends.
  std::optional<net::TestRows> Begin();
  bool IsGivenUp();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !waiting_.empty(); }
  void DropIf(const std::function<bool(const net::TestRows&)>& is_meant);

  SampleSource& source_;
  const net::TestSet set_;
  const std::function<void(const net::TestRows&)> on_read_;
  absl::Mutex mutex_;
  std::deque<Lease> waiting_ ABSL_GUARDED_BY(mutex_);     // in the order of asking
  std::optional<Lease> reading_ ABSL_GUARDED_BY(mutex_);  // none: nothing is, or it was cleared
  std::deque<Lease> read_ ABSL_GUARDED_BY(mutex_);        // likewise
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace eddl::cluster
