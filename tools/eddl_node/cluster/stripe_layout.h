// StripeLayout: which elements of the flat parameter vector each stripe has. A wire contract (net/wire/FORMAT.md).
//
// The vector that is shared among leaders is [0, gradient_end): trainable parameters, then running statistics. It is
// cut at multiples of 64 elements into stripes of nearly equal size. Pure value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "net/shard_map.h"

namespace eddl::cluster {

class StripeLayout {
 public:
  static constexpr int64_t kBlock = 64;  // elements

  // REQUIRES: element_count is a multiple of kBlock, 1 <= stripe_count <= element_count / kBlock.
  StripeLayout(int64_t element_count, uint32_t stripe_count)
      : element_count_(element_count), stripe_count_(stripe_count) {}

  int64_t element_count() const { return element_count_; }
  uint32_t stripe_count() const { return stripe_count_; }
  // Element at which the stripe begins; Begin(stripe_count) is element_count.
  int64_t Begin(uint32_t stripe) const {
    return kBlock * (element_count_ / kBlock * int64_t{stripe} / int64_t{stripe_count_});
  }
  int64_t Begin(const net::StripeRange& range) const { return Begin(net::ToInt(range.begin)); }
  int64_t End(const net::StripeRange& range) const { return Begin(net::ToInt(range.end)); }
  // Elements in all of them.
  int64_t CountElements(std::span<const net::StripeRange> ranges) const {
    int64_t count = 0;
    for (const net::StripeRange& range : ranges) count += End(range) - Begin(range);
    return count;
  }

  // How many stripes a vector of this length is cut into: enough that 16 leaders have 20 each, no stripe over 64 KiB of
  // floats.
  static uint32_t ChooseCount(int64_t element_count) {
    constexpr int64_t kWanted = 320;
    constexpr int64_t kElementsMax = 16384;
    const int64_t blocks = element_count / kBlock;
    const int64_t wanted = std::max(kWanted, (element_count + kElementsMax - 1) / kElementsMax);
    return static_cast<uint32_t>(std::clamp<int64_t>(wanted, 1, std::max<int64_t>(blocks, 1)));
  }

 private:
  int64_t element_count_;
  uint32_t stripe_count_;
};

}  // namespace eddl::cluster
