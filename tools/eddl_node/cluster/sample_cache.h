// SampleCache: rows of the training set on a member: fetched from the manager when a lease needs them, and ahead of
// that; kept on disk (row_file.h), so that a device that comes back has them.
//
// Leased rows come first, then those that were prefetched, then the rest in the order of the data. What is here is not
// fetched again. Above the limit, the rows that were read longest ago give way to those of a lease; the background
// fills free places only. A disk that is full, or can't be written, costs the cache, not the training: rows are kept in
// memory then, as many as fit in a small limit, and the disk is tried again now and then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/eddl_node/cluster/fetch_pool.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/sample_service.h"

namespace eddl::cluster {

struct SampleCacheOptions {
  std::string folder;       // of this device's caches
  std::string fingerprint;  // of the data set: names the cache
  int64_t sample_count = 0;
  int64_t row_bytes = 0;
  bool fetch_all = true;    // rows that nobody has asked for are fetched, too, when there is nothing else to do
  int64_t limit_bytes = 0;  // on disk, of all data sets together; 0: memory only
  int64_t memory_bytes = int64_t{32} << 20;  // of rows that the disk does not take; at least one row is kept
  // The disk takes no more, or the manager answers with an error that does not pass by itself. Each is told once, from
  // any thread.
  std::function<void(const std::string&)> on_trouble = {};
  absl::Duration retry_min = absl::Milliseconds(100);  // before a failed fetch is tried again, doubled up to
  absl::Duration retry_max = absl::Seconds(5);         // this; each pause is drawn from its upper half
  absl::Duration disk_retry = absl::Seconds(60);       // before a disk that failed is tried again
};

class SampleCache : public SampleSource {
 public:
  // `fetch` is called from the pool's threads, one call at a time; it is tried again for as long as the node lives: a
  // manager may be restarting. An answer that can't be right (kDataLoss, kInvalidArgument), or is for other data
  // (kFailedPrecondition), is the error of the Read that waits for those rows. kInvalidArgument: a fingerprint that is
  // no name of a file, or sizes out of range. `pool`: shared by all caches of a node; null: the cache has one thread
  // for itself.
  static absl::StatusOr<std::unique_ptr<SampleCache>> Open(const SampleCacheOptions& options, SampleFetcher fetch,
                                                           std::shared_ptr<FetchPool> pool = nullptr);

  // Rows that are here now, on disk or in memory, as far as one knows before they are read.
  virtual int64_t row_count() const = 0;
  // Rows that came from the manager so far.
  virtual int64_t fetched_count() const = 0;
};

}  // namespace eddl::cluster
