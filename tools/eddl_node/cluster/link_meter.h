// LinkMeter: what a node's own link can carry, told from byte counters that are read many times a second.
//
// Only spans in which the link was the limit say anything: sending, those that begin and end with bytes waiting;
// receiving, busy ones, of which the fastest is the best guess from below. Forgets slowly, so that a link that got
// worse is seen. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/base/time.h"

namespace eddl::cluster {

class LinkMeter {
 public:
  // Totals over all peers at this instant; call every kPeriod or so.
  void Add(Instant now, int64_t sent_bytes, int64_t queued_bytes, int64_t received_bytes) {
    if (last_.ns > 0) {
      const double seconds = (now - last_).seconds();
      const auto sent = static_cast<double>(sent_bytes - sent_);
      const auto received = static_cast<double>(received_bytes - received_);
      const double keep = 1 - std::min(1.0, seconds / kMemorySeconds);
      if (queued_ > 0 && queued_bytes > 0 && sent >= kBytesMin) {
        up_ = up_ == 0 ? sent / seconds : up_ + kGain * (sent / seconds - up_);
      }
      down_ *= keep;
      if (received >= kBytesMin) down_ = std::max(down_, received / seconds);
    }
    last_ = now;
    sent_ = sent_bytes;
    queued_ = queued_bytes;
    received_ = received_bytes;
  }
  double up_bytes_per_second() const { return up_; }      // 0: never the limit so far
  double down_bytes_per_second() const { return down_; }  // 0: nothing to speak of so far

  static constexpr Duration kPeriod{50'000'000};

 private:
  static constexpr double kBytesMin = 65536;
  static constexpr double kGain = 0.25;
  static constexpr double kMemorySeconds = 120;

  Instant last_;
  int64_t sent_ = 0;
  int64_t queued_ = 0;
  int64_t received_ = 0;
  double up_ = 0;
  double down_ = 0;
};

}  // namespace eddl::cluster
