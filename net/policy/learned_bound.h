// LearnedBound: how long is too long, from how long it took so far.
//
// Pure; one thread. Smoothed mean plus four smoothed deviations, as TCP's retransmission timeout (RFC 6298), doubled
// with every time that it was exceeded in vain, and never below a floor. Before the first sample, the floor alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "runtime/base/time.h"

namespace eddl::net {

class LearnedBound {
 public:
  explicit LearnedBound(Duration floor) : floor_(floor) {}

  // It took this long: the doublings are over.
  void Add(Duration sample) {
    if (count_ == 0) {
      mean_ns_ = sample.ns;
      deviation_ns_ = sample.ns / 2;
    } else {
      deviation_ns_ += (std::abs(sample.ns - mean_ns_) - deviation_ns_) / 4;
      mean_ns_ += (sample.ns - mean_ns_) / 8;
    }
    ++count_;
    doublings_ = 0;
  }
  // The bound passed, and it is still not over.
  void Exceeded() { doublings_ = std::min(doublings_ + 1, kDoublingsMax); }

  Duration Get() const { return {std::max(floor_.ns, mean_ns_ + 4 * deviation_ns_) << doublings_}; }

 private:
  static constexpr int kDoublingsMax = 6;

  Duration floor_;
  int64_t mean_ns_ = 0;
  int64_t deviation_ns_ = 0;
  int64_t count_ = 0;
  int doublings_ = 0;
};

}  // namespace eddl::net
