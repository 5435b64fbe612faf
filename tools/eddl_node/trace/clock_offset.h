// ClockOffset: what to add to this node's clock to have the manager's, from calls that the manager answers with its
// time.
//
// The manager read its clock some time between the call and the answer; the middle errs by half the time in between at
// most. So the shortest of the last kCalls counts (Cristian, "Probabilistic clock synchronization", 1989). Clocks that
// drift are followed, as old calls are forgotten. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "runtime/base/time.h"

namespace eddl {

class ClockOffset {
 public:
  // Called at `begin` and answered at `end` by this node's clock, at `remote` by the manager's. REQUIRES: begin <= end.
  void Add(Instant begin, Instant remote, Instant end) {
    calls_.push_back({.length = end - begin, .offset = {remote.ns - (begin.ns + (end - begin).ns / 2)}});
    if (calls_.size() > kCalls) calls_.pop_front();
  }
  struct Estimate {
    Duration offset;
    Duration error;  // at most
  };
  // Nothing before the first call.
  std::optional<Estimate> Get() const {
    if (calls_.empty()) return std::nullopt;
    const auto best = std::min_element(calls_.begin(), calls_.end(),
                                       [](const Call& a, const Call& b) { return a.length < b.length; });
    return Estimate{.offset = best->offset, .error = {best->length.ns / 2 + 1}};
  }

  // As many calls as it looks back at.
  bool is_full() const { return calls_.size() == kCalls; }

  static constexpr size_t kCalls = 16;

 private:
  struct Call {
    Duration length;
    Duration offset;
  };
  std::deque<Call> calls_;
};

}  // namespace eddl
