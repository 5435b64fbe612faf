// Arena: where the tensors, workspaces and states of one case lie in its one buffer, and what every byte should be.
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backends/sdk/conformance/problem.h"
#include "backends/sdk/conformance/random.h"

namespace eddl::conformance {

// Bytes [begin, end).
struct Region {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Places regions one after the other, each at a multiple of the alignment and with poisoned bytes on both sides.
class Arena {
 public:
  Arena(uint64_t alignment_bytes, Random& random) : alignment_bytes_(alignment_bytes), random_(random) {}

  // The place of the next region.
  Region Place(uint64_t size_bytes);
  // All placed regions and the guard behind the last.
  uint64_t size_bytes() const { return end_ + alignment_bytes_; }

 private:
  uint64_t alignment_bytes_;
  Random& random_;
  uint64_t end_ = 0;
};

// Which byte outside of `written` changed between the two images, and what from and to; nothing if none did.
Problem FindStrayWrite(std::span<const std::byte> before, std::span<const std::byte> after,
                       std::span<const Region> written);

}  // namespace eddl::conformance
