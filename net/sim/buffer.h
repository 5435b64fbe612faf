// Buffer: what a payload id names in the simulator: the numbers, if something learns, and always where they come from.
//
// The origin travels with the bytes through sums, folds and steps, so that checkers see what was really applied, apart
// from what messages say about it. Values; shared buffers are never changed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "net/ids.h"
#include "net/shard_map.h"

namespace eddl::net::sim {

// A history of steps: equal lineages have the same covers, rates and scales applied in the same order.
enum class Lineage : uint64_t {};

// Where bytes come from.
struct Origin {
  // Of gradients.
  uint64_t cover = 0;  // CoverHash of the micro-batches whose gradients are in it
  int64_t samples = 0;
  Version oldest_base = kNoVersion;  // that they were computed on
  Version newest_base{};
  NodeId from{};  // who computed them; of a sum of several, the first
  Incarnation incarnation;
  // Of parameters.
  Version version = kNoVersion;
  Lineage lineage{};
  bool damaged = false;  // on the way; the receiver's checksum says so
};

struct Buffer : Origin {
  std::vector<StripeRange> stripes;  // that the values are of, in this order; empty: all
  std::vector<double> values;        // gradient sums, or parameters
  std::vector<int64_t> fixed;        // gradient sums in exact mode
  std::vector<double> first_moment;  // with parameters, if a state moves
  std::vector<double> second_moment;
};

using BufferRef = std::shared_ptr<const Buffer>;

}  // namespace eddl::net::sim
