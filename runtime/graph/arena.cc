#include <algorithm>
#include <numeric>

#include "runtime/graph/plan.h"

namespace eddl {

int64_t PackArena(std::vector<ArenaBlock>& blocks, int64_t alignment_bytes) {
  const auto round_up = [alignment_bytes](int64_t value) {
    return (value + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
  };
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return blocks[a].size_bytes > blocks[b].size_bytes; });

  int64_t total = 0;
  std::vector<size_t> placed;  // by offset
  for (size_t index : order) {
    ArenaBlock& block = blocks[index];
    int64_t offset = 0;
    for (size_t other_index : placed) {
      const ArenaBlock& other = blocks[other_index];
      if (other.last < block.first || block.last < other.first) continue;
      if (offset + block.size_bytes <= other.offset_bytes) break;
      offset = std::max(offset, round_up(other.offset_bytes + other.size_bytes));
    }
    block.offset_bytes = offset;
    total = std::max(total, round_up(offset + block.size_bytes));
    const auto position =
        std::find_if(placed.begin(), placed.end(), [&](size_t other) { return blocks[other].offset_bytes > offset; });
    placed.insert(position, index);
  }
  return total;
}

}  // namespace eddl
