// SampleCache: rows of the training set on a member: fetched from the manager when a lease needs them, and ahead of
// that; kept on disk, so that a device that comes back has them.
//
// Leased rows come first, then those that will be leased soon, then the rest in the order of the data. What is here is
// not fetched again. A file has slots of one row each, with its label and a CRC-32; a slot is trusted only when the sum
// is right, so what a crash left half-written is fetched again. Above the limit, the rows that were read longest ago
// give way to those of a lease; the background fills free slots only. A disk that is full costs the cache, not the
// training: rows are then fetched for each lease.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "net/policy/ledger.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/sample_service.h"

namespace eddl::cluster {

struct SampleCacheOptions {
  std::string folder;       // of caches
  std::string fingerprint;  // of the data set: names the cache
  int64_t sample_count = 0;
  int64_t row_bytes = 0;
  int64_t limit_bytes = 0;  // of the file; may be less than the data, down to nothing
  net::LedgerOptions ledger;
  std::function<void(const std::string&)> on_trouble = {};  // the disk takes no more: told once, from any thread
  absl::Duration retry_min = absl::Milliseconds(100);       // before a failed fetch is tried again, doubled up to
  absl::Duration retry_max = absl::Seconds(5);              // this; each pause is drawn from its upper half
};

// The cache and its thread. `fetch` is called from that thread, one call at a time; it is tried again for as long as
// the node lives: a manager may be restarting. An answer that can't be right (kDataLoss, kInvalidArgument) is the error
// of the Read that waits. kInvalidArgument: a fingerprint that is no name of a file, or sizes below 1. kUnavailable:
// too many nodes on this device share the folder. kFailedPrecondition: the folder or the file can't be made.
absl::StatusOr<std::unique_ptr<SampleSource>> OpenSampleCache(const SampleCacheOptions& options, SampleFetcher fetch);

}  // namespace eddl::cluster
