// SharedServer: a port or a radio channel that gives every transfer under way an equal part of its rate.
//
// This is what TCP comes to for flows of similar round trips, and what makes sharded exchanges fast: with first come,
// first served instead, all workers would send to the same leader first, and the other leaders' ports would wait. Flows
// of equal weight need no look at each: "served" is what each flow has got since the server was last idle, and a flow
// of b bytes that starts when `served` is s is finished when `served` is s + b. One heap operation a flow. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/base/time.h"

namespace eddl::net::sim {

class SharedServer {
 public:
  // A flow, and which use of its number it is: numbers are used again.
  struct Flow {
    uint32_t index = 0;
    uint32_t life = 0;
  };

  // Each flow beyond `fan_in_free` takes the part `fan_in_loss` of the rate away, down to a tenth.
  SharedServer(uint32_t fan_in_free, double fan_in_loss) : fan_in_free_(fan_in_free), fan_in_loss_(fan_in_loss) {}

  // Brings what was served up to now, at the rate in force since the last call. All below count from then.
  void Advance(Instant now);
  void SetRate(double bytes_per_second) { rate_ = bytes_per_second; }
  double rate() const { return rate_; }
  // Flows that are served.
  uint32_t active() const { return active_; }

  // Serves so many bytes of a flow, beside the others.
  void Add(Flow flow, double bytes);
  // A flow that was added, and is not done, is not served any more. It may still come out of PopDone: the caller tells
  // by its life.
  void Remove();
  // The next flow that has got all its bytes. Does not count it off `active`: the caller does (Remove), if it still is.
  std::optional<Flow> PopDone();
  // When the next flow is done if nothing changes; nothing if none is, or the rate is 0.
  std::optional<Instant> NextDone() const;

 private:
  struct Entry {
    double finish = 0;
    Flow flow;
  };
  static bool After(const Entry& a, const Entry& b) {
    return a.finish != b.finish ? a.finish > b.finish : a.flow.index > b.flow.index;
  }
  double EffectiveRate() const;

  uint32_t fan_in_free_;
  double fan_in_loss_;
  double rate_ = 0;
  double served_ = 0;  // bytes for each flow
  Instant updated_;
  uint32_t active_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace eddl::net::sim
