#include "backends/sdk/conformance/arena.h"

#include <algorithm>
#include <cstring>

namespace eddl::conformance {

Region Arena::Place(uint64_t size_bytes) {
  const uint64_t guard_bytes = alignment_bytes_ * static_cast<uint64_t>(random_.Between(1, 3));
  const uint64_t begin = (end_ + guard_bytes + alignment_bytes_ - 1) / alignment_bytes_ * alignment_bytes_;
  end_ = begin + size_bytes;
  return {begin, end_};
}

Problem FindStrayWrite(std::span<const std::byte> before, std::span<const std::byte> after,
                       std::span<const Region> written) {
  std::vector<Region> allowed(written.begin(), written.end());
  std::sort(allowed.begin(), allowed.end(), [](const Region& a, const Region& b) { return a.begin < b.begin; });
  allowed.push_back({before.size(), before.size()});
  uint64_t from = 0;
  for (const Region& region : allowed) {
    if (region.begin > from && std::memcmp(&before[from], &after[from], region.begin - from) != 0) {
      uint64_t at = from;
      while (before[at] == after[at]) ++at;
      return Text("byte ", at, " changed from ", std::to_integer<int>(before[at]), " to ",
                  std::to_integer<int>(after[at]),
                  from == 0 ? Text(", ", region.begin - at, " bytes before")
                            : Text(", ", at - from, " bytes behind the end of"),
                  " what the op may write");
    }
    from = std::max(from, region.end);
  }
  return std::nullopt;
}

}  // namespace eddl::conformance
