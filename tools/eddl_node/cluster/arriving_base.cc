#include "tools/eddl_node/cluster/arriving_base.h"

#include <algorithm>

namespace eddl::cluster {

ArrivingBase::ArrivingBase(const StripeLayout& stripes, const net::ShardMap& map, size_t element_size)
    : stripes_(stripes),
      element_size_(element_size),
      values_(std::make_shared<std::vector<float>>(static_cast<size_t>(stripes.element_count()))),
      shared_(values_),
      here_(map.shards.size()) {
  for (const net::Shard& shard : map.shards) ranges_.push_back(shard.stripes);
}

template <typename Visit>
void ArrivingBase::ForEachPiece(size_t shard, int64_t begin, int64_t count, const Visit& visit) const {
  for (const net::StripeRange& range : ranges_[shard]) {
    if (count == 0) return;
    const int64_t size = stripes_.End(range) - stripes_.Begin(range);
    if (begin < size) {
      const int64_t some = std::min(count, size - begin);
      visit(stripes_.Begin(range) + begin, some);
      count -= some;
    }
    begin = std::max<int64_t>(0, begin - size);
  }
}

void ArrivingBase::Add(size_t shard, uint64_t offset, std::span<const std::byte> bytes, const Convert& convert) {
  const auto here = static_cast<uint64_t>(here_[shard]) * element_size_;
  if (offset > here || offset + bytes.size() <= here) return;
  bytes = bytes.subspan(here - offset);
  const int64_t missing = stripes_.CountElements(ranges_[shard]) - here_[shard];
  const int64_t count = std::min(
      missing, static_cast<int64_t>(bytes.size() / element_size_) / StripeLayout::kBlock * StripeLayout::kBlock);
  ForEachPiece(shard, here_[shard], count, [&](int64_t position, int64_t size) {
    const size_t taken = static_cast<size_t>(size) * element_size_;
    convert(bytes.first(taken), std::span(*values_).subspan(static_cast<size_t>(position), static_cast<size_t>(size)));
    bytes = bytes.subspan(taken);
  });
  here_[shard] += count;
  ready_ = stripes_.element_count();
  for (size_t i = 0; i < ranges_.size(); ++i) ready_ = std::min(ready_, FirstMissing(i));
}

int64_t ArrivingBase::FirstMissing(size_t shard) const {
  int64_t first = stripes_.element_count();
  ForEachPiece(shard, here_[shard], 1, [&](int64_t position, int64_t) { first = position; });
  return first;
}

}  // namespace eddl::cluster
