// Batch split: how many items each worker should take so that all are done as early as possible.
//
// Pure. A prediction, for planning and as an oracle: what workers really get is decided lease by lease (LeaseGate).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace eddl::net {

// Takes fixed_seconds + seconds_per_item x for x > 0 items, and no time for none.
struct SplitWorker {
  double fixed_seconds = 0;     // >= 0
  double seconds_per_item = 0;  // > 0
  int64_t items_max = INT64_MAX;
};

struct BatchSplit {
  std::vector<int64_t> items;  // of each worker, in their order; sums to the batch
  double seconds = 0;          // when the last one is done
};

// The split with the least `seconds`, among whole items; ties leave the item with the earlier worker.
// With t the time, worker i fits min(items_max, (t - fixed) / per item) items; the least t for which they all fit the
// batch is bisected, then the surplus is taken from whoever would finish last.
// kInvalidArgument: a time is out of range or beyond 10^18 s, items < 0, or items_max together are fewer than the
// batch.
absl::StatusOr<BatchSplit> SplitBatch(std::span<const SplitWorker> workers, int64_t items);

}  // namespace eddl::net
