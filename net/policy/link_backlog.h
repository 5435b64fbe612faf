// LinkBacklog: when a node's link will have sent all that it was given.
//
// A leader's replica for its backup is bulk that nobody waits for: beside the new parameters, which all workers wait
// for, it would take an equal part of the link (with three leaders, two fifths). So it departs when what was given
// before it should have left; the operating system's buffers don't tell when that is, the link's rate does. What is
// given later does not move it on. Pure; one thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "net/messages.h"
#include "runtime/base/time.h"

namespace eddl::net {

// Bulk that nobody waits for: replicas, and parts of checkpoints.
inline bool IsBackground(NodeId to, const Body& body) {
  return std::holds_alternative<Replica>(body) || (to == kManager && std::holds_alternative<Move>(body));
}

class LinkBacklog {
 public:
  // However much was given, and however slow the link is said to be: background waits no longer than this. The next
  // commit needs it; and where there is more to send than in this time, a replica's flow is one of many.
  static constexpr Duration kPatience{100'000'000};

  // So many bytes that somebody waits for are given to the link, which carries `rate` bytes a second; 0: unknown.
  void Add(Instant now, double bytes, double rate) {
    if (!(rate > 0) || !std::isfinite(bytes / rate)) return;
    const double seconds = std::clamp(bytes / rate, 0.0, 1e6);
    free_ = std::max(free_, now) + Duration{std::llround(seconds * 1e9)};
  }
  // When background that is given now should depart.
  Instant Depart(Instant now) const { return std::clamp(free_, now, now + kPatience); }

 private:
  Instant free_;
};

}  // namespace eddl::net
