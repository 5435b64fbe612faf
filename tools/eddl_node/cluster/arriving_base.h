// ArrivingBase: the parameters of a version while their bytes still arrive, from all leaders at once.
//
// Each leader sends its own stripes in ascending order, and stripes go round among leaders in the order of layers: the
// vector fills up from its beginning, so that the first layers are here before the last ones. Numbers only; whether
// they may be used is their owner's business. One thread, but for the values, which others may read as far as `ready`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "net/shard_map.h"
#include "tools/eddl_node/cluster/stripe_layout.h"

namespace eddl::cluster {

class ArrivingBase {
 public:
  // Fills `values` from bytes of as many elements, as the codec has them.
  using Convert = std::function<void(std::span<const std::byte> bytes, std::span<float> values)>;

  // `map` has every stripe once; an element is of `element_size` bytes on the wire.
  ArrivingBase(const StripeLayout& stripes, const net::ShardMap& map, size_t element_size);

  // Bytes of that shard's publish, from `offset` on. What follows what is here is taken, in whole blocks of the layout;
  // what is here already, out of order or too much is passed over.
  void Add(size_t shard, uint64_t offset, std::span<const std::byte> bytes, const Convert& convert);

  // Elements from the beginning of the vector that are here.
  int64_t ready() const { return ready_; }
  // [elements of the vector]. Shared with computations that may outlive this.
  const std::shared_ptr<const std::vector<float>>& values() const { return shared_; }

 private:
  // Where the elements of a shard, from `begin` on, lie in the vector: calls visit(position, count), piece by piece.
  template <typename Visit>
  void ForEachPiece(size_t shard, int64_t begin, int64_t count, const Visit& visit) const;
  int64_t FirstMissing(size_t shard) const;

  const StripeLayout stripes_;
  std::vector<std::vector<net::StripeRange>> ranges_;  // by shard
  const size_t element_size_;
  std::shared_ptr<std::vector<float>> values_;
  std::shared_ptr<const std::vector<float>> shared_;  // the same
  std::vector<int64_t> here_;                         // elements, by shard
  int64_t ready_ = 0;
};

}  // namespace eddl::cluster
