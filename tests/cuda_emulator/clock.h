// Vector clocks: which operations are ordered before which, whatever order they run in (Lamport 1978, Mattern 1989).
//
// Every stream counts its operations. A clock holds, for each stream, how many of its operations are known to be done
// before. Values; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace eddl::cuda_emulator {

// The tick-th operation of a stream, from 1.
struct ClockPoint {
  int32_t stream = 0;
  uint32_t tick = 0;
};

class VectorClock {
 public:
  // Learns all that the other clock knows.
  void Join(const VectorClock& other) {
    if (ticks_.size() < other.ticks_.size()) ticks_.resize(other.ticks_.size());
    for (size_t i = 0; i < other.ticks_.size(); ++i) ticks_[i] = std::max(ticks_[i], other.ticks_[i]);
  }
  void Set(const ClockPoint& point) {
    const auto stream = static_cast<size_t>(point.stream);
    if (ticks_.size() <= stream) ticks_.resize(stream + 1);
    ticks_[stream] = point.tick;
  }
  bool Knows(const ClockPoint& point) const {
    const auto stream = static_cast<size_t>(point.stream);
    return stream < ticks_.size() && ticks_[stream] >= point.tick;
  }

 private:
  std::vector<uint32_t> ticks_;  // by stream
};

}  // namespace eddl::cuda_emulator
