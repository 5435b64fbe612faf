// Batcher: gathers the rows of an epoch's order into contiguous batches. Does not shuffle: the order is an argument.
//
// Used by one thread. Waits for rows that are still being decoded. Memory is reused: nothing is allocated after Create.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"

namespace eddl {

// A view of the batcher's memory. Empty at the end of the range.
struct Batch {
  std::span<const std::byte> rows;   // [size, sample shape], of the data set's dtype
  std::span<const int32_t> labels;   // [size]
  std::span<const int64_t> samples;  // [size]: positions in the data set, which dropout counts by
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

struct BatcherOptions {
  int64_t batch_size = 1;
  // A batch stays valid until this many more were asked for: 2 lets one be copied to a device while the next is
  // gathered.
  int64_t buffer_count = 2;
};

class Batcher {
 public:
  // `data` is borrowed. kInvalidArgument, naming both numbers, if the batch is not in [1, data.size()];
  // kResourceExhausted.
  static absl::StatusOr<Batcher> Create(const Dataset& data, const BatcherOptions& options);

  // Goes over order[begin, end) next; any position can be resumed at. `order` is borrowed until the range is done.
  // REQUIRES: 0 <= begin <= end <= order.size(); entries are positions in the data set.
  void Start(std::span<const int64_t> order, int64_t begin, int64_t end);
  // Goes over rows [begin, end) in their own order. REQUIRES: 0 <= begin <= end <= data.size().
  void StartInOrder(int64_t begin, int64_t end);

  // The next batch: full, but for the last, which holds what is left; then empty ones. Errors of Dataset::WaitFor.
  absl::StatusOr<Batch> Next();
  // Where the next batch begins.
  int64_t position() const { return position_; }

 private:
  struct Buffer {
    HostBytes rows;
    std::vector<int32_t> labels;
    std::vector<int64_t> samples;
  };
  Batcher(const Dataset& data, int64_t batch_size) : data_(&data), batch_size_(batch_size) {}

  const Dataset* data_;
  int64_t batch_size_;
  std::vector<Buffer> buffers_;
  size_t next_buffer_ = 0;
  std::span<const int64_t> order_;  // empty: rows in their own order
  int64_t position_ = 0;
  int64_t end_ = 0;
};

}  // namespace eddl
