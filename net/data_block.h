// DataBlock: rows that came to a job's training set together. The set is a list of blocks that only grows.
//
// A pure value.
#pragma once

#include <cstdint>

#include "net/ids.h"

namespace eddl::net {

// Blocks of one job, and rows of all of them.
constexpr int64_t kDataBlocksMax = 256;
constexpr int64_t kDataRowsMax = int64_t{1} << 31;
// Rows of a block that comes while the job runs: a node says how many it has, and all pay memory for what it says.
constexpr int64_t kAddedRowsMax = int64_t{1} << 22;

struct DataBlock {
  int64_t first_row = 0;  // rows are numbered through all blocks, in order of coming
  int64_t row_count = 0;  // > 0
  NodeId owner{};         // the only one that has the rows, and computes them; kManager: the manager gives them to all
  int64_t first_epoch = 0;  // rows are used from this epoch on
  uint64_t hash = 0;        // of rows and labels: names caches, and knows them when they come again

  bool operator==(const DataBlock&) const = default;
};

}  // namespace eddl::net
