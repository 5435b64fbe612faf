// SampleCache: rows of the training set on a member: fetched from the manager when a lease needs them, and ahead of
// that.
//
// Leased rows come first, then those that will be leased soon, then the rest in the order of the epochs. What is here
// is not fetched again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "net/policy/ledger.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/sample_service.h"

namespace eddl::cluster {

struct SampleCacheOptions {
  std::string folder;       // of caches
  std::string fingerprint;  // of the data set: names the cache
  int64_t sample_count = 0;
  int64_t row_bytes = 0;
  int64_t limit_bytes = 0;  // of rows on this device
  net::LedgerOptions ledger;
};

// The cache and its thread. `fetch` is called from that thread, one call at a time.
absl::StatusOr<std::unique_ptr<SampleSource>> OpenSampleCache(const SampleCacheOptions& options, SampleFetcher fetch);

}  // namespace eddl::cluster
